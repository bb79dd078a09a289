"""No words end a day: what could be asked smaller is, and a refusal is believed when a smaller or simpler one holds too."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any

import orjson
import pytest
from tests.examples import representative
from tests.net.node import ADDRESSES, CHAIN_ID, EMITTER, TOPIC, Node
from tests.waiting import PATIENCE_S, until

from cryptolake.contracts.partition import Period
from cryptolake.errors import Retry
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.faults import Behind, RpcFault
from cryptolake.net.http import Answer, Http, TooSlow, retry_after
from cryptolake.net.limiter import SHARE, Limiter
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
# What a server does with the questions of a request: None to answer them, else an HTTP status, body and headers.
Rule = Callable[[Any], tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | None]


@dataclass
class Time:
    """A clock that passes by sleeping only."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def elapse(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Server(Http):
    """A node behind a rule, without HTTP; what was asked is kept."""

    rule: Rule
    node: Node = field(default_factory=Node)
    asked: list[Any] = field(default_factory=list)
    takes_s: float = 0.0
    time: Time | None = None  # that passes while it answers

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        if self.time is not None:
            self.time.elapse(self.takes_s)
        questions = orjson.loads(body)
        self.asked.append(questions)
        status, said, *more = self.rule(questions) or (200, None)
        return Answer(status, more[0] if more else {}, self.node.answer(body) if said is None else said, self.takes_s)

    @property
    def calls(self) -> int:
        """Calls that were sent, those of batches one by one."""
        return sum(len(one) if isinstance(one, list) else 1 for one in self.asked)


class Several(Http):
    """Servers behind one client, told by their number."""

    def __init__(self, *servers: Server) -> None:
        self.servers = servers

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        return self.servers[int(url)].post(url, body)


def pool_on(*servers: Server, rate: float = 1e6, told: bool = True, time: Time | None = None, span: int = 2000) -> Pool:
    """The real pool and its real limiters over servers, on a clock that only passes by sleeping."""
    clock = time or Time()
    found = [
        Endpoint(f"e{number}", SecretUrl(str(number)), Limits(rate=rate, max_batch=100, told=told, log_span=span))
        for number in range(len(servers))
    ]
    return Pool(
        "test", CHAIN_ID, found, Several(*servers), clock=clock, sleep=clock.elapse,
        limiters=lambda _: Limiter(rate * SHARE, exact=True, told=told, clock=clock, sleep=clock.elapse),
    )  # fmt: skip


def error(questions: Any, code: int, words: str) -> bytes:
    """One error for the whole request."""
    number = None if isinstance(questions, list) else questions["id"]
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": words}})


def blocks_of(questions: Any) -> int:
    """How many blocks of logs a request asks for."""
    if isinstance(questions, list) or questions["method"] != "eth_getLogs":
        return 0
    (asked,) = questions["params"]
    return int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) + 1


def at_most(limit: int, words: str, code: int = -32602, status: int = 200) -> Rule:
    """Refuses logs of more blocks than the limit with these words."""
    return lambda asked: (status, error(asked, code, words)) if blocks_of(asked) > limit else None


def once(status: int, code: int, words: str, at: int, body: bytes | None = None) -> Rule:
    """Refuses the request of this number only."""
    number = 0

    def rule(asked: Any) -> tuple[int, bytes] | None:
        nonlocal number
        number += 1
        return (status, error(asked, code, words) if body is None else body) if number == at else None

    return rule


def scanned(pool: Pool, blocks: int, first: int = 0, filters: list[LogFilter] = FILTERS) -> None:
    """Scan and see that every log came."""
    logs, windows = gather(scan(pool, filters, BlockRange(first, first + blocks)))
    assert [one.block for one in logs] == [number for number in range(first, first + blocks) if number % 7 == 0]
    assert sum(one.end - one.start for one in windows) == blocks


