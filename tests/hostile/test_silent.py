"""An endpoint that takes questions and does not answer holds up nothing that another one can tell.

Real node, real client; only the silence and the time that it takes are made: waiting is counted on a clock of its own.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date

import orjson
import pytest
from tests.chain.anvil import MULTICALL3
from tests.chain.scenario import Fortnight
from tests.sources.test_onchain_equals_contracts import DAYS, csu_on

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Retry
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import DEADLINE_S, Answer, Http, TooSlow
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.sources.onchain.grading import graded
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
SILENT = "http://127.0.0.1:9/"
EVERY = [Partition(dataset, "local", Period.of_day(day)) for dataset in ("tvl", "liquidations") for day in DAYS[3:7]]
METHODS = [
    "eth_chainId", "eth_blockNumber", "eth_getBlockByNumber", "eth_getLogs", "eth_call", "eth_getCode",
    "eth_getBlockReceipts",
]  # fmt: skip
MOST_S = 240.0  # that one endpoint may cost all days together, in seconds of waiting
WAYS = ["says nothing", "breaks off", "is out of order", "is too busy"]


@dataclass
class Clock:
    """Moves when somebody waits."""

    now: float = 1000.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> float:
        return self.now

    def elapse(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds


class Silencing(Http):
    """Asks the node at `url`, but for what the silent endpoint does not answer: that takes its deadline."""

    def __init__(self, url: str, clock: Clock, methods: Sequence[str], way: str) -> None:
        super().__init__()
        self.url, self.clock, self.methods, self.way = url, clock, set(methods), way
        self.in_vain: list[str] = []

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        asked = orjson.loads(body)
        names = {one["method"] for one in (asked if isinstance(asked, list) else [asked])}
        if url == SILENT and names & self.methods:
            self.in_vain.append(min(names))
            if self.way == "says nothing":
                self.clock.elapse(timeout_s or DEADLINE_S)
                raise TooSlow("no whole answer")
            if self.way == "breaks off":
                raise Retry("the connection failed")
            return Answer(429 if self.way == "is too busy" else 503, {}, b"", 0.0)
        return super().post(self.url, body, headers=headers)


@dataclass
class Bench:
    """One chain's source over an honest endpoint and one that does not answer some methods."""

    source: OnchainSource
    http: Silencing
    clock: Clock

    def answers(self, wanted: Sequence[Partition] = EVERY) -> dict[Partition, Raw | Miss]:
        return {one.partition: one for trip in self.source.trips(wanted) for one in self.source.fetch(trip)}

    def rows(self, answers: Mapping[Partition, Raw | Miss]) -> dict[Partition, list[Row]]:
        return {
            partition: [dict(row) for row in self.source.parse(one)]
            for partition, one in answers.items()
            if isinstance(one, Raw)
        }


def bench(
    fortnight: Fortnight, methods: Sequence[str], *, first: bool, way: str = WAYS[0], grade: Grade = "two_voices"
) -> Bench:
    clock = Clock()
    http = Silencing(fortnight.node.url, clock, methods, way)
    urls = [SILENT, fortnight.node.url] if first else [fortnight.node.url, SILENT]
    pool = Pool(
        "local",
        31337,
        [
            Endpoint(f"voice-{n}", SecretUrl(url), Limits(rate=1e5, log_span=5), operator=f"operator-{n}")
            for n, url in enumerate(urls)
        ],
        http,
        clock=clock,
        sleep=clock.elapse,
    )
    chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0, receipts="standard")
    csu = csu_on(fortnight)
    registry = Registry({csu.name: csu}, {"local": chain})
    source = OnchainSource(registry=registry, csus=[csu], pools=lambda _: pool, audit=1.0, grade=grade)
    return Bench(source, http, clock)


@pytest.fixture(scope="module")
def truth(aave_fortnight: Fortnight) -> dict[Partition, list[Row]]:
    made = bench(aave_fortnight, [], first=False)
    with closing(made.http):
        return made.rows(made.answers())


@pytest.fixture(params=[True, False], ids=["first", "second"])
def first(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("grade", ["two_voices", "receipts_root"])
@pytest.mark.parametrize("methods", [[one] for one in METHODS] + [METHODS], ids=[*METHODS, "everything"])
def test_every_day_lands_soon_whatever_is_not_answered(
    aave_fortnight: Fortnight, truth: dict[Partition, list[Row]], methods: list[str], first: bool, grade: Grade
) -> None:
    made = bench(aave_fortnight, methods, first=first, grade=grade)
    with closing(made.http):
        began = made.clock()
        answers = made.answers()
        assert made.rows(answers) == truth
        assert made.clock() - began <= MOST_S, made.http.in_vain
        if "eth_chainId" in methods:
            assert {graded(one).grade for one in answers.values() if isinstance(one, Raw)} == {"one_voice"}


@pytest.mark.parametrize("way", WAYS)
def test_in_whatever_way_it_does_not_answer(
    aave_fortnight: Fortnight, truth: dict[Partition, list[Row]], way: str, first: bool
) -> None:
    made = bench(aave_fortnight, METHODS[1:], first=first, way=way)
    with closing(made.http):
        began = made.clock()
        assert made.rows(made.answers()) == truth
        assert made.clock() - began <= MOST_S
        assert len(made.http.in_vain) <= 100  # not once for every day and purpose


def test_it_is_asked_again_later_and_at_growing_distances(aave_fortnight: Fortnight) -> None:
    made = bench(aave_fortnight, METHODS, first=False)
    wanted = [one for one in EVERY if one.period.day == date(2024, 12, 5)]
    with closing(made.http):
        tried: list[float] = []
        for _ in range(40):
            before = len(made.http.in_vain)
            made.answers(wanted)
            if len(made.http.in_vain) > before:
                tried.append(made.clock())
            made.clock.elapse(30)
        gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
        assert len(gaps) >= 3
        assert gaps[-1] > 3 * gaps[0]
        made.http.methods.clear()
        made.clock.elapse(3600)
        assert {graded(one).grade for one in made.answers(wanted).values() if isinstance(one, Raw)} == {"two_voices"}
