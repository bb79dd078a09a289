"""Whatever an endpoint does, the data are those of an undisturbed run, or the error is loud. Real HTTP, real client."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from tests.hostile.server import Fault, Hostile, cut_short, drip, garbled, hang, lying_length, reset, status
from tests.net.node import CHAIN_ID, EMITTER, TOPIC, Node
from tests.waiting import PATIENCE_S

from cryptolake.errors import CryptolakeError, Retry, Skip, Stop
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
RANGE = BlockRange(0, 3000)
TRUTH = list(range(0, 3000, 7))


@pytest.fixture(scope="module")
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


@pytest.fixture(scope="module")
def impatient() -> Iterator[Http]:
    """For endpoints that never answer: an answer that comes later than this is asked for again, which changes nothing."""
    client = Http(timeout_s=1.5)
    yield client
    client.close()


def pool_on(http: Http, *servers: Hostile, waits: list[float] | None = None, span: int = 500) -> Pool:
    """The real pool; waits are noted instead of slept, so that back-off costs the suite no time."""
    noted = waits if waits is not None else []
    endpoints = [
        Endpoint(f"server-{number}", SecretUrl(server.url), Limits(rate=100_000, log_span=span, max_batch=50))
        for number, server in enumerate(servers)
    ]
    return Pool("test", CHAIN_ID, endpoints, http, sleep=noted.append)


def batch_ids(change: Callable[[list[dict[str, Any]]], Any]) -> Fault:
    return garbled(change, only_batches=True)


def _shuffled(document: list[dict[str, Any]]) -> list[dict[str, Any]]:
    random.Random(7).shuffle(document)
    return document


TRANSPORT: dict[str, Fault] = {
    "429": status(429),
    "429 soon": status(429, Retry_After="1"),
    "429 fraction": status(429, Retry_After="0.2"),
    "429 now": status(429, Retry_After="0"),
    "429 date": status(429, Retry_After=format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)),
    "429 in the body": garbled(lambda d: {"jsonrpc": "2.0", "id": 0, "error": {"code": 429, "message": "rate limit"}}),
    "500": status(500, b"oops"),
    "503 html": status(503, b"<html><body>Service Unavailable</body></html>"),
    "200 html": status(200, b"<html><title>Just a moment...</title></html>"),
    "empty": status(200),
    "not utf-8": status(200, b'{"jsonrpc":"2.0","id":0,"result":"\xff\xfe"}'),
    "a list of numbers": status(200, b"[1,2,3]"),
    "null": status(200, b"null"),
    "cut short": cut_short,
    "lying length": lying_length,
    "reset": reset,
}


@pytest.mark.parametrize("name", TRANSPORT)
def test_a_transport_fault_changes_nothing(http: Http, name: str) -> None:
    with Hostile(Node(), {name: (TRANSPORT[name], 3)}) as server:
        logs, windows = gather(scan(pool_on(http, server), FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        assert sum(one.end - one.start for one in windows) == len(RANGE)
        assert server.struck[name] == 3


@pytest.mark.parametrize(("name", "fault"), [("hanging", hang), ("dripping", drip)])
def test_a_slow_endpoint_is_left_for_a_well_one(impatient: Http, name: str, fault: Fault) -> None:
    with Hostile(Node(), {name: (fault, 1)}) as slow, Hostile(Node()) as well:
        logs, _ = gather(scan(pool_on(impatient, slow, well), FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        assert slow.struck[name] == 1


@pytest.mark.parametrize(
    ("value", "least"),
    [("3", 3.0), ("0.7", 0.7), (format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), 55.0)],
    ids=["seconds", "fraction", "date"],
)
def test_the_wait_an_endpoint_asks_for_is_kept(http: Http, value: str, least: float) -> None:
    waits: list[float] = []
    limiter = Limiter(1e5, exact=True, clock=lambda: 0.0, sleep=waits.append)
    with Hostile(Node(), {"429": (status(429, Retry_After=value), 1)}) as server:
        endpoint = Endpoint("server", SecretUrl(server.url), Limits())
        pool = Pool("test", CHAIN_ID, [endpoint], http, limiters=lambda _: limiter)
        assert pool.call("eth_blockNumber", []) == hex(10**6)
    assert least <= max(waits) <= 61.0


BATCHES: dict[str, Fault] = {
    "out of order": batch_ids(_shuffled),
    "an id missing": batch_ids(lambda d: d[1:]),
    "an id twice": batch_ids(lambda d: [*d, d[0]]),
    "a wrong id": batch_ids(lambda d: [{**d[0], "id": 999}, *d[1:]]),
    "ids as text": batch_ids(lambda d: [{**one, "id": str(one["id"])} for one in d]),
    "no ids": batch_ids(lambda d: [{k: v for k, v in one.items() if k != "id"} for one in d]),
    "one answer for all": batch_ids(lambda d: d[0]),
    "neither answer nor error": batch_ids(lambda d: [{"jsonrpc": "2.0", "id": one["id"]} for one in d]),
}


ANSWERED_AT_ONCE = {"out of order", "ids as text", "an id missing", "an id twice"}  # what has its id is believed


@pytest.mark.parametrize("name", BATCHES)
def test_answers_belong_to_their_questions(http: Http, name: str) -> None:
    with Hostile(Node(), {name: (BATCHES[name], 2)}) as server:
        headers = Blocks(pool_on(http, server)).headers(list(range(100, 140)))
        assert {number: one.hash for number, one in headers.items()} == {n: f"0x{n:064x}" for n in range(100, 140)}
        assert server.struck[name] == 2 or name in ANSWERED_AT_ONCE


WORDINGS = [
    "eth_getLogs is limited to a {limit} range",
    "exceed maximum block range: {limit}",
    "query exceeds max block range {limit}",
    "requested too many blocks from 1 to 9, maximum is set to {limit}",
    "Maximum allowed number of requested blocks is {limit}",
    "range 5000 exceeds limit of {limit}",
    "Max range: {limit}",
    "block range is too wide",
    "Block range limit exceeded.",
    "query timeout exceeded",
    "Log response size exceeded. this block range should work: [{start}, {until}]",
    "You can make eth_getLogs requests with up to a {limit} block range.",
]


@pytest.mark.parametrize("wording", WORDINGS)
def test_a_range_limit_is_learned_whatever_its_wording(http: Http, wording: str) -> None:
    with Hostile(Node(limit=50, wording=wording)) as server:
        pool = pool_on(http, server)
        logs, windows = gather(scan(pool, FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        assert server.node.refusals <= 8
        assert max(one.end - one.start for one in windows) == 50
        assert pool.stations[0].retries == 0


def test_a_lower_limit_for_one_method_leaves_the_others_alone(http: Http) -> None:
    with Hostile(Node(limit=5)) as server:
        pool = pool_on(http, server)
        gather(scan(pool, FILTERS, BlockRange(0, 100)))
        assert len(Blocks(pool).headers(list(range(50)))) == 50
        assert server.node.methods["eth_getBlockByNumber"] == 50
        assert server.node.requests <= 1 + 8 + 20 + 1


def test_null_results_are_not_empty_results(http: Http) -> None:
    null = garbled(lambda d: {**d, "result": None}, method="eth_getLogs")
    with Hostile(Node(), {"null": (null, 2)}) as server:
        logs, _ = gather(scan(pool_on(http, server), FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        assert server.struck["null"] == 2


def test_an_endpoint_on_another_chain_is_never_used(http: Http) -> None:
    with Hostile(Node(chain_id=1)) as wrong, Hostile(Node()) as right:
        pool = pool_on(http, wrong, right)
        logs, windows = gather(scan(pool, FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        assert {one.endpoint for one in windows} == {"server-1"}
        assert wrong.node.methods["eth_getLogs"] == 0
        with pytest.raises(Stop, match="chain id 1, not 424242"):
            pool_on(http, wrong).call("eth_blockNumber", [])


def test_a_refused_key_stops_its_endpoint_only(http: Http) -> None:
    refused = status(401, b'{"error":"invalid api key a-secret-key-in-the-path"}')
    with Hostile(Node(), {"401": (refused, 10**6)}) as bad, Hostile(Node()) as good:
        pool = pool_on(http, bad, good)
        assert len(Blocks(pool).headers(list(range(200)))) == 200
        assert bad.struck["401"] == 1
        with pytest.raises(Stop) as caught:
            pool_on(http, bad).call("eth_blockNumber", [])
        assert "secret" not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)


def test_no_error_ever_shows_the_url(http: Http) -> None:
    for name, fault in TRANSPORT.items():
        with Hostile(Node(), {name: (fault, 10**6)}) as server:
            with pytest.raises(CryptolakeError) as caught:
                pool_on(http, server).call("eth_blockNumber", [])
            assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_pruned_state_is_asked_elsewhere_and_the_depth_remembered(http: Http) -> None:
    with (
        Hostile(Node(pruned_below=900_000)) as recent,
        Hostile(Node(call=lambda _t, _d, block: f"0x{block:064x}")) as archive,
    ):
        pool = pool_on(http, recent, archive)
        for block in range(500_000, 500_050):
            assert pool.call("eth_call", [{"to": EMITTER, "data": "0x"}, hex(block)]) == f"0x{block:064x}"
        assert recent.node.methods["eth_call"] == 1
        assert archive.node.methods["eth_call"] == 50


def test_nobody_has_the_state(http: Http) -> None:
    with Hostile(Node(pruned_below=900_000)) as one, pytest.raises(Retry, match="archive"):
        pool_on(http, one).call("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"])


def test_logs_out_of_range_or_twice_are_not_believed(http: Http) -> None:
    stray = Node().log(5_000_000, 0)
    faults = {
        "stray": (garbled(lambda d: {**d, "result": [*d["result"], stray]}, method="eth_getLogs"), 2),
        "twice": (garbled(lambda d: {**d, "result": d["result"] * 2}, method="eth_getLogs"), 2),
        "field missing": (
            garbled(lambda d: {**d, "result": [{k: v for k, v in one.items() if k != "topics"} for one in d["result"]]},
                    method="eth_getLogs"), 1,
        ),
        "invalid text": (
            garbled(lambda d: {**d, "result": [{**one, "data": "0xzz"} for one in d["result"]]}, method="eth_getLogs"), 1,
        ),
    }  # fmt: skip
    with Hostile(Node(limit=100), faults) as server:
        logs, _ = gather(scan(pool_on(http, server), FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        assert server.struck == {"stray": 2, "twice": 2, "field missing": 1, "invalid text": 1}


def test_a_huge_answer_is_read_whole(http: Http) -> None:
    big = "0x" + "ab" * 25_000_000
    with Hostile(Node(call=lambda _t, _d, _b: big)) as server:
        assert pool_on(http, server).call("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"]) == big


def test_a_revert_is_an_answer_and_asked_once(http: Http) -> None:
    revert = garbled(lambda d: {"jsonrpc": "2.0", "id": 0, "error": {"code": 3, "message": "execution reverted", "data": "0x"}},
                     method="eth_call")  # fmt: skip
    with Hostile(Node(), {"revert": (revert, 10)}) as server:
        with pytest.raises(Skip) as caught:
            pool_on(http, server).call("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"])
        assert caught.value.reason == "revert"
        assert server.struck["revert"] == 1


def test_an_endpoint_that_failed_comes_back(http: Http) -> None:
    now = 0.0
    with Hostile(Node(), {"500": (status(500), 1)}) as first, Hostile(Node()) as second:
        endpoints = [Endpoint(f"server-{n}", SecretUrl(s.url), Limits(rate=1e5)) for n, s in enumerate((first, second))]
        pool = Pool("test", CHAIN_ID, endpoints, http, clock=lambda: now, sleep=lambda _: None)
        pool.call("eth_blockNumber", [])
        assert pool.last_endpoint == "server-1"
        before = first.node.requests
        pool.call("eth_blockNumber", [])
        assert first.node.requests == before
        now = 60.0
        pool.stations[1].learned.took(5.0)
        pool.call("eth_blockNumber", [])
        assert pool.last_endpoint == "server-0"


def test_a_batch_too_large_for_the_endpoint_is_halved(http: Http) -> None:
    def refuse(handler: Any, body: bytes) -> bool:
        if len(orjson.loads(body)) <= 10:
            return False
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch size exceeds limit of 10"}}
        return bool(handler.send(200, orjson.dumps(error)))

    with Hostile(Node(), {"batch": (refuse, 10**6)}) as server:
        assert len(Blocks(pool_on(http, server)).headers(list(range(50)))) == 50


def test_a_months_budget_stops_before_the_provider_does(http: Http) -> None:
    with Hostile(Node()) as server:
        limits = Limits(rate=1e6, unit="compute units", weights={"eth_chainId": 0, "*": 10}, monthly=100)
        pool = Pool("test", CHAIN_ID, [Endpoint("mine", SecretUrl(server.url), limits)], http, sleep=lambda _: None)
        for _ in range(10):
            pool.call("eth_blockNumber", [])
        with pytest.raises(Stop, match="has used its 100 compute units of this month"):
            pool.call("eth_blockNumber", [])
        assert server.node.methods["eth_blockNumber"] == 10


def test_a_chain_without_the_finalized_tag_is_read_behind_its_head(http: Http) -> None:
    def no_tag(handler: Any, body: bytes) -> bool:
        question = orjson.loads(body)
        if isinstance(question, list) or question["params"][:1] != ["finalized"]:
            return False
        error = {"code": -32602, "message": "invalid argument 0: hex string without 0x prefix"}
        return bool(handler.send(200, orjson.dumps({"jsonrpc": "2.0", "id": question["id"], "error": error})))

    with Hostile(Node(head=5000), {"no tag": (no_tag, 10**6)}) as server:
        pool = pool_on(http, server)
        assert pool.finalized() == 5000 - 64
        assert pool.finality_assumed


@pytest.mark.parametrize(
    "url", ["rpc.example.com", "localhost:8545", "//x", "http://", "http://[::1", "ftp://x/", "http://a b/"]
)
def test_an_address_that_is_no_url_costs_its_endpoint_only(http: Http, url: str) -> None:
    with Hostile(Node()) as well:
        found = [Endpoint(f"server-{n}", SecretUrl(one), Limits(rate=1e6)) for n, one in enumerate((url, well.url))]
        logs, _ = gather(scan(Pool("test", CHAIN_ID, found, http, sleep=lambda _: None), FILTERS, RANGE))
        assert [one.block for one in logs] == TRUTH
        alone = Pool("test", CHAIN_ID, found[:1], http, sleep=lambda _: None)
        with pytest.raises(Stop, match="is no URL; look at CRYPTOLAKE_RPC_"):
            alone.call("eth_blockNumber", [])
        with pytest.raises(Stop, match="is no URL; look at CRYPTOLAKE_RPC_"):
            gather(scan(alone, FILTERS, RANGE))