MISLEADING = [
    # as a key or plan
    "Your API key does not permit log queries this wide", "Unauthorized query width, upgrade your access token",
    "access denied: query too wide for this API key",
    # as a period that is used up
    "Free plan: log queries may span one month of data at most", "query width above the daily allowance of a query",
    "not enough credits for a query this wide",
    # as a missing archive
    "Wide log scans are not supported on the free plan", "Large queries need an archive plan",
    "This log query is not available on your plan", "historical queries of this width are for paid plans",
    "header not found", "missing trie node",
    # as a rate
    "Log query exceeds the compute units of a single request", "Query cost exceeds capacity", "query weight over quota",
    "request limit exceeded: query weight 2000", "server is overloaded",
    # as a head
    "query exceeds block height range 1,000", "block range greater than block number limit", "still syncing",
    "range end is above latest allowed block for this fromBlock",
    # as a revert
    "eth_getLogs query of this width would revert the cache", "execution reverted",
]  # fmt: skip


@pytest.mark.parametrize(("words", "status"), representative(product(MISLEADING, [200, 400, 403, 503])))
def test_a_window_is_halved_before_words_of_another_kind_are_believed(words: str, status: int) -> None:
    server = Server(at_most(1000, words, status=status))
    pool = pool_on(server)
    scanned(pool, 7200)
    assert pool.stations[0].stopped is None
    assert len(server.asked) <= 40
    before = len(server.asked)
    scanned(pool, 72_000, first=7200)
    assert len(server.asked) - before <= 120, "what was found out is known"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 500])
def test_a_window_is_halved_whatever_status_refuses_it(status: int) -> None:
    server = Server(lambda asked: (status, b"") if blocks_of(asked) > 1000 else None)
    pool = pool_on(server)
    scanned(pool, 7200)
    assert pool.stations[0].stopped is None
    assert len(server.asked) <= 40


PASSING = [
    (429, -32005, "Too many requests. Upgrade to a monthly plan for more."),
    (429, 429, "Your app has exceeded its compute units per second capacity. See billing period details"),
    (200, -32603, "internal error: cannot verify api key, please retry"),
    (500, -32603, "upstream authentication failed"), (503, -32603, "Temporary error while checking billing"),
    (200, -32000, "header not found"), (200, -32000, "block not found"), (200, -32601, "method handler crashed, not available"),
    (429, 429, "rate limit exceeded; plan reverted to free"), (200, 3, "upstream unavailable"),
    (401, 0, ""), (402, 0, ""), (403, 0, ""),
]  # fmt: skip


@pytest.mark.parametrize(("passing", "at"), representative(product(PASSING, range(1, 7)), times=2))
def test_one_refusal_that_passes_ends_no_endpoint(passing: tuple[int, int, str], at: int) -> None:
    status, code, words = passing
    server = Server(once(status, code, words, at, None if words else b""))
    server.node.call = lambda *_: "0x07"
    pool = pool_on(server)
    assert len(Blocks(pool).headers(range(40))) == 40
    assert pool.call("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"]) == "0x07"
    scanned(pool, 40_000)
    assert pool.stations[0].stopped is None
    assert pool.stations[0].learned.reaches("logs", 0)
    assert len(server.asked) <= 45


NO_REVERTS = [
    (429, -32005, "rate limit exceeded; your plan was reverted to free"), (429, 3, "execution reverted"),
    (503, 3, "service unavailable"), (503, 3, "execution reverted"),
    (500, -32603, "reverting to a previous snapshot, retry later"),
    (200, 3, "invalid argument"), (200, 3, "upstream unavailable"), (200, 3, "rate limited"),
    (200, 3, "monthly quota exceeded"),
    (200, -32603, "cannot revert snapshot"), (200, -32000, "rate limit exceeded; your plan was reverted to free"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "words"), NO_REVERTS)
