"""Who is asked next: by blocks per second left for logs, by the wait for everything else."""

from __future__ import annotations

import pytest
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.errors import Stop
from cryptolake.net.blocks import BlockRange
from cryptolake.net.choice import LOGS, fitting, in_flight, next_for_logs, order, worth_asking
from cryptolake.net.endpoint import Endpoint, Learned, Limits, SecretUrl, Station
from cryptolake.net.limiter import for_limit
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]


def station(name: str, span: int, rate: float = 25.0, *, told: bool = True) -> Station:
    """An endpoint whose span is known."""
    limits = Limits(rate=rate, log_span=span, told=told)
    one = Station(Endpoint(name, SecretUrl(name), limits), for_limit(rate, told=told), Learned(span))
    one.learned.refused(span + 1, span)
    one.learned.answered(span)
    return one


def names(stations: list[Station]) -> list[str]:
    """Whom it is about."""
    return [one.endpoint.name for one in stations]


PUBLIC, KEYS = ("public", 2000), [("key-1", 10), ("key-2", 10), ("key-3", 10)]


def test_free_keys_of_ten_blocks_leave_logs_to_the_wider_endpoint() -> None:
    stations = [*(station(*one) for one in KEYS), station(*PUBLIC)]
    assert names(worth_asking(stations, 5)) == ["public"]
    assert in_flight(stations, LOGS) == in_flight([station(*PUBLIC)], LOGS)
    assert names(order(stations, "eth_call", None, 0.0)) == ["key-1", "key-2", "key-3", "public"]


def test_many_calls_go_to_who_is_through_with_all_of_them_soonest() -> None:
    slow, quick = station("slow", 2000, rate=5.0), station("quick", 2000, rate=100.0)
    assert names(order([slow, quick], "eth_getBlockByNumber", None, 0.0)) == ["slow", "quick"], "one call: as listed"
    assert names(order([slow, quick], "eth_getBlockByNumber", None, 0.0, calls=50)) == ["quick", "slow"]
    quick.limiter.reserve(2000)  # it is busy for 20 s, the other through with them in 10
    assert names(order([slow, quick], "eth_getBlockByNumber", None, 0.0, calls=50)) == ["slow", "quick"]


def test_free_keys_take_over_where_nobody_else_can() -> None:
    keys, public = [station(*one) for one in KEYS], station(*PUBLIC)
    assert names(worth_asking(keys, 5)) == ["key-1", "key-2", "key-3"]
    public.stopped = "refuses the key"
    assert names(worth_asking([*keys, public], 5)) == ["key-1", "key-2", "key-3"]
    public.stopped = None
    public.learned.pruned("logs", 5)
    assert names(worth_asking([*keys, public], 5)) == ["key-1", "key-2", "key-3"]


def test_one_failure_does_not_send_a_run_to_the_dear_endpoints_but_many_do() -> None:
    key, public = station(*KEYS[0]), station(*PUBLIC)
    public.failures, public.back_at = 1, 15.0
    assert next_for_logs([key, public], 5, 0.0) is public
    public.failures = 6
    assert next_for_logs([key, public], 5, 0.0) is key
    assert next_for_logs([key, public], 5, 20.0) is key, "listed first, as soon to answer"


def test_endpoints_of_the_same_order_share_the_work() -> None:
    stations = [station("a", 2000), station("b", 1000), station("c", 10_000, 5.0)]
    assert names(worth_asking(stations, 5)) == ["a", "b", "c"]


def test_nobody_left_is_said() -> None:
    one = station("a", 10)
    one.stopped = "gone"
    with pytest.raises(Stop):
        next_for_logs([one], 5, 0.0)


def test_free_keys_never_make_a_run_dearer() -> None:
    """The same scan alone and beside three keys: no call more than threads may differ by that search side by side."""
    alone = Node(limit=2000)
    gather(scan(pool_of(alone), FILTERS, BlockRange(0, 400_000)))
    keys, public = [Node(limit=10, wording="up to a {limit} block range") for _ in range(3)], Node(limit=2000)
    pool = pool_of(*keys, public)
    for one in pool.stations[:3]:
        one.learned.refused(2000, 10)
        one.learned.answered(10)
    logs, windows = gather(scan(pool, FILTERS, BlockRange(0, 400_000)))
    assert len(logs) == len(range(0, 400_000, 7))
    assert {window.endpoint for window in windows} == {"node-3"}
    assert public.methods["eth_getLogs"] <= alone.methods["eth_getLogs"] + 2
    assert sum(key.methods["eth_getLogs"] for key in keys) == 0


def test_a_request_holds_what_the_limit_lets_through_at_once() -> None:
    headers = ["eth_getBlockByNumber"] * 100
    assert fitting(station("told", 10, 50.0), headers) == 4
    assert fitting(station("guessed", 10, 50.0, told=False), headers) == 49
    assert fitting(station("slow", 10, 1.0), headers) == 1
    units = Limits(rate=300, weights={"eth_getLogs": 60, "*": 20}, told=True)
    one = Station(Endpoint("units", SecretUrl("x"), units), for_limit(300, cost=units.dearest), Learned(10))
    assert fitting(one, headers) == 3
