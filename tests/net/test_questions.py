"""Windows cover a range exactly once, boundaries are proven, limits are kept, errors are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptolake.errors import Narrow, Retry, Skip, Stop
from cryptolake.net.abi import call_data, checksum, decode_aggregate3, encode_aggregate3, selector, text, topic
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.faults import Elsewhere, RpcFault, classify
from cryptolake.net.http import retry_after
from cryptolake.net.limiter import Limiter
from cryptolake.net.logs import LogFilter, scan
from cryptolake.net.multicall import Call, Failed, Finished, Program, Result, replay, run
from cryptolake.net.rpc import Json

EMITTER, TOPIC = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2", "0x" + "ab" * 32


class LimitedChain:
    """Stands for a provider with a span limit and a chain with given block times: the real ones cannot be asked here."""

    chain, last_endpoint = "test", "one"

    def __init__(self, times: Sequence[int] = (0,), limit: int = 10**9, hint: bool = True, stray: bool = False) -> None:
        self.times, self.limit, self.hint, self.stray = times, limit, hint, stray
        self.asked: list[tuple[int, int]] = []
        self.rounds = 0

    def call(self, method: str, params: Sequence[Json]) -> Json:
        assert method == "eth_getLogs"
        question = params[0]
        assert isinstance(question, dict)
        first, last = int(question["fromBlock"], 16), int(question["toBlock"], 16)
        if last - first + 1 > self.limit:
            raise Narrow("too big", hint=self.limit if self.hint else None)
        self.asked.append((first, last))
        return [log(number + (10**6 if self.stray else 0)) for number in range(first, last + 1) if number % 7 == 0]

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        self.rounds += 1
        numbers = [int(str(params[0]), 16) for _, params in calls]
        return [{"number": hex(n), "timestamp": hex(self.times[n]), "hash": f"0x{n:064x}"} for n in numbers]

    def finalized(self) -> int:
        return len(self.times) - 1


def log(block: int) -> dict[str, Json]:
    return {
        "address": EMITTER,
        "topics": [TOPIC],
        "data": "0x",
        "blockNumber": hex(block),
        "blockHash": f"0x{block:064x}",
        "transactionHash": f"0x{block:064x}",
        "logIndex": "0x0",
    }


@settings(max_examples=150)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 120), st.integers(1, 400), st.booleans())
def test_windows_cover_the_range_exactly_once(start: int, length: int, limit: int, span: int, hint: bool) -> None:
    chain = LimitedChain(limit=limit, hint=hint)
    asked = BlockRange(start, start + length)
    logs, windows = scan(chain, [LogFilter(EMITTER, frozenset({TOPIC}))], asked, span=span)
    covered = [number for window in windows for number in range(window.start, window.end)]
    assert covered == list(range(asked.start, asked.end))
    assert [one.block for one in logs] == [number for number in covered if number % 7 == 0]


def test_a_log_that_was_not_asked_for_is_not_believed() -> None:
    with pytest.raises(Retry, match="not asked for"):
        scan(LimitedChain(stray=True), [LogFilter(EMITTER, frozenset({TOPIC}))], BlockRange(0, 100))


def test_a_provider_that_refuses_one_block_stops() -> None:
    with pytest.raises(Stop):
        scan(LimitedChain(limit=0, hint=False), [LogFilter(EMITTER, frozenset({TOPIC}))], BlockRange(0, 100))


@settings(max_examples=150)
@given(st.lists(st.integers(1, 5000), min_size=2, max_size=300), st.integers(0, 2**20))
def test_the_boundary_block_equals_a_full_search(gaps: list[int], offset: int) -> None:
    times = [1_600_000_000]
    for gap in gaps:
        times.append(times[-1] + gap)
    wanted = times[0] + offset
    blocks = Blocks(LimitedChain(times))
    instant = datetime.fromtimestamp(wanted, UTC)
    if wanted > times[-1]:
        with pytest.raises(Skip) as caught:
            blocks.last_before(instant)
        assert caught.value.reason == "not_yet"
    elif wanted <= times[0]:
        with pytest.raises(Skip) as caught:
            blocks.last_before(instant)
        assert caught.value.reason == "not_deployed"
    else:
        assert blocks.last_before(instant).number == max(n for n, time in enumerate(times) if time < wanted)


def test_a_boundary_costs_few_rounds() -> None:
    chain = LimitedChain([1_600_000_000 + 12 * number for number in range(500_000)])
    Blocks(chain).last_before(datetime.fromtimestamp(1_600_000_000 + 12 * 345_678, UTC))
    assert chain.rounds <= 5


@settings(max_examples=100)
@given(
    st.floats(1, 500),
    st.floats(1, 50),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.1, 20)), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_the_limit(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    now = 0.0
    granted: list[tuple[float, float]] = []
    limiter = Limiter(rate, burst, clock=lambda: now, sleep=lambda _: None)
    for pause, cost in steps:
        now += pause
        granted.append((now + limiter.reserve(cost), cost))
    for first in range(len(granted)):
        total = 0.0
        for at, cost in granted[first:]:
            total += cost
            # the first grant of a window may end a reservation that began before it
            assert total <= rate * (at - granted[first][0]) + burst + granted[first][1] + 1e-6


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("eth_getLogs is limited to a 10,000 range", 10_000),
        ("exceed maximum block range: 50000", 50_000),
        ("Max range: 800", 800),
        ("requested too many blocks from 1 to 9, maximum is set to 2048", 2048),
        ("Maximum allowed number of requested blocks is 1000", 1000),
        ("range 5000 exceeds limit of 1000", 1000),
        ("query exceeds max block range 50", 50),
        ("eth_getLogs range is too large, max is 1k blocks", 1000),
        ("this block range should work: [0x10, 0x1f]", 16),
        ("block range is too wide", None),
        ("Block range limit exceeded.", None),
        ("query returned more than 10000 results", None),
        ("query exceeds max results 20000", None),
    ],
)
def test_a_refused_range_names_what_would_do(message: str, hint: int | None) -> None:
    fault = classify(-32000, message)
    assert isinstance(fault, Narrow)
    assert fault.hint == hint


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (3, "execution reverted: 57", RpcFault),
        (-32000, "execution reverted", RpcFault),
        (-32000, "missing trie node 0xabc (path ) state is not available", Elsewhere),
        (-32000, "header not found", Elsewhere),
        (-32601, "the method eth_getLogs does not exist/is not available", Elsewhere),
        (429, "Your app has exceeded its compute units per second capacity", Retry),
        (-32005, "daily request count exceeded, request rate limited", Retry),
        (-32000, "invalid api key", Stop),
        (-32603, "internal error", Retry),
    ],
)
def test_errors_are_told_apart(code: int, message: str, kind: type) -> None:
    assert isinstance(classify(code, message), kind)


def test_the_wait_asked_for() -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert retry_after("2", now) == 2
    assert retry_after("0.5", now) == 0.5
    assert retry_after("0", now) == 0
    assert retry_after("Mon, 01 Jan 2024 00:00:09 GMT", now) == 9
    assert retry_after("soon", now) is retry_after(None, now) is None


def test_known_hashes_and_spellings() -> None:
    assert selector("getReserveData(address)").hex() == "35ea6a75"
    assert selector("aggregate3((address,bool,bytes)[])").hex() == "82ad56cb"
    liquidation = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"
    assert topic(liquidation) == "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
    for address in ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"):
        assert checksum(address.lower()) == address
    assert text(b"MKR".ljust(32, b"\0")) == "MKR"
    assert call_data("f(address[])", [EMITTER])[4:36] == (32).to_bytes(32, "big")


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=8))
def test_an_aggregate_answer_is_read_back(results: list[tuple[bool, bytes]]) -> None:
    bodies = [
        int(ok).to_bytes(32, "big")
        + (64).to_bytes(32, "big")
        + len(data).to_bytes(32, "big")
        + data
        + b"\0" * (-len(data) % 32)
        for ok, data in results
    ]
    offsets, at = [], 32 * len(bodies)
    for body in bodies:
        offsets.append(at.to_bytes(32, "big"))
        at += len(body)
    encoded = (32).to_bytes(32, "big") + len(bodies).to_bytes(32, "big") + b"".join(offsets) + b"".join(bodies)
    assert decode_aggregate3(encoded) == results
    assert encode_aggregate3([(EMITTER, data) for _, data in results])[:4].hex() == "82ad56cb"


class Contracts:
    """Answers eth_call by the call data's last byte; refuses aggregates of more than `most` bytes of call data."""

    def __init__(self, most: int) -> None:
        self.most = most

    def call(self, method: str, params: Sequence[Json]) -> Json:
        raise Narrow("too big")  # every aggregate is refused: the driver must get down to single calls

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        answers: list[Json | RpcFault] = []
        for _, params in calls:
            question = params[0]
            assert isinstance(question, dict)
            data = str(question["data"])
            answers.append(
                RpcFault(3, "execution reverted") if data.endswith("ff") else "0x" if data.endswith("ee") else data
            )
        return answers