def test_trouble_is_never_the_contracts_answer(status: int, code: int, words: str) -> None:
    server = Server(once(status, code, words, 3))
    server.node.call = lambda *_: "0x07"
    assert pool_on(server).batch([("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"])]) == ["0x07"]


@pytest.mark.parametrize(
    "words", ["execution reverted", "execution reverted: rate limit exceeded", "VM execution error.", "revert"]
)
def test_a_revert_is_the_contracts_answer(words: str) -> None:
    server = Server(lambda asked: (200, error(asked, -32000, words)) if "eth_call" in str(asked) else None)
    (answer,) = pool_on(server).batch([("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"])])
    assert isinstance(answer, RpcFault)


REASON = "0x08c379a0" + "20".rjust(64, "0") + "3".rjust(64, "0") + b"OLD".hex().ljust(64, "0")
NOT_LIVE, UNREADABLE = "0x4b1c1a0b", "0x08c379a0c379a0"


@pytest.mark.parametrize("data", [REASON, NOT_LIVE, "0x"])
@pytest.mark.parametrize("status", [200, 400, 404, 422, 429, 500, 502, 503])
@pytest.mark.parametrize("calls", [1, 3])
def test_a_revert_is_one_whatever_the_status_when_code_words_and_data_say_so(
    data: str, status: int, calls: int
) -> None:
    fault = {"code": 3, "message": "execution reverted: OLD", "data": data}

    def rule(asked: Any) -> tuple[int, bytes] | None:
        members = asked if isinstance(asked, list) else [asked]
        found = [{"jsonrpc": "2.0", "id": one["id"], "error": fault} for one in members]
        reads = members[0]["method"] == "eth_call"
        return (status, orjson.dumps(found if isinstance(asked, list) else found[0])) if reads else None

    server = Server(rule)
    answers = pool_on(server).batch([("eth_call", [{"to": EMITTER, "data": hex(one)}, "0x10"]) for one in range(calls)])
    assert answers == [RpcFault(3, "execution reverted: OLD", data)] * calls
    assert len(server.asked) <= 3


@pytest.mark.parametrize(
    ("code", "words", "data"),
    [(3, "execution reverted", UNREADABLE), (3, "service unavailable", REASON), (-32603, "execution reverted", REASON)],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_status_of_trouble_is_believed_where_one_of_them_says_otherwise(
    status: int, code: int, words: str, data: str
) -> None:
    said = orjson.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": words, "data": data}})
    server = Server(once(status, 0, "", 3, said))
    server.node.call = lambda *_: "0x07"
    assert pool_on(server).batch([("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"])]) == ["0x07"]


def given(change: Callable[[list[Any]], Any]) -> Rule:
    """Answers batches with what is made of the true answers."""

    def rule(asked: Any) -> tuple[int, bytes] | None:
        if not isinstance(asked, list):
            return None
        return 200, orjson.dumps(change(orjson.loads(Node().answer(orjson.dumps(asked)))))

    return rule


def arrays(status: int, words: str = "", most: int = 1) -> Rule:
    """Refuses batches of more calls."""
    return lambda asked: (
        (status, error(asked, -32600, words) if words else b"")
        if isinstance(asked, list) and len(asked) > most
        else None
    )


ODD_BATCHES: dict[str, Rule] = {
    "the first ten": given(lambda found: found[:10]),
    "the first": given(lambda found: found[0]),
    "doubled": given(lambda found: found + found),
    "without ids": given(lambda found: [{k: v for k, v in one.items() if k != "id"} for one in found]),
    "ids from one": given(lambda found: [{**one, "id": one["id"] + 1} for one in found]),
    "equal ids": given(lambda found: [{**one, "id": 0} for one in found]),
    "one, and no others": given(lambda found: found[:1] + [{"id": one["id"], "result": None} for one in found[1:]]),
    "ten, and too much": given(
        lambda found: found[:10] + [{"id": one["id"], "error": {"code": -32005, "message": "limit"}} for one in found[10:]]
    ),
    **{f"HTTP {status}": arrays(status) for status in (400, 401, 402, 403, 404, 405, 413, 429, 500)},
    **{f"HTTP {status} over ten": arrays(status, most=10) for status in (401, 403, 429, 503)},
    **{
        words: arrays(200, words, most=10)
        for words in ("JSON array not supported", "too many calls", "bulk requests are limited", "access denied for arrays",
                      "monthly plan needed", "header not found", "rate limit: one by one")
    },
}  # fmt: skip


