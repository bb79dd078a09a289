"""A block that an endpoint has not come to is asked elsewhere or later, never in smaller pieces, and never believed away."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import orjson
import pytest
from tests.examples import representative
from tests.net.node import CHAIN_ID, EMITTER, TOPIC, Node, pool_of
from tests.net.test_doubts import Server, pool_on, scanned

from cryptolake.errors import Retry, Stop
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Behind, Doubtful, Elsewhere, Overdue, RpcFault, Spent, TooBig, TooFast, classify
from cryptolake.net.http import Answer, Http
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
RANGE = BlockRange(0, 10_000)
BEYOND = [
    "block range extends beyond current head block",
    "block range extends beyond current head block: requested 9999, head 5000",
    "block 9999 is beyond the latest block 5000 of this node, retry later",
    "invalid block range params",
    "toBlock is greater than latest block",
    "requested block is in the future: future block",
]


class Lagging(Node):
    """Refuses what is beyond its head in words, as most nodes do; `words` empty: answers with what it has, as some do."""

    words = ""

    def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
        if self.words and int(asked["toBlock"], 16) > self.head:
            return {"error": {"code": -32602, "message": self.words}}
        return super()._logs(asked)


def lagging(words: str, head: int) -> Lagging:
    node = Lagging(head=head)
    node.words = words
    return node


@pytest.mark.parametrize("words", ["", *BEYOND])
def test_logs_beyond_an_endpoints_head_come_from_one_that_has_them(words: str) -> None:
    behind, ahead = lagging(words, 5000), Node(head=20_000)
    pool = pool_of(behind, ahead)
    logs, windows = gather(scan(pool, FILTERS, RANGE))
    assert [one.block for one in logs] == list(range(0, 10_000, 7))
    assert all(last <= behind.head for _, last in behind.asked)
    assert behind.methods["eth_getLogs"] <= 3
    assert ahead.methods["eth_getLogs"] <= 6
    assert all(one.learned.blocks.size >= 2000 for one in pool.stations)
    assert sum(one.end - one.start for one in windows) == len(RANGE)


@pytest.mark.parametrize("words", ["", *BEYOND])
def test_where_nobody_has_the_block_it_is_later_and_never_smaller(words: str) -> None:
    node = lagging(words, 5000)
    pool = pool_of(node)
    with pytest.raises(Behind, match="has not come to block"):
        gather(scan(pool, FILTERS, BlockRange(4000, 6000)))
    assert node.methods["eth_getLogs"] == 0
    assert node.methods["eth_blockNumber"] <= 6
    assert pool.stations[0].learned.blocks.size == 2000


@pytest.mark.parametrize("words", BEYOND)
def test_words_for_beyond_the_head_are_told_from_a_span(words: str) -> None:
    assert isinstance(classify(-32602, words), Behind)


def test_a_header_that_a_lagging_endpoint_does_not_have_comes_from_another() -> None:
    behind, ahead = Node(head=500), Node(head=1000)
    found = Blocks(pool_of(behind, ahead)).headers([100, 499, 501, 999])
    assert sorted(found) == [100, 499, 501, 999]


def test_a_header_nobody_has_is_not_there_yet() -> None:
    with pytest.raises(Behind, match="does not have block 600 yet"):
        Blocks(pool_of(Node(head=500))).headers([600])


STATE: dict[str, Sequence[Json]] = {
    "eth_call": [{"to": EMITTER, "data": "0x"}],
    "eth_getCode": [EMITTER],
    "eth_getBalance": [EMITTER],
    "eth_getTransactionCount": [EMITTER],
    "eth_getStorageAt": [EMITTER, "0x0"],
}


def saying(byte: str, **more: Any) -> Node:
    """A node that answers every reading of state with the same word."""
    return Node(call=lambda *_: "0x" + byte * 32, **more)


@pytest.mark.parametrize("method", STATE)
def test_state_beyond_the_head_is_not_asked_for(method: str) -> None:
    """Some nodes answer with the state of their newest block instead."""
    behind, ahead = saying("00", head=500), saying("01", head=1000)
    pool = pool_of(behind, ahead)
    assert pool.call(method, [*STATE[method], hex(800)]) == "0x" + "01" * 32
    assert behind.methods[method] == 0


@pytest.mark.parametrize("method", STATE)
def test_state_that_is_too_old_for_an_endpoint_is_asked_of_another_from_then_on(method: str) -> None:
    pruned, archive = saying("00", pruned_below=900_000), saying("01")
    pool = pool_of(pruned, archive)
    for block in (1000, 2000, 3000):
        assert pool.call(method, [*STATE[method], hex(block)]) == "0x" + "01" * 32
    assert pruned.methods[method] == 1


@pytest.mark.parametrize("method", STATE)
def test_state_beyond_the_depth_that_the_user_allows_is_never_asked_for(method: str) -> None:
    node = saying("00", head=1000)
    limits = Limits(rate=1e9, archive=100)
    pool = Pool("test", CHAIN_ID, [Endpoint("only", SecretUrl("x"), limits)], posting(node), sleep=lambda _: None)
    pool.call("eth_blockNumber", [])
    assert pool.call(method, [*STATE[method], hex(950)]) == "0x" + "00" * 32
    with pytest.raises(Elsewhere, match="archive"):
        pool.call(method, [*STATE[method], hex(50)])
    assert node.methods[method] == 1


def test_an_endpoint_that_stands_still_does_not_speak_for_its_chain() -> None:
    assert pool_of(Node(head=500), Node(head=90_000)).finalized() == 90_000


class Saying(Http):
    """Gives the same answer to everything, whatever is asked: for what an endpoint's state depends on alone."""

    def __init__(self, status: int, body: bytes, then: Node, times: int) -> None:
        self.answer, self.then, self.left = Answer(status, {}, body, 0.0), then, times

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        self.left -= 1
        return self.answer if self.left >= 0 else self.then.post(url, body)


