"""The history of discovery events: whole, asked once, doubted, and given up in time. Over a synthetic chain."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.errors import Skip
from cryptolake.net.blocks import BlockRange
from cryptolake.net.logs import LogFilter
from cryptolake.sources.onchain.discovery import Discoveries

WANTED = LogFilter(EMITTER, frozenset({TOPIC}))


class KilledError(Exception):
    """Stands for a process that ends in the middle of a scan."""


@settings(max_examples=40)
@given(
    start=st.integers(0, 300),
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=5),
    limit=st.sampled_from([1, 10, 50, 10_000]),
    killed_after=st.none() | st.integers(1, 5),
)
def test_every_day_gets_every_event_and_no_block_is_asked_twice(
    start: int, lengths: list[int], limit: int, killed_after: int | None
) -> None:
    node = Node(limit=limit)
    with tempfile.TemporaryDirectory() as folder:
        for number, length in enumerate(lengths):  # days in any order, each by a new process
            left = killed_after if number == 0 else None

            def watch(_done: int, left: int | None = left, start: int = len(node.asked)) -> None:
                if left is not None and len(node.asked) - start >= left:
                    raise KilledError

            blocks = BlockRange(start, start + length)
            try:
                logs = Discoveries(Path(folder)).upto(pool_of(node, span=50), WANTED, blocks, watch)
            except KilledError:
                logs = Discoveries(Path(folder)).upto(pool_of(node, span=50), WANTED, blocks)
            assert [log.block for log in logs] == [one for one in range(start, start + length) if one % 7 == 0]
    if killed_after is None:
        asked = sorted(block for first, last in node.asked for block in range(first, last + 1))
        assert asked == list(range(start, start + max(lengths)))


def test_a_history_that_would_take_for_ever_is_refused_in_time() -> None:
    node = Node(limit=10, head=10**9)
    with pytest.raises(Skip, match="10 blocks of logs a question, too few") as refused:
        Discoveries().upto(pool_of(node), WANTED, BlockRange(0, 10**9))
    assert refused.value.reason == "log_history"
    assert len(node.asked) < 1000


def test_a_disagreement_of_two_endpoints_is_not_believed_and_not_kept(tmp_path: Path) -> None:
    honest, lying = Node(), Node(hidden=frozenset({70}))
    blocks = BlockRange(0, 1000)
    with pytest.raises(Skip, match="disagree") as doubted:
        Discoveries(tmp_path, share=1.0).upto(pool_of(lying, honest), WANTED, blocks)
    assert doubted.value.reason == "suspect"
    assert not list(tmp_path.iterdir())
    logs = Discoveries(tmp_path, share=1.0).upto(pool_of(honest, Node()), WANTED, blocks)
    assert 70 in {log.block for log in logs}