@pytest.mark.parametrize("rate", [25.0, 200.0])
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("name", ODD_BATCHES)
def test_a_batch_is_halved_down_to_single_calls_whatever_refuses_it(name: str, rate: float, told: bool) -> None:
    time = Time()
    server = Server(ODD_BATCHES[name])
    pool = pool_on(server, rate=rate, told=told, time=time)
    assert len(Blocks(pool).headers(range(100))) == 100
    assert pool.stations[0].stopped is None
    assert len(server.asked) <= 1 + 100 + 25
    assert time.now - 1000 <= 60


def test_batches_fit_a_limit_that_counts_their_calls() -> None:
    """Ten calls in any second, nobody told, and the first guess of a batch can never pass."""
    time, taken = Time(), list[float]()

    def rule(asked: Any) -> tuple[int, bytes] | None:
        count = len(asked) if isinstance(asked, list) else 1
        recent = [at for at in taken if at > time.now - 1.0]
        if len(recent) + count > 10:
            return 429, error(asked, 429, "Too many requests")
        taken.extend([time.now] * count)
        return None

    server = Server(rule)
    assert len(Blocks(pool_on(server, rate=25.0, told=False, time=time)).headers(range(300))) == 300
    assert time.now - 1000 <= 2 * 300 / 10


@pytest.mark.parametrize(
    ("code", "words"),
    [(-32005, "limit exceeded"), (429, "Too many requests"), (-32603, "Internal error"), (-32000, "request timed out")],
)
@pytest.mark.parametrize("some", [1, 10])
def test_a_batch_that_is_answered_in_part_is_asked_smaller(code: int, words: str, some: int) -> None:
    fault = {"code": code, "message": words}
    server = Server(given(lambda found: found[:some] + [{"id": one["id"], "error": fault} for one in found[some:]]))
    assert len(Blocks(pool_on(server)).headers(range(300))) == 300
    assert server.calls <= 2 * 300 + 250


def test_one_call_that_is_refused_for_itself_leaves_batches_as_they_are() -> None:
    def poisoned(found: list[Any]) -> list[Any]:
        return [
            one if one["id"] != 7 else {"id": 7, "error": {"code": -32603, "message": "Internal error"}}
            for one in found
        ]

    server = Server(given(poisoned))
    pool = pool_on(server)
    assert len(Blocks(pool).headers(range(100))) == 100
    assert len(server.asked) <= 4
    assert pool.stations[0].learned.batch.size == 100


def test_a_question_that_is_refused_for_good_is_given_up_and_the_endpoint_is_not() -> None:
    """Logs are not for this key, calls are."""
    rule = at_most(0, "Your API key does not permit eth_getLogs")
    server = Server(rule)
    pool = pool_on(server)
    with pytest.raises(Exception, match="refuses the key or plan"):
        gather(scan(pool, FILTERS, BlockRange(0, 7200)))
    assert len(server.asked) <= 60


WRONG_NUMBERS = [
    "block range exceeds limit 0x3e8", "Max range: 0x3e8 blocks exceeded", "maximum 1 000 blocks per query", "max 1.000 blocks",
    "block range limited to 1 day", "Maximum block range on plan 1 is 1,000 blocks", "max block range for tier 2 is 1000",
    "block range limited to 3 hours of blocks", "exceeds max block range for chain 5: 1000",
    "eth_getLogs is limited to 24h of history per query", "max block range 1999", "max range 1 block", "limited to a 2 range",
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG_NUMBERS)
def test_a_wrong_number_in_the_words_costs_a_few_questions(words: str) -> None:
    server = Server(at_most(1000, words))
    pool = pool_on(server)
    scanned(pool, 72_000)
    assert pool.stations[0].learned.span == 1000
    assert len(server.asked) <= 2 + math.ceil(72_000 / 1000) + 20


