"""The history of discovery events: whole, asked once, doubted, and given up in time. Over a synthetic chain."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.errors import Skip
from cryptolake.net.besides import among
from cryptolake.net.blocks import BlockRange
from cryptolake.net.liars import Liars, lie_about
from cryptolake.net.logs import LogFilter
from cryptolake.sources.onchain.discovery import Discoveries
from cryptolake.sources.onchain.history import History

WANTED = LogFilter(EMITTER, frozenset({TOPIC}))


class KilledError(Exception):
    """Stands for a process that ends in the middle of a scan."""


@settings(max_examples=examples(40))
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
                logs = Discoveries(Path(folder)).upto(pool_of(node, span=50), WANTED, blocks, watch).logs
            except KilledError:
                logs = Discoveries(Path(folder)).upto(pool_of(node, span=50), WANTED, blocks).logs
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
    for _ in range(2):
        with pytest.raises(Skip, match="disagree") as doubted:
            Discoveries(tmp_path, share=1.0).upto(pool_of(lying, honest), WANTED, blocks)
        assert doubted.value.reason == "suspect"
    before = len(honest.asked)
    found = Discoveries(tmp_path, share=1.0).upto(pool_of(honest, Node()), WANTED, blocks)
    assert [log.block for log in found.logs] == list(range(0, 1000, 7))
    assert honest.asked[before:] == [(70, 70)]  # whom the rest was told by is known


@pytest.mark.parametrize("lies", ["own", "besides"])
def test_who_is_only_asked_besides_fails_no_history(tmp_path: Path, lies: str) -> None:
    honest, lying = Node(), Node(hidden=frozenset({70}))
    for _ in range(2):
        pool = pool_of(*((honest, lying) if lies == "besides" else (lying, honest)))
        pool.besides = [replace(one, endpoint=replace(one.endpoint, besides=True)) for one in pool.stations[1:]]
        pool.stations = pool.stations[:1]
        found = Discoveries(tmp_path, share=1.0).upto(pool, WANTED, BlockRange(0, 1000))
        assert [log.block for log in found.logs] == [one for one in range(0, 1000, 7) if one != 70 or lies == "besides"]
        assert found.grade != "two_voices"
        assert "block 70" in found.contradicted


def test_what_a_liar_told_alone_is_asked_again_for_a_higher_grade(tmp_path: Path) -> None:
    """Endpoints are named by their place: another run's first one is somebody else."""
    lying, one, other = Node(hidden=frozenset({70})), Node(), Node()
    blocks = BlockRange(0, 1000)
    alone = Discoveries(tmp_path).upto(pool_of(lying, operators=["liar"]), WANTED, blocks)
    assert (len(alone.logs), alone.grade) == (142, "one_voice")
    found = Discoveries(tmp_path, share=1.0).upto(pool_of(one, other, operators=["a", "b"]), WANTED, blocks)
    assert ([log.block for log in found.logs], found.grade) == (list(range(0, 1000, 7)), "two_voices")
    asked = len(one.asked) + len(other.asked)
    again = Discoveries(tmp_path, share=1.0).upto(pool_of(one, other, operators=["a", "b"]), WANTED, blocks)
    assert again == found
    assert len(one.asked) + len(other.asked) == asked


@pytest.mark.parametrize("share", [0.02, 1.0])
def test_what_an_earlier_version_kept_tells_nobody_by_whom(tmp_path: Path, share: float) -> None:
    blocks, kept = BlockRange(0, 1000), History.of(tmp_path, "test", WANTED)
    assert kept.path is not None
    kept.path.write_bytes(b'\n[0,1000,"node-0",[]]')  # that there are none, as a liar would say
    alone = Discoveries(tmp_path, share).upto(pool_of(Node()), WANTED, blocks)
    assert (alone.logs, alone.grade) == ((), "one_voice")
    found = Discoveries(tmp_path, share).upto(pool_of(Node(), Node(), span=50), WANTED, blocks)
    assert len(found.logs) == 143
    assert found.grade == ("two_voices" if share == 1.0 else "two_voices_sampled")


