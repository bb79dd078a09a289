"""The probe finds an endpoint's true abilities, and names the one thing that is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
import pytest
from tests.hostile.server import Hostile, status
from tests.net.node import CHAIN_ID, Node, linear
from tests.waiting import PATIENCE_S

from cryptolake.net.counted import CountedHttp
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.limiter import Limiter
from cryptolake.net.probe import MOST_CALLS, Probed, probe
from cryptolake.work.endpoints import kept


def probed(server: Hostile, *, archive: int | None = None) -> Probed:
    http = CountedHttp(MOST_CALLS, timeout_s=PATIENCE_S)
    endpoint = Endpoint("mine", SecretUrl(server.url), Limits(rate=10_000, log_span=2000, archive=archive))
    try:
        return probe("test", CHAIN_ID, endpoint, http)
    finally:
        http.close()


def node(**more: object) -> Node:
    head = 1_000_000
    more.setdefault("call", lambda *_: "0x0")
    return Node(time=linear(int(time.time()) - 12 * head - 30, 12), head=head, **more)  # type: ignore[arg-type]


def failing(code: int, method: str) -> Callable[[object, bytes], bool]:
    """Answers everything that asks `method` with this status."""

    def fail(handler: object, body: bytes) -> bool:
        return method.encode() in body and bool(status(code)(handler, body))  # type: ignore[arg-type]

    return fail


def test_the_depth_is_found_out_whatever_the_settings_allow() -> None:
    with Hostile(node()) as server:
        assert probed(server, archive=100).archive_full


@pytest.mark.parametrize("limit", [10, 1000, 1024, 50_000])
def test_an_archive_endpoint(limit: int) -> None:
    with Hostile(node(limit=limit)) as server:
        found = probed(server)
    assert found.reachable
    assert found.chain_ok
    assert not found.problem
    assert found.archive_full
    assert found.log_span == limit
    assert found.batch == 100
    assert found.addresses == 1000
    assert found.burst == 32
    assert 0 < found.calls <= MOST_CALLS
    assert found.lag_s is not None
    assert 25 <= found.lag_s <= 90
    assert found.latency_s is not None


def test_a_pruned_endpoint_tells_its_depth() -> None:
    with Hostile(node(pruned_below=900_000)) as server:
        found = probed(server)
    assert found.archive_full is False
    assert found.archive_days is not None
    assert 0 < found.archive_days <= 14


def test_a_small_batch_limit() -> None:
    def refuse(handler: object, body: bytes) -> bool:
        document = orjson.loads(body)
        if not isinstance(document, list) or len(document) <= 50:
            return False
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch size limit exceeded"}}
        return bool(handler.send(200, orjson.dumps(error)))  # type: ignore[attr-defined]

    with Hostile(node(), {"batch": (refuse, 10**6)}) as server:
        assert probed(server).batch == 50


def test_what_is_wrong_is_named() -> None:
    with Hostile(node(chain_id=1)) as server:
        found = probed(server)
    assert found.chain_ok is False
    assert "chain id 1" in found.problem
    with Hostile(node(), {"401": (status(401), 10**6)}) as server:
        assert "key or plan" in probed(server).problem
    with Hostile(node()) as server:
        url = server.url
    gone = probe("test", CHAIN_ID, Endpoint("mine", SecretUrl(url)), CountedHttp(MOST_CALLS, timeout_s=PATIENCE_S))
    assert not gone.reachable
    assert "secret" not in gone.problem


def test_only_limits_that_were_met_are_kept() -> None:
    """What is only the most that was tried is none: kept as a ceiling it would shut out what the endpoint gives."""
    with Hostile(node()) as server:
        found = probed(server)
    assert (found.limits, kept([found])) == ((), {})
    with Hostile(node(limit=1000, pruned_below=910_000)) as server:
        found = probed(server)
    assert set(found.limits) == {"span", "archive"}
    ((name, tables),) = kept([found]).items()
    assert (name, tables["span"]) == ("mine", 1000)
    assert 0.98 * 90_000 <= tables["archive"] <= 90_000


@pytest.mark.parametrize("code", [429, 502])
@pytest.mark.parametrize("only", ["eth_getBalance", "eth_getLogs", "eth_blockNumber"])
def test_trouble_that_passes_makes_no_limit(code: int, only: str) -> None:
    """One failure at any question: what the endpoint can do is not said to be less."""
    with Hostile(node(), {"trouble": (failing(code, only), 1)}) as server:
        found = probed(server)
    assert kept([found]) == {}, found


@pytest.mark.parametrize("only", ["eth_chainId", "eth_getBlockByNumber", "eth_blockNumber", "eth_getBalance"])
def test_one_failure_leaves_nothing_unmeasured(only: str) -> None:
    with Hostile(node(), {"trouble": (failing(502, only), 1)}) as server:
        found = probed(server)
    assert (found.reachable, found.chain_ok, found.problem) == (True, True, "")
    assert None not in (found.head, found.latency_s, found.archive_full, found.log_span, found.batch, found.addresses)


@pytest.mark.parametrize("rate", [25.0, 200.0])
def test_our_own_rate_is_no_limit_of_the_endpoint(rate: float) -> None:
    """What is kept was sent to the endpoint and refused by it: it takes any batch, whatever rate the user has set."""
    sizes: list[int] = []

    def note(_handler: object, body: bytes) -> bool:
        document = orjson.loads(body)
        if isinstance(document, list):
            sizes.append(len(document))
        return False

    with Hostile(node(), {"note": (note, 10**6)}) as server:
        http = CountedHttp(MOST_CALLS, timeout_s=PATIENCE_S)
        endpoint = Endpoint("mine", SecretUrl(server.url), Limits(rate=rate, told=True))
        limiter = Limiter(rate, exact=True, sleep=lambda _: None)
        found = probe("test", CHAIN_ID, endpoint, http, lambda _: limiter)
        http.close()
    assert "batch" not in found.limits
    assert found.batch == max(sizes) == min(rate, 100)