def posting(node: Node) -> Http:
    """The HTTP client of one node without HTTP."""
    return Saying(200, b"", node, 0)


def pool_saying(status: int, body: bytes, times: int) -> Pool:
    found = [Endpoint("only", SecretUrl("http://x"), Limits(rate=1e9))]
    return Pool("test", CHAIN_ID, found, Saying(status, body, Node(), times), sleep=lambda _: None)


PASSING = [
    (403, b"<!DOCTYPE html><title>Attention Required! | Cloudflare</title>Sorry, you have been blocked. Upgrade your browser"),
    (403, b""),
    (403, b"error code: 1010"),
    (503, b"<html>upgrade in progress</html>"),
    (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":30,"message":"Request timeout, please upgrade your tier"}}'),
    (408, b"Request timeout, please upgrade your plan"),
    (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"service upgrade, try again later"}}'),
    (429, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"rate limit, upgrade for more"}}'),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), PASSING, ids=lambda one: str(one)[:50])
def test_what_may_pass_ends_no_endpoint(status: int, body: bytes) -> None:
    pool = pool_saying(status, body, 2)
    assert pool.call("eth_blockNumber", []) == hex(10**6)
    assert pool.stations[0].stopped is None


LASTING = [
    (401, b""),
    (402, b""),
    (403, b'{"error":"invalid api key"}'),
    (403, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"X_MAINNET is not enabled for this app."}}'),
    (429, b'{"jsonrpc":"2.0","id":0,"error":{"code":429,"message":"Monthly capacity limit exceeded. Visit the billing page"}}'),
    (429, b"You have used your monthly quota of requests"),
    (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"daily request count exceeded, request rate limited"}}'),
    (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"You have reached the free tier limit"}}'),
    (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"out of credits"}}'),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), LASTING, ids=lambda one: str(one)[:50])