def test_whom_a_person_was_told_of_is_asked_again_of_others(tmp_path: Path) -> None:
    lying, honest = Node(hidden=frozenset({70})), Node()
    blocks, liars = BlockRange(0, 1000), Liars()
    pool = pool_of(lying, honest, operators=["liar", "a"])
    assert len(Discoveries(tmp_path).upto(among(pool, pool.stations[:1]), WANTED, blocks).logs) == 142
    liars.learn("test", lie_about("node-0", "liar", 5))
    found = Discoveries(tmp_path).upto(pool, WANTED, blocks, accused=liars.accused("test"))
    assert (len(found.logs), found.grade) == (143, "one_voice")
    asked = len(lying.asked)
    only = Discoveries(tmp_path).upto(among(pool, pool.stations[:1]), WANTED, blocks, accused=liars.accused("test"))
    assert (only.logs, len(lying.asked)) == (found.logs, asked)


OPERATORS = ("a", "b", "c", "liar", "")


@settings(max_examples=examples(150))
@given(
    runs=st.lists(
        st.tuples(
            st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=3, unique=True),
            st.sampled_from([0.0, 0.1, 1.0]),
            st.integers(1, 900),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
    hidden=st.frozensets(st.integers(0, 128).map(lambda one: 7 * one), min_size=1, max_size=4),
    span=st.sampled_from([3, 50, 2000]),
)
def test_one_liar_among_operators_of_many_runs_never_makes_two_voices_wrong(
    runs: list[tuple[list[str], float, int, bool]], hidden: frozenset[int], span: int
) -> None:
    """Whatever endpoints there are from run to run, in any place, of whatever grade."""
    with tempfile.TemporaryDirectory() as folder:
        discoveries = Discoveries(Path(folder))
        for operators, share, length, new in runs:
            nodes = [Node(hidden=hidden if name == "liar" else frozenset()) for name in operators]
            if new:
                discoveries = Discoveries(Path(folder), share)
            try:
                found = discoveries.upto(pool_of(*nodes, span=span, operators=operators), WANTED, BlockRange(0, length))
            except Skip as error:
                assert error.reason == "suspect"
                assert "liar" in str(error) or "node-" in str(error)
                continue
            told = [log.block for log in found.logs]
            if found.grade == "two_voices":
                assert told == list(range(0, length, 7))
            assert set(told) <= set(range(0, length, 7))
            if new and share == 1.0 and len({*operators} - {""}) > 1:
                assert found.grade == "two_voices" or "liar" in operators


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_honest_operators_are_asked_for_a_block_once_each_however_many_days_there_are(
    tmp_path: Path, share: float
) -> None:
    nodes = [Node(limit=50), Node(limit=10)]
    for length in (100, 300, 310, 900):
        for _ in range(2):
            pool = pool_of(*nodes, span=50, operators=["a", "b"])
            assert Discoveries(tmp_path, share).upto(pool, WANTED, BlockRange(0, length)).grade != "one_voice"
    for node in nodes:
        asked = [block for first, last in node.asked for block in range(first, last + 1)]
        assert len(asked) == len(set(asked))
    total = sum(last + 1 - first for node in nodes for first, last in node.asked)
    assert (total == 1800) is (share == 1.0)


@pytest.mark.parametrize("left", ["liar", "honest"])
def test_what_two_told_differently_stays_disputed_while_one_of_them_is_silent(tmp_path: Path, left: str) -> None:
    honest, lying = Node(), Node(hidden=frozenset({70}))
    blocks, all_of_it = BlockRange(0, 1000), list(range(0, 1000, 7))
    with pytest.raises(Skip, match="disagree"):
        Discoveries(tmp_path, 1.0).upto(pool_of(lying, honest, operators=["liar", "a"]), WANTED, blocks)
    alone = pool_of(lying, operators=["liar"]) if left == "liar" else pool_of(honest, operators=["a"])
    for share in (0.0, 1.0):  # by new processes
        found = Discoveries(tmp_path, share).upto(alone, WANTED, blocks)
        assert [log.block for log in found.logs] == all_of_it
        assert "block 70" in found.contradicted
    for _ in range(2):
        found = Discoveries(tmp_path, 1.0).upto(pool_of(honest, Node(), operators=["a", "b"]), WANTED, blocks)
        assert ([log.block for log in found.logs], found.grade, found.contradicted) == (all_of_it, "two_voices", "")