def asks(*payloads: bytes) -> Program[list[Result]]:
    answers = yield [Call(EMITTER, payload) for payload in payloads]
    for answer in answers:
        answer.need("a read")
    return list(answers)


def test_a_failing_program_fails_alone_and_empty_is_not_zero() -> None:
    outcomes = run(
        Contracts(0), {"good": asks(b"\1", b"\2"), "reverts": asks(b"\xff"), "empty": asks(b"\3", b"\xee")}, 1
    )
    good = outcomes["good"]
    assert isinstance(good, Finished)
    assert [one.data for one in good.value] == [b"\1", b"\2"]
    for name, reason in (("reverts", "revert"), ("empty", "not_deployed")):
        failed = outcomes[name]
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, Skip)
        assert failed.error.reason == reason
    assert replay(asks(b"\1", b"\2"), good.transcript) == good.value
    with pytest.raises(Skip, match="not recorded"):
        replay(asks(b"\7"), good.transcript)


def test_adjacent_periods_share_no_block() -> None:
    from datetime import date

    from cryptolake.contracts.partition import days

    start = int(datetime(2024, 10, 30, tzinfo=UTC).timestamp())
    chain = LimitedChain([start + 997 * number for number in range(1500)])
    blocks = Blocks(chain)
    ranges = [blocks.range_of(period)[0] for period in days(date(2024, 11, 1), date(2024, 11, 8), "ny")]
    assert all(one.end == two.start for one, two in pairwise(ranges))