@pytest.mark.parametrize("number", [1, 2, 3, 9, 10, 11, 99, 999, 1001, 1999, 2000, 5000])
def test_any_number_in_the_words_costs_a_few_questions(number: int) -> None:
    for limit in (10, 100, 1000):
        server = Server(at_most(limit, f"block range exceeds limit {number}"))
        scanned(pool_on(server), 20 * limit)
        assert len(server.asked) <= 2 + 20 + 20


@pytest.mark.parametrize(
    "words", ["eth_getLogs is limited to a {limit} range", "block range is too wide", "Internal error"]
)
def test_a_limit_that_is_raised_is_found(words: str) -> None:
    logs = 0

    def rule(asked: Any) -> tuple[int, bytes] | None:
        nonlocal logs
        logs += blocks_of(asked) > 0
        limit = 100 if logs <= 20 else 10_000
        return (200, error(asked, -32600, words.format(limit=limit))) if blocks_of(asked) > limit else None

    server = Server(rule)
    scanned(pool_on(server), 72_000)
    assert len(server.asked) <= 150


@pytest.mark.parametrize(
    "words", ["eth_getLogs is limited to a {limit} range", "block range is too wide", "Internal error"]
)
def test_a_limit_that_falls_and_is_raised_again_is_found(words: str) -> None:
    logs = 0

    def rule(asked: Any) -> tuple[int, bytes] | None:
        nonlocal logs
        logs += blocks_of(asked) > 0
        limit = 2000 if not 10 < logs <= 30 else 100
        return (200, error(asked, -32600, words.format(limit=limit))) if blocks_of(asked) > limit else None

    server = Server(rule)
    scanned(pool_on(server), 72_000)
    assert len(server.asked) <= 200


def test_one_refusal_of_a_batch_is_no_limit_for_ever() -> None:
    server = Server(once(200, -32600, "batch of more than 2 calls refused", 2))
    assert len(Blocks(pool_on(server)).headers(range(2000))) == 2000
    assert len(server.asked) <= 80


OF_BLOCKS = [
    "Block range is too large, narrow your filters", "Use a smaller range or more specific address filters",
    "block range limited to 1,000 unless an address is given", "exceeds max block range 1,000. See topics in our docs",
    "Query exceeds the allowed block range. Use a smaller range or more specific address filters.",
    "Too large: limit your query by range, address or topics", "too many addresses", "exceed max topics: 5",
]  # fmt: skip


@pytest.mark.parametrize("words", OF_BLOCKS)
def test_words_that_name_the_wrong_dimension_find_back(words: str) -> None:
    server = Server(at_most(1000, words))
    filters = [*FILTERS, *(LogFilter(one, frozenset({TOPIC})) for one in ADDRESSES)]
    pool = pool_on(server)
    scanned(pool, 7200, filters=filters)
    assert len(server.asked) <= 40
    assert pool.stations[0].learned.addresses.size >= len(filters)


def test_one_missing_header_leaves_the_wider_endpoint_its_work() -> None:
    def flaps() -> Rule:
        logs = 0

        def rule(asked: Any) -> tuple[int, bytes] | None:
            nonlocal logs
            logs += blocks_of(asked) > 0
            return (200, error(asked, -32000, "header not found")) if blocks_of(asked) and logs <= 2 else None

        return rule

    time = Time()
    wide = Server(flaps(), takes_s=0.05, time=time)
    narrow = Server(at_most(10, "up to a 10 block range"), takes_s=0.05, time=time)
    pool = pool_on(wide, narrow, time=time)
    scanned(pool, 40_000, first=800_000)
    scanned(pool, 40_000, first=100_000)
    assert len(narrow.asked) <= 150, "of ten blocks each, of 80,000"


