"""Headers tell of logs that were left out or made up, and somebody else than who left them out is asked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.net.audit import check_blooms
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.logs import LogFilter, LogQuestion, gather
from cryptolake.net.quiet import QuietHeaders
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
QUESTION = LogQuestion("test", FILTERS)
WITHIN = BlockRange(1000, 2000)


def test_blooms_agree_with_honest_logs() -> None:
    logs, windows = gather(scan(pool_of(Node()), FILTERS, WITHIN))
    pool = pool_of(Node())
    check = check_blooms(pool, Blocks(pool), QUESTION, windows, logs, WITHIN, quiet=QuietHeaders(pool, provable=True))
    assert check.usable
    assert not check.contradictions
    assert check.blocks >= len(logs)


def test_a_bloom_betrays_a_log_that_was_left_out() -> None:
    """Every block has an event; the endpoint leaves out those of most blocks in its wide answers."""
    every = Node(logs_of=lambda _number: [0], hidden=frozenset(range(1000, 1990)))
    logs, windows = gather(scan(pool_of(every), FILTERS, WITHIN))
    pool = pool_of(every, Node(logs_of=lambda _number: [0]))  # who left them out would only do so again
    check = check_blooms(pool, Blocks(pool), QUESTION, windows, logs, WITHIN, quiet=QuietHeaders(pool, provable=True))
    assert any("left out" in one for one in check.contradictions)


@pytest.mark.parametrize(("change", "word"), [("hash", "another block hash"), ("topic", "not in the block's bloom")])
def test_a_log_that_the_header_does_not_know(change: str, word: str) -> None:
    logs, windows = gather(scan(pool_of(Node()), FILTERS, BlockRange(1000, 1020)))
    told = (
        replace(logs[0], block_hash="0x" + "9" * 64)
        if change == "hash"
        else replace(logs[0], topics=("0x" + "77" * 32,))
    )
    pool = pool_of(Node())
    check = check_blooms(pool, Blocks(pool), QUESTION, windows, [told, *logs[1:]], WITHIN, quiet=None)
    assert any(word in one for one in check.contradictions)


def test_a_chain_without_blooms_is_not_suspect_for_that() -> None:
    class Bare(Node):
        def header(self, number: int) -> dict[str, object]:
            return {**super().header(number), "logsBloom": "0x" + "00" * 256}

    logs, windows = gather(scan(pool_of(Bare()), FILTERS, WITHIN))
    pool = pool_of(Bare())
    check = check_blooms(pool, Blocks(pool), QUESTION, windows, logs, WITHIN, quiet=QuietHeaders(pool, provable=True))
    assert not check.usable
    assert not check.contradictions
