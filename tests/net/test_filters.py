"""Addresses, topics and the calls of an aggregate are limits like blocks: whatever refuses more of them, fewer are asked for.

What it costs is counted; no word, code or status of a refusal is believed before the smallest question is refused too.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from tests.net.node import ADDRESSES, EMITTER, TOPIC, Node
from tests.net.test_doubts import MISLEADING, Rule, Server, Time, error, pool_on

from cryptolake.demo.aggregate3 import decode_calls, encode_results
from cryptolake.net.aggregate import Plain
from cryptolake.net.blocks import BlockRange
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.multicall import MULTICALL3, Call, CallResult, Finished, Program, run
from cryptolake.net.questions import Question, divisible, smallest
from cryptolake.net.scan import scan

BLOCKS, SPAN, EVERY = 7200, 2000, 600
WORDS = [
    *MISLEADING, "address must be a string", "filter requires archive plan", "contract list not allowed with this API key",
    "the method eth_getLogs with arrays is not available", "monthly plan: one contract per query", "Internal error", "",
    "Please upgrade your billing to use lists of contracts", "request timed out", "rate limit: filter weight 40",
]  # fmt: skip
CODES = {"execution reverted": 3, "address must be a string": -32602, "Internal error": -32603}


def named(asked: Any) -> tuple[int, int]:
    """How many addresses and topics a request names; none where it is not for logs."""
    if isinstance(asked, list) or asked["method"] != "eth_getLogs":
        return 0, 0
    (fields,) = asked["params"]
    return len(fields["address"]) if isinstance(fields["address"], list) else 1, len(fields["topics"][0])


def takes(words: str, *, addresses: int = 10**9, topics: int = 10**9, status: int = 200) -> Rule:
    """Refuses more of them with these words, whatever blocks are asked for."""

    def rule(asked: Any) -> tuple[int, bytes] | None:
        many = named(asked)[0] > addresses or named(asked)[1] > topics
        said = error(asked, CODES.get(words, -32000), words) if words else b""
        return (status, said) if many else None

    return rule


def wanted(addresses: int, topics: int = 1) -> list[LogFilter]:
    """So many addresses, each with so many topics."""
    every = frozenset({TOPIC, *(f"0x{number:064x}" for number in range(topics - 1))})
    return [LogFilter(one, every) for one in [EMITTER, *ADDRESSES[: addresses - 1]]]


def sparse() -> Node:
    """Few logs, which cost little to read."""
    return Node(logs_of=lambda number: [0] if number % EVERY == 0 else [])


def cost(server: Server, filters: list[LogFilter]) -> int:
    """The requests that a scan takes, of which every log comes."""
    pool = pool_on(server)
    logs, windows = gather(scan(pool, filters, BlockRange(0, BLOCKS)))
    assert [one.block for one in logs] == list(range(0, BLOCKS, EVERY))
    assert sum(one.end - one.start for one in windows) == BLOCKS
    station = pool.stations[0]
    assert station.stopped is None
    assert station.learned.span >= SPAN, "it was never the blocks"
    return len(server.asked)


@pytest.mark.parametrize("words", WORDS)
def test_a_limit_on_addresses_is_found_whatever_refuses_it(words: str) -> None:
    for status, many, limit in ((200, 40, 25), (200, 10, 1), (403, 2, 1), (429, 40, 3), (503, 10, 2)):
        server = Server(takes(words, addresses=limit, status=status), sparse())
        assert cost(server, wanted(many)) <= 4 * math.ceil(many / limit) + 30


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("words", ["Internal error", "access denied", "too many results", "block range is too wide"])
def test_a_limit_on_topics_is_found_whatever_refuses_it(words: str, status: int) -> None:
    for addresses in (1, 5):
        server = Server(takes(words, topics=3, status=status), sparse())
        assert cost(server, wanted(addresses, 12)) <= 4 * 4 + 60


@pytest.mark.parametrize("words", ["Internal error", "access denied", "header not found"])
def test_limits_on_blocks_and_on_addresses_are_found_apart(words: str) -> None:
    def rule(asked: Any) -> tuple[int, bytes] | None:
        addresses, _ = named(asked)
        blocks = (
            1 + int(asked["params"][0]["toBlock"], 16) - int(asked["params"][0]["fromBlock"], 16) if addresses else 0
        )
        return (200, error(asked, -32000, words)) if addresses > 10 or blocks > 500 else None

    server = Server(rule, sparse())
    pool = pool_on(server)
    logs, _ = gather(scan(pool, wanted(40), BlockRange(0, BLOCKS)))
    assert [one.block for one in logs] == list(range(0, BLOCKS, EVERY))
    assert (pool.stations[0].learned.addresses.most, pool.stations[0].learned.blocks.most) == (10, 500)
    assert len(server.asked) <= 15 * 4 + 50


@pytest.mark.parametrize("words", ["Internal error", "access denied"])
def test_what_takes_all_addresses_is_asked_for_them_once(words: str) -> None:
    """That blocks are too many, and not addresses, costs one question more."""

    def rule(asked: Any) -> tuple[int, bytes] | None:
        (fields,) = asked["params"] if named(asked)[0] else ({"fromBlock": "0x0", "toBlock": "0x0"},)
        wide = int(fields["toBlock"], 16) - int(fields["fromBlock"], 16) >= 1000
        return (200, error(asked, -32000, words)) if wide else None

    alone, together = Server(rule), Server(rule)
    for server, count in ((alone, 1), (together, 40)):
        gather(scan(pool_on(server), wanted(count), BlockRange(0, BLOCKS)))
    assert len(together.asked) <= len(alone.asked) + 1


HEAVY = [
    (200, -32000, "API key does not permit calls this heavy"), (200, -32000, "call exceeds compute units of a single call"),
    (200, -32000, "monthly plan does not include calls this large"), (200, -32000, "missing trie node"),
    (200, -32000, "call of this size is not available on the free plan"),
    (200, -32000, "future block"), (200, -32603, "Internal error"),
    (401, 0, ""), (402, 0, ""), (403, 0, ""), (413, 0, ""), (429, 0, ""), (429, 429, "too heavy"), (500, 0, ""), (503, 0, ""),
]  # fmt: skip
CALLS = 400


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("status", "code", "words"), HEAVY)
def test_an_aggregate_is_halved_whatever_refuses_its_size(status: int, code: int, words: str, told: bool) -> None:
    def refused(asked: Any) -> tuple[int, bytes] | None:
        heavy = any(len(one["params"][0]["data"]) > 20_000 for one in asked_of(asked, "eth_call"))
        return (status, error(asked, code, words) if words else b"") if heavy else None

    def answered(to: str, data: str, _: int) -> str:
        if to != MULTICALL3:
            return data
        return encode_results([(True, one.data) for one in decode_calls(data)])

    def reads() -> Program[list[CallResult]]:
        return list((yield [Call(EMITTER, b"%032d" % number) for number in range(CALLS)]))

    time = Time()
    server = Server(refused, Node(call=answered))
    pool = pool_on(server, time=time, rate=100.0, told=told)
    outcome = run(pool, {"market": reads()}, 1000)["market"]
    assert isinstance(outcome, Finished)
    assert [one.data for one in outcome.value] == [b"%032d" % number for number in range(CALLS)]
    assert pool.stations[0].stopped is None
    assert pool.stations[0].learned.reaches("state", 1000)
    assert len(server.asked) <= 60
    assert time.now - 1000 <= 30


def asked_of(asked: Any, method: str) -> list[Any]:
    return [one for one in (asked if isinstance(asked, list) else [asked]) if one["method"] == method]


LOGS: dict[str, Any] = {"fromBlock": "0x1", "toBlock": "0x1", "address": "0x01", "topics": [["0xa"]]}
QUESTIONS: dict[str, list[Question]] = {
    "calls": [("eth_blockNumber", [])] * 2,
    "blocks": [("eth_getLogs", [{**LOGS, "toBlock": "0x9"}])],
    "addresses": [("eth_getLogs", [{**LOGS, "address": ["0x01", "0x02"]}])],
    "topics": [("eth_getLogs", [{**LOGS, "topics": [["0xa", "0xb"]]}])],
    "parts": [("eth_call", [Plain(MULTICALL3, [Call(EMITTER, b"a"), Call(EMITTER, b"b")]), "0x1"])],
    "all of them": [
        ("eth_getLogs", [{**LOGS, "toBlock": "0x9", "address": ["0x01", "0x02"], "topics": [["0xa", "0xb"], "0xc"]}])
    ]
    * 3,
}


@pytest.mark.parametrize("dimension", QUESTIONS)
def test_the_smallest_question_has_one_of_everything(dimension: str) -> None:
    asked = QUESTIONS[dimension]
    assert divisible(asked)
    least = smallest(asked)
    assert not divisible(least)
    assert least[0][0] == asked[0][0]
    assert orjson.dumps(least) != orjson.dumps(asked)
    assert smallest(least) == least
