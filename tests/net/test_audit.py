"""Missing logs are found by a second endpoint or by the headers, and never silently win."""

from __future__ import annotations

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