def test_what_lasts_ends_its_endpoint_once_a_simple_question_is_refused_too(status: int, body: bytes) -> None:
    pool = pool_saying(status, body, 10**6)
    with pytest.raises(Stop):
        pool.call("eth_blockNumber", [])
    assert pool.stations[0].requests == 2


@pytest.mark.parametrize(("status", "body"), LASTING, ids=lambda one: str(one)[:50])
def test_what_sounds_lasting_and_passes_ends_no_endpoint(status: int, body: bytes) -> None:
    pool = pool_saying(status, body, 1)
    assert pool.call("eth_blockNumber", []) == hex(10**6)
    assert pool.stations[0].stopped is None


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (-32005, "query timeout exceeded", Overdue),
        (-32005, "limit exceeded", TooFast),
        (-32602, "missing value for required argument", Elsewhere),
        (-32603, "Internal error", Retry),
    ],
)
def test_what_is_not_said_is_doubtful_with_a_meaning_for_one_alone(code: int, words: str, kind: type) -> None:
    fault = classify(code, words)
    assert isinstance(fault, Doubtful)
    assert type(fault.otherwise) is kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("credits limited to 6000/sec", TooFast),
        ("account limited to 15/sec", TooFast),
        ("15/second request limit reached - reduce calls per second or upgrade your account", TooFast),
        ("Your app has exceeded its compute units per second capacity.", TooFast),
        ("Monthly capacity limit exceeded.", Spent),
        ("Archive requests need a paid plan, please upgrade", Elsewhere),
        ("History has been pruned for this block", Elsewhere),
        ("execution reverted: exceeds limit of 5 blocks", RpcFault),
        ("out of gas", TooBig),
    ],
)
def test_words_that_resemble_a_limit_on_size_are_told_apart(words: str, kind: type) -> None:
    assert type(classify(-32000, words)) is kind


def flapping(question: str, chance: float, seed: int) -> Callable[[Any], tuple[int, bytes] | None]:
    """Some requests come to a node at block 500,000; `question` says what it does with blocks that it does not have."""
    lots, turn = random.Random(seed), itertools.count()
    behind = Node(head=500_000)

    def lacks(one: Any) -> Any:
        method, params, number = one["method"], one["params"], one["id"]
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) > behind.head:
            return {"jsonrpc": "2.0", "id": number, "error": {"code": -32000, "message": question}}
        if method == "eth_getBlockByNumber" and params[0].startswith("0x") and int(params[0], 16) > behind.head:
            return {"jsonrpc": "2.0", "id": number, "result": None}
        if method in {"eth_blockNumber", "eth_getBlockByNumber"}:
            return orjson.loads(behind.answer(orjson.dumps(one)))
        return orjson.loads(Node().answer(orjson.dumps(one)))

    def rule(asked: Any) -> tuple[int, bytes] | None:
        if next(turn) % 2 == 0 if not chance else lots.random() >= chance:
            return None
        many = asked if isinstance(asked, list) else [asked]
        answers = [lacks(one) for one in many]
        return 200, orjson.dumps(answers if isinstance(asked, list) else answers[0])

    return rule


@pytest.mark.parametrize(
    ("words", "chance", "seed"),
    representative(product((one for one in BEYOND if "range params" not in one), [0.0, 0.3, 0.5], range(3)), times=3),
)
def test_nodes_behind_one_address_that_are_not_as_far_are_no_matter_of_size(
    words: str, chance: float, seed: int
) -> None:
    """Every other request, or some by chance."""
    server = Server(flapping(words, chance, seed))
    pool = pool_on(server)
    scanned(pool, 72_000)
    scanned(pool, 40_000, first=480_000)
    scanned(pool, 90_000, first=900_000)
    blocks = Blocks(pool)
    assert len(blocks.headers(range(1000))) == len(blocks.headers(range(900_000, 901_000))) == 1000
    station = pool.stations[0]
    assert station.stopped is None
    assert station.learned.span >= 2000
    assert station.learned.batch.size == 100
    assert len(server.asked) <= 5 * 130
