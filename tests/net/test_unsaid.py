"""Failures that give no reason: a rate enforced without saying so, trouble at random, and answers that are none to too much.

None of them may be taken for another: a rate is no size, trouble is neither, and what is no list of logs may be a size.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import orjson
import pytest
from benchmarks.enforcing import Bucket, Rule
from tests.examples import representative
from tests.hostile.server import Fault, Hostile, reset
from tests.net.node import CHAIN_ID, EMITTER, TOPIC, Node
from tests.waiting import PATIENCE_S

from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rate_trial import RateTrial
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
SPAN, WINDOWS = 10, 120
Refuse = Callable[[Any, Any], bool]


def in_band(code: int, words: str, status: int = 200) -> Refuse:
    def send(handler: Any, questions: Any) -> bool:
        error = {"code": code, "message": words}
        asked = questions if isinstance(questions, list) else [questions]
        found = [{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in asked]
        return bool(handler.send(status, orjson.dumps(found if isinstance(questions, list) else found[0])))

    return send


def page(status: int, body: bytes = b"<html><body>nginx</body></html>") -> Refuse:
    return lambda handler, _: bool(handler.send(status, body))


SILENT: dict[str, Refuse] = {
    "a proxy's page with 503": page(503),
    "a guard's page with 403": page(403, b"<html>Attention Required! | Cloudflare</html>"),
    "a guard's code": page(403, b"error code: 1015"),
    "a bare 500": page(500, b""),
    "a bare 529": page(529, b""),
    "a page with 200": page(200),
    "server busy": in_band(-32000, "server busy"),
    "internal error": in_band(-32603, "Internal error"),
    "unknown words": in_band(-32099, "no"),
    "unknown words with 500": in_band(-32099, "no", 500),
    "a reset": lambda handler, _: reset(handler, b""),
}


@pytest.fixture(scope="module")
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


def enforcing(rule: Rule, refuse: Refuse) -> Fault:
    """Lets through what the rule admits, counted by call, and refuses the rest in this way."""
    lock = threading.Lock()

    def fault(handler: Any, body: bytes) -> bool:
        questions = orjson.loads(body)
        with lock:
            admitted = rule.admits(time.monotonic(), len(questions) if isinstance(questions, list) else 1)
        return False if admitted else refuse(handler, questions)

    return fault


def failing(share: float, refuse: Refuse) -> Fault:
    """Fails at random, whatever is asked."""
    lots = random.Random(5)

    def fault(handler: Any, body: bytes) -> bool:
        return lots.random() < share and refuse(handler, orjson.loads(body))

    return fault


def pool_on(http: Http, server: Hostile, limits: Limits, *, sleep: Callable[[float], object] = time.sleep) -> Pool:
    endpoint = Endpoint("server", SecretUrl(server.url), limits)
    return Pool("test", CHAIN_ID, [endpoint], http, sleep=sleep)  # type: ignore[arg-type]


@pytest.mark.parametrize("told", [True, False], ids=["told twice too fast", "guessed"])
@pytest.mark.parametrize("how", SILENT)
def test_a_rate_that_is_enforced_without_saying_so_is_found(http: Http, how: str, told: bool) -> None:
    """Nothing is given up, no window is cut, and the endpoint is not asked again and again in vain."""
    limits = Limits(rate=160.0 if told else 60.0, told=told, log_span=SPAN, most_blocks=SPAN)
    with Hostile(Node(logs_of=lambda _: []), {"rate": (enforcing(Bucket(80.0, 40.0), SILENT[how]), 10**9)}) as server:
        pool = pool_on(http, server, limits)
        headers = Blocks(pool).headers(list(range(30)))
        _, windows = gather(scan(pool, FILTERS, BlockRange(0, WINDOWS * SPAN)))
        asked = len(server.arrivals)
    assert len(headers) == 30
    assert {one.end - one.start for one in windows} == {SPAN}
    assert pool.stations[0].stopped is None
    assert asked <= 1.6 * WINDOWS + 40


@pytest.mark.parametrize(("how", "share"), representative(product(SILENT, [0.02, 0.1, 0.3])))
def test_trouble_at_random_is_neither_a_size_nor_a_rate(http: Http, how: str, share: float) -> None:
    """What was answered before is asked again as it is; spans and batches stay, and so does the rate."""
    node = Node(limit=2000, logs_of=lambda number: [0] if number % 7 == 0 else [])
    limits = Limits(rate=1e6, told=True, log_span=2000, most_blocks=2000)
    with Hostile(node, {"trouble": (failing(share, SILENT[how]), 10**9)}) as server:
        pool = pool_on(http, server, limits, sleep=[].append)
        logs, _ = gather(scan(pool, FILTERS, BlockRange(0, 100_000)))
        headers = Blocks(pool).headers(list(range(1000)))
        asked = len(server.arrivals)
    assert [one.block for one in logs] == list(range(0, 100_000, 7))
    assert len(headers) == 1000
    ideal = (50 + 10) / (1 - share)
    assert asked <= 4 * ideal
    assert pool.stations[0].learned.span >= 1000


ODD: dict[str, Callable[[list[Any]], object]] = {
    "null": lambda _: None,
    "an empty object": lambda _: {},
    "false": lambda _: False,
    "a text": lambda _: "too wide",
    "a number": lambda _: 7,
    "an error inside": lambda _: {"error": {"code": -32000, "message": "no"}},
    "logs and a cursor": lambda logs: {"logs": logs[:1], "cursor": "0x2"},
    "a list of null": lambda _: [None],
    "a mark at its end": lambda logs: [*logs[:1], {"nextPage": "0x2"}],
    "a log cut short": lambda logs: [*logs[:1], {"address": EMITTER}],
    "a log that is pending": lambda logs: [*logs[:1], {**logs[0], "blockNumber": None}],
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_to_a_wide_question_is_asked_in_smaller_ones(http: Http, odd: str) -> None:
    def fault(handler: Any, body: bytes) -> bool:
        question = orjson.loads(body)
        if isinstance(question, list) or question["method"] != "eth_getLogs":
            return False
        (asked,) = question["params"]
        if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) < 1000:
            return False
        answer = orjson.loads(handler.server.hostile.node.answer(body))
        return bool(handler.send(200, orjson.dumps({**answer, "result": ODD[odd](answer["result"])})))

    with Hostile(Node(), {"odd": (fault, 10**9)}) as server:
        pool = pool_on(http, server, Limits(rate=1e6, log_span=2000), sleep=[].append)
        logs, _ = gather(scan(pool, FILTERS, BlockRange(0, 6000)))
        asked = len(server.arrivals)
    assert [one.block for one in logs] == list(range(0, 6000, 7))
    assert asked <= 40


def test_it_is_tried_once_and_seldom_again_where_slowness_is_in_vain() -> None:
    trial, rate, trials, now = RateTrial(), 100.0, 0, 0.0
    for number in range(20_000):
        if number % 3 == 0:
            trial.refused(rate)
        else:
            trial.answered()
        if trial.due and (found := trial.rate(now, rate, rate)) is not None:
            trials += found < rate
            rate = found
        now += 1 / rate
    assert rate == 100.0
    assert 1 <= trials <= 4


def test_a_rate_that_was_found_is_not_gone_below_without_a_new_trial() -> None:
    trial = RateTrial()
    for _ in range(20):
        assert trial.refused(100.0) == "trouble"
        trial.answered()
    slower = trial.rate(0.0, 100.0, 80.0)
    assert slower is not None
    assert slower < 40
    for _ in range(60):
        trial.answered()
    assert trial.rate(1.0, slower, slower) is None
    assert trial.refused(slower) == "trouble"
    assert trial.refused(2 * slower) == "rate"
