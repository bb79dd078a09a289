"""Missing logs are found by a second endpoint or by the headers, and never silently win."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.net.audit import check_blooms, second_opinions
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.logs import LogFilter, LogQuestion, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
QUESTION = LogQuestion("test", FILTERS)
WITHIN = BlockRange(1000, 2000)


def doubted(*nodes: Node, share: float = 1.0) -> tuple[Pool, tuple[object, ...]]:
    """Logs asked of the first node only, then doubted by the others."""
    logs, windows = gather(scan(pool_of(nodes[0], span=100), FILTERS, WITHIN))
    pool = pool_of(*nodes, span=100)
    return pool, (windows, logs, second_opinions(pool, QUESTION, windows, logs, WITHIN, share))


def test_endpoints_that_agree() -> None:
    _, (_, _, (opinions, found)) = doubted(Node(), Node())  # type: ignore[misc]
    assert {one.verdict for one in opinions} == {"same"}
    assert not found


def test_a_left_out_log_is_found_and_the_third_decides() -> None:
    _, (_, _, (opinions, found)) = doubted(Node(hidden=frozenset({1400})), Node(), Node())  # type: ignore[misc]
    different = [one for one in opinions if one.verdict == "different"]
    assert [(one.missing, one.extra, one.third, one.sides_with) for one in different] == [(1, 0, "node-2", "node-1")]
    assert [one.block for one in found] == [1400]


def test_with_two_endpoints_nobody_wins() -> None:
    _, (_, _, (opinions, found)) = doubted(Node(hidden=frozenset({1400})), Node())  # type: ignore[misc]
    assert [one.sides_with for one in opinions if one.verdict == "different"] == [""]
    assert not found


def test_one_endpoint_alone_cannot_be_compared() -> None:
    _, (_, _, (opinions, _)) = doubted(Node())  # type: ignore[misc]
    assert opinions == []


def test_the_sample_is_the_same_again() -> None:
    runs = [doubted(Node(), Node(), share=0.2)[1] for _ in range(2)]
    chosen = [[(one.start, one.end) for one in opinions] for _, _, (opinions, _) in runs]  # type: ignore[misc]
    assert chosen[0] == chosen[1]
    assert 1 <= len(chosen[0]) <= 4


def test_blooms_agree_with_honest_logs() -> None:
    logs, _ = gather(scan(pool_of(Node()), FILTERS, WITHIN))
    pool = pool_of(Node())
    check = check_blooms(pool, Blocks(pool), QUESTION, logs, WITHIN, sample=True)
    assert check.usable
    assert not check.contradictions
    assert check.blocks >= len(logs)


def test_a_bloom_betrays_a_log_that_was_left_out() -> None:
    """Every block has an event; the endpoint leaves out those of most blocks in its wide answers."""
    every = Node(logs_of=lambda _number: [0], hidden=frozenset(range(1000, 1990)))
    logs, _ = gather(scan(pool_of(every), FILTERS, WITHIN))
    honest = pool_of(Node(logs_of=lambda _number: [0]))
    check = check_blooms(honest, Blocks(honest), QUESTION, logs, WITHIN, sample=True)
    assert any("left out" in one for one in check.contradictions)


@pytest.mark.parametrize(("change", "word"), [("hash", "another block hash"), ("topic", "not in the block's bloom")])
def test_a_log_that_the_header_does_not_know(change: str, word: str) -> None:
    logs, _ = gather(scan(pool_of(Node()), FILTERS, BlockRange(1000, 1020)))
    told = (
        replace(logs[0], block_hash="0x" + "9" * 64)
        if change == "hash"
        else replace(logs[0], topics=("0x" + "77" * 32,))
    )
    pool = pool_of(Node())
    check = check_blooms(pool, Blocks(pool), QUESTION, [told, *logs[1:]], WITHIN, sample=False)
    assert any(word in one for one in check.contradictions)


def test_a_chain_without_blooms_is_not_suspect_for_that() -> None:
    class Bare(Node):
        def header(self, number: int) -> dict[str, object]:
            return {**super().header(number), "logsBloom": "0x" + "00" * 256}

    logs, _ = gather(scan(pool_of(Bare()), FILTERS, WITHIN))
    pool = pool_of(Bare())
    check = check_blooms(pool, Blocks(pool), QUESTION, logs, WITHIN, sample=True)
    assert not check.usable
    assert not check.contradictions


def settled(pool: Pool, *spans: int) -> Pool:
    """The same pool once its endpoints' spans are known."""
    for one, span in zip(pool.stations, spans, strict=True):
        one.learned.refused(span + 1, span)
        one.learned.answered(span)
    return pool


def test_free_keys_make_second_opinions_neither_dearer_nor_emptier() -> None:
    """Three keys of ten blocks beside two good endpoints: the other good one is asked, as often as without the keys."""
    range_ = BlockRange(0, 40_000)
    logs, windows = gather(scan(settled(pool_of(Node()), 2000), FILTERS, range_))
    keys, good = [Node(limit=10) for _ in range(3)], [Node(limit=2000) for _ in range(2)]
    windows = [dataclasses.replace(one, endpoint="node-3") for one in windows]
    pool = settled(pool_of(*keys, *good), 10, 10, 10, 2000, 2000)
    opinions, _ = second_opinions(pool, QUESTION, windows, logs, range_, 0.2)
    assert {(one.second, one.end - one.start) for one in opinions} == {("node-4", 2000)}
    assert len(opinions) == 4
    assert sum(key.methods["eth_getLogs"] for key in keys) == 0
    assert good[1].methods["eth_getLogs"] == len(opinions)


def test_where_only_free_keys_are_left_to_ask_they_compare_fewer_blocks() -> None:
    range_ = BlockRange(0, 40_000)
    logs, windows = gather(scan(settled(pool_of(Node()), 2000), FILTERS, range_))
    keys, good = [Node(limit=10) for _ in range(3)], Node(limit=2000)
    pool = settled(pool_of(good, *keys), 2000, 10, 10, 10)
    opinions, _ = second_opinions(pool, QUESTION, windows, logs, range_, 0.2)
    assert {(one.verdict, one.end - one.start) for one in opinions} == {("same", 10)}
    assert sum(key.methods["eth_getLogs"] for key in keys) == len(opinions) == 4


def test_a_free_key_decides_where_two_good_endpoints_differ() -> None:
    """It is asked for the blocks in which they differ, not for the whole window."""
    hiding, honest, key = Node(hidden=frozenset({1400, 1407})), Node(), Node(limit=10)
    logs, windows = gather(scan(pool_of(hiding, span=1000), FILTERS, WITHIN))
    pool = settled(pool_of(hiding, honest, key), 1000, 1000, 10)
    opinions, found = second_opinions(pool, QUESTION, windows, logs, WITHIN, 1.0)
    (different,) = (one for one in opinions if one.verdict == "different")
    assert (different.second, different.third, different.sides_with) == ("node-1", "node-2", "node-1")
    assert [one.block for one in found] == [1400, 1407]
    assert key.asked == [(1400, 1407)]