def test_what_is_missing_is_looked_at_again_and_more_seldom() -> None:
    time = Time()
    gone = Server(lambda asked: (200, error(asked, -32000, "missing trie node")) if "eth_call" in str(asked) else None)
    there = Server(lambda _: None, takes_s=0.5)
    pool = pool_on(gone, there, time=time)
    for number in range(1000):
        pool.call("eth_call", [{"to": EMITTER, "data": "0x"}, hex(1000 + number)])
        time.elapse(1.0)
    assert 3 <= sum("eth_call" in str(one) for one in gone.asked) <= 12
    gone.rule = lambda _: None
    time.elapse(4000.0)
    pool.call("eth_call", [{"to": EMITTER, "data": "0x"}, hex(900)])
    assert pool.stations[0].learned.reaches("state", 900)


@pytest.mark.parametrize("header", ["1000", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_long_pause_that_is_asked_for_while_answers_come_is_tried_shorter_first(header: str) -> None:
    """A limit of ten calls a second whose Retry-After is in milliseconds, or by a clock that goes wrong."""
    time, taken = Time(), list[float]()

    def rule(asked: Any) -> tuple[int, bytes, Mapping[str, str]] | None:
        if sum(at > time.now - 1.0 for at in taken) >= 10:
            return 429, b"", {"retry-after": header}
        taken.append(time.now)
        return None

    pool = pool_on(Server(rule), rate=25.0, told=False, time=time)
    for _ in range(2000):
        pool.call("eth_blockNumber", [])
    assert time.now - 1000 <= 2 * 2000 / 10


def test_a_pause_that_holds_is_kept() -> None:
    time, refused = Time(), 0
    until = 0.0

    def rule(_: Any) -> tuple[int, bytes, Mapping[str, str]] | None:
        nonlocal refused, until
        if time.now < 1100:
            return None
        until = until or time.now + 40
        refused += time.now < until
        return (429, b"", {"retry-after": str(until - time.now)}) if time.now < until else None

    pool = pool_on(Server(rule), time=time)
    while time.now < 1200:
        pool.call("eth_blockNumber", [])
        time.elapse(1.0)
    assert 1 <= refused <= 2
    with pytest.raises(Retry):
        pool_on(Server(lambda _: (429, b"", {"retry-after": "50"}))).call("eth_blockNumber", [])


class Ahead(Node):
    """Calls final what no chain has."""

    def _one(self, question: Mapping[str, Any]) -> dict[str, object]:
        found = super()._one(question)
        if question["params"][:1] == ["finalized"] and isinstance(header := found["result"], dict):
            return {**found, "result": {**header, "number": hex(10**12), "timestamp": hex(2_000_000_000)}}
        return found


def test_a_false_head_makes_no_settled_day_pending() -> None:
    false, honest = Server(lambda _: None, Ahead()), Server(lambda _: None)
    for servers in ((false, honest), (honest, false)):
        blocks = Blocks(pool_on(*servers))
        day = Period.of_day(datetime.fromtimestamp(honest.node.time(500_000), UTC).date())
        within, snapshot = blocks.range_of(day)
        assert snapshot.timestamp < day.end.timestamp() <= honest.node.time(snapshot.number + 1)
        assert len(within) == 7200
    with pytest.raises(Behind):
        Blocks(pool_on(Server(lambda _: None, Ahead()))).range_of(day)


class Silent(Http):
    """The first endpoint answers nothing until the others' questions are answered; then its deadline has passed."""

    def __init__(self, others: int) -> None:
        self.node, self.left, self.asked, self.done = Node(), others, 0, threading.Event()
        self.lock = threading.Lock()

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        if url == "0":
            with self.lock:
                self.asked += 1
            assert self.done.wait(PATIENCE_S), "the others waited for it"
            raise TooSlow("no whole answer")
        answer = self.node.post(url, body)
        with self.lock:
            self.left -= b"eth_call" in body
            if not self.left:
                self.done.set()
        return answer


def test_a_silent_endpoint_costs_one_deadline_of_one_question() -> None:
    """Sixteen at once: one asks it, fifteen are answered meanwhile."""
    http = Silent(15)
    found = [Endpoint(f"e{n}", SecretUrl(str(n)), Limits(rate=1e6)) for n in range(2)]
    pool = Pool("test", CHAIN_ID, found, http, sleep=lambda _: None)
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(lambda n: pool.call("eth_call", [{"to": EMITTER, "data": "0x"}, hex(n)]), range(1, 17))
        )
    assert answers == ["0x"] * 16
    assert http.asked == 1


def test_opinions_are_not_asked_of_a_silent_endpoint() -> None:
    """Neither of the head, where the first to answer stands still, nor of logs."""
    http, time = Silent(0), Time()
    http.done.set()
    found = [Endpoint(f"e{n}", SecretUrl(str(n)), Limits(rate=1e6)) for n in range(2)]
    pool = Pool("test", CHAIN_ID, found, http, clock=time, sleep=time.elapse)
    assert pool.finalized() == 10**6
    with pytest.raises(Retry):
        pool.pick("eth_getLogs", 5, avoid=frozenset({"e1"}))
    assert http.asked == 1


class Turns:
    """A lock that counts who has wanted it."""

    def __init__(self) -> None:
        self.lock, self.counting, self.wanted = threading.Lock(), threading.Lock(), 0
        self.locked = self.lock.locked

    def __enter__(self) -> None:
        with self.counting:
            self.wanted += 1
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


@pytest.mark.parametrize("threads", [1, 8])
def test_who_waited_for_a_silent_endpoint_does_not_ask_it_again_in_turn(threads: int) -> None:
    """Alone, it is asked once a round and not once a conversation."""
    asked, turns = 0, Turns()

    class Dead(Http):
        def __init__(self) -> None:
            pass

        def post(
            self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
        ) -> Answer:
            nonlocal asked
            asked += 1
            until(lambda: turns.wanted == threads, "all of them wait for it")
            raise TooSlow("no whole answer")

    pool = Pool(
        "test", CHAIN_ID, [Endpoint("e", SecretUrl("0"), Limits(rate=1e6))], Dead(), attempts=1, sleep=lambda _: None
    )

    pool.stations[0].lock = turns  # type: ignore[assignment]

    def ask() -> None:
        with pytest.raises(Retry):
            pool.call("eth_blockNumber", [])

    with ThreadPoolExecutor(threads) as workers:
        for one in [workers.submit(ask) for _ in range(threads)]:
            one.result()
    assert asked == 1


ODD_PAUSES = [
    "10s", "1000ms", "5 minutes", "Wed, 21 Oct 2015 07:28:00 +99999999999999999999", "Wed, 21 Oct 99999 07:28:00 GMT",
    "Wed, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2300", "-inf", "nan", "1e400", "(((", "", "0x10", "1_0",
    "Wed, 21 Oct 2015 99:99:99 GMT", "Wed, 21 Oct 2015 07:28:00 -" + "9" * 5000, "\udcff", "9" * 5000, ",", "Wed", "1 2 3",
]  # fmt: skip


@pytest.mark.parametrize("value", ODD_PAUSES, ids=range(len(ODD_PAUSES)))
def test_no_pause_that_is_asked_for_crashes(value: str) -> None:
    found = retry_after(value)
    assert found is None or 0 <= found < math.inf
    server = Server(lambda _: (429, b"", {"retry-after": value}) if len(server.asked) == 1 else None)
    assert pool_on(server).call("eth_blockNumber", []) == hex(10**6)
