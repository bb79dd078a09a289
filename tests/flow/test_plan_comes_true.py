"""The plan beside counted requests of the real collection, over random mixes of fake providers. Synthetic chains.

Requests go to the providers without HTTP, and nobody sleeps: limiters whose clock stands still add up how long each account
would be busy, so that the time is simulated and never measured. Real providers cannot be asked here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from benchmarks.simulated_ethereum import Simulated
from tests.flow.lively import Liquidations
from tests.net.simulated_clock import SimulatedClock

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, days
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.limiter import SHARE, Limiter
from cryptolake.net.rpc import Pool
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.providers import rpc_plans
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.planning import Habit
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger
from cryptolake.work.estimate import costs, duration_s
from cryptolake.work.habits import known_habits
from cryptolake.work.workload import work

CHAINS = ("ethereum", "base", "binance", "optimism", "gnosis", "avalanche", "arbitrum")
FAMILIES = ("aave_v2", "aave_v3", "compound_v2", "compound_v3", "euler_v2")
SPANS, RATES = (500, 1000, 2000, 5000, 10_000, 50_000), (5.0, 10.0, 25.0)
COMPUTE_UNITS = {
    "eth_chainId": 0.0,
    "eth_blockNumber": 10.0,
    "eth_getBlockByNumber": 20.0,
    "eth_getLogs": 60.0,
    "*": 26.0,
}
END = datetime(2026, 6, 1, tzinfo=UTC)


@cache
def registry() -> Registry:
    """The package's, without blocks of deployment: simulated chains number theirs anew."""
    found = load_registry(declared())
    return replace(found, csus={name: replace(csu, deployed_block=None) for name, csu in found.csus.items()})


@cache
def unprovable() -> Registry:
    """The same where nobody knows by which rules headers hash, as those of `simulated` do not."""
    found = registry()
    return replace(found, chains={name: replace(one, receipts=None) for name, one in found.chains.items()})


@cache
def clock_of(chain: str) -> SimulatedClock:
    one = registry().chains[chain]
    assert one.clock is not None
    assert one.launched is not None
    start = datetime(one.launched.year, one.launched.month, one.launched.day, tzinfo=UTC)
    return SimulatedClock(chain, one.clock, start, END)


class Providers(Http):
    """Every endpoint of the mix: answers from a simulated chain, refuses wider windows than it says, counts what comes."""

    def __init__(self) -> None:
        self.chains: dict[str, Simulated] = {}
        self.endpoints: dict[str, tuple[str, Endpoint]] = {}
        self.asked: dict[str, Counter[str]] = {}
        self.liquidations: dict[str, Liquidations] = {}  # by chain; none: nobody is liquidated

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        chain, endpoint = self.endpoints[url]
        document = orjson.loads(body)
        questions = document if isinstance(document, list) else [document]
        count = self.asked.setdefault(chain, Counter())
        answers = []
        for one in questions:
            count[one["method"]] += 1
            answers.append({"jsonrpc": "2.0", "id": one["id"], **self._said(chain, endpoint.limits.log_span, one)})
        return Answer(200, {}, orjson.dumps(answers if isinstance(document, list) else answers[0]), 0.0)

    def _said(self, chain: str, span: int, one: dict[str, Any]) -> dict[str, object]:
        if one["method"] == "eth_getLogs":
            asked = one["params"][0]
            if "blockHash" not in asked and int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= span:
                return {"error": {"code": -32602, "message": f"eth_getLogs is limited to a {span} range"}}
            if chain in self.liquidations:
                return {"result": self.liquidations[chain].logs(asked)}
        result = self.chains[chain].rpc(str(one["method"]), list(one["params"]))
        return {"error": {"code": 3, "message": "execution reverted"}} if result is None else {"result": result}


@dataclass
class Mix:
    """What is asked of whom."""

    markets: dict[str, list[str]]  # by chain
    endpoints: dict[str, list[Endpoint]]
    partitions: list[Partition]
    audit: float  # the share of log windows asked again
    state_whole: bool = False  # whether all of the state is asked again where every window is, not a sample
    grade: Grade | None = None  # as `--grade` gives it, for the state too
    limiters: dict[str, Limiter] = field(default_factory=dict)
    sample: float | None = None  # the share of logs where all of them would be too dear; None: whatever it costs


def mixed(seed: int) -> Mix:
    """One of many mixes; the seed decides all of it."""
    lots = random.Random(seed)
    chains = lots.sample(CHAINS, lots.choice((1, 1, 2)))
    markets, endpoints = {}, {}
    for chain in chains:
        able = [
            csu.name
            for csu in registry().csus.values()
            if csu.chain == chain
            and csu.family in FAMILIES
            and csu.deployed_on is not None
            and csu.deployed_on < date(2024, 11, 1)
            and csu.name != "agave_gnosis"
        ]
        markets[chain] = sorted(lots.sample(sorted(able), min(len(able), lots.randint(1, 3))))
        first = lots.choice(SPANS), lots.choice(RATES)
        endpoints[chain] = [_endpoint(lots, chain, number, *first) for number in range(lots.randint(1, 3))]
        if (
            len(endpoints[chain]) > 1 and lots.random() < 0.5
        ):  # a free key before the others, which a run must not be dearer or slower for
            free = rpc_plans()["alchemy_free"].limits
            key = Endpoint(f"{chain}-key", SecretUrl(f"{chain}-key"), free, f"{chain}-key", "alchemy", 0.0, "alchemy")
            endpoints[chain].insert(0, key)
    start = date(2024, 12, 1) + timedelta(days=lots.randint(0, 3))
    periods = list(days(start, start + timedelta(days=lots.choice((4, 7, 14, 26)))))
    datasets = lots.choice((("tvl",), ("liquidations",), ("tvl", "liquidations")))
    names = [name for of in markets.values() for name in of]
    partitions = [Partition(dataset, name, period) for dataset in datasets for name in names for period in periods]
    return Mix(markets, endpoints, partitions, lots.choice((0.0, 0.02, 1.0, 1.0)))


def _endpoint(lots: random.Random, chain: str, number: int, span: int, rate: float) -> Endpoint:
    """Endpoints of a chain differ, but none so much that it would not help with logs."""
    near = [one for one in SPANS if span / 3 <= one <= span * 3]
    weights = lots.choice(({}, COMPUTE_UNITS))
    limits = Limits(
        rate=rate * (60 if weights else 1),
        unit="compute units" if weights else "calls",
        weights=weights,
        log_span=lots.choice(near),
        max_batch=lots.choice((10, 50, 100)),
    )
    name = f"{chain}-{number}"
    operator = lots.choice((name, name, f"{chain}-0", ""))
    return Endpoint(name, SecretUrl(name), limits, name, "own", 0.0, operator)


def simulated(chain: str, clock: SimulatedClock, markets: Sequence[str]) -> Simulated:
    """A chain whose blocks nobody can prove."""
    return Simulated(chain, time=clock, head=clock.head, only=markets)


def counted(
    mix: Mix, folder: Path, *, lively: bool = True, made: Callable[..., Simulated] = simulated
) -> tuple[dict[str, Counter[str]], float]:
    """Collect the mix for real; the calls by chain and method, and the seconds that the busiest account would need."""
    http = Providers()
    pools: dict[str, Pool] = {}
    for chain, endpoints in mix.endpoints.items():
        clock = clock_of(chain)
        chain_made = http.chains[chain] = made(chain, clock, mix.markets[chain])
        if lively:
            http.liquidations[chain] = Liquidations(chain_made, clock)
        http.endpoints |= {one.name: (chain, one) for one in endpoints}
        for one in endpoints:
            mix.limiters[one.account] = Limiter(
                one.limits.rate * SHARE, one.limits.dearest, clock=lambda: 0.0, sleep=lambda _seconds: None
            )
        pools[chain] = Pool(
            chain,
            registry().chains[chain].chain_id,
            endpoints,
            http,
            limiters=lambda one: mix.limiters[one.account],
            clock=lambda: 0.0,
            sleep=lambda _seconds: None,
        )
    known = unprovable() if made is simulated else registry()
    source = OnchainSource(
        registry=known,
        csus=[known.csus[name] for of in mix.markets.values() for name in of],
        pools=lambda chain: pools[chain.name],
        block_cache=FileBlockCache(folder / "blocks.json"),
        audit=mix.audit,
        grade=mix.grade or ("two_voices" if mix.audit == 1.0 else "two_voices_sampled"),
        state_grade=None if mix.state_whole or mix.grade else "two_voices_sampled",
        sample=mix.sample,
    )
    ledger = Ledger(folder / "ledger.sqlite")
    result = collect(source, mix.partitions, bronze=Bronze(folder), ledger=ledger, workers=1)
    ledger.close()
    assert result.failed == 0, result.failures[0]
    return http.asked, max(limiter.backlog() for limiter in mix.limiters.values())


def planned(mix: Mix, folder: Path | None = None) -> tuple[dict[str, Counter[str]], float]:
    """The same by the plan, which asks nobody; it knows what was collected into `folder` before."""
    csus = registry().csus
    habits: dict[str, Habit] = {}
    cache = FileBlockCache((folder or Path("nowhere")) / "blocks.json")
    if folder is not None:
        ledger = Ledger(folder / "ledger.sqlite")
        habits = known_habits(csus, ledger.states(), Bronze(folder))
        ledger.close()
    chains = work(
        mix.partitions,
        csus,
        unprovable().chains,
        blocks=cache.blocks,
        known=lambda chain, instant: cache.get(chain, int(instant.timestamp())) is not None,
        habits=habits,
        doubted=mix.audit > 0,
    )

    def endpoints(chain: str) -> Sequence[Endpoint]:
        return mix.endpoints[chain]

    found: dict[str, Counter[str]] = {}
    for cost in costs(chains, endpoints, audit=mix.audit, state_whole=mix.state_whole, sample=mix.sample):
        found.setdefault(cost.chain, Counter())[cost.method] += cost.calls
    return found, duration_s(chains, endpoints, audit=mix.audit, state_whole=mix.state_whole, sample=mix.sample)


@pytest.mark.parametrize("seed", range(20))
def test_the_plan_comes_true(tmp_path: Path, seed: int) -> None:
    mix = mixed(seed)
    (real, real_s), (told, told_s) = counted(mix, tmp_path), planned(mix)
    calls = {name: sum(one.total() for one in some.values()) for name, some in (("real", real), ("told", told))}
    assert calls["told"] == pytest.approx(calls["real"], rel=0.1), (told, real)
    assert told_s == pytest.approx(real_s, rel=0.2, abs=1.0), (told, real)


@pytest.mark.parametrize("key_first", [True, False])
def test_a_narrow_key_of_ones_own_makes_no_run_dearer_unless_its_word_is_bought(
    tmp_path: Path, key_first: bool
) -> None:
    free = rpc_plans()["alchemy_free"].limits
    key = Endpoint("ethereum-key", SecretUrl("ethereum-key"), free, "ethereum-key", "alchemy", 0.0, "alchemy")
    limits = Limits(rate=25.0, log_span=2000)
    wide = Endpoint("ethereum-0", SecretUrl("ethereum-0"), limits, "ethereum-0", "own", 0.0, "wide")
    markets = {"ethereum": ["aave_v3_ethereum"]}
    partitions = [
        Partition("liquidations", "aave_v3_ethereum", one) for one in days(date(2024, 12, 1), date(2024, 12, 2))
    ]
    both = [key, wide] if key_first else [wide, key]
    alone = Mix(markets, {"ethereum": [wide]}, partitions, 1.0, sample=0.02)
    beside = Mix(markets, {"ethereum": both}, partitions, 1.0, sample=0.02)
    (first, first_s), (real, real_s) = counted(alone, tmp_path / "alone"), counted(beside, tmp_path / "beside")
    told, _ = planned(beside)
    assert real["ethereum"]["eth_getLogs"] <= 2 * first["ethereum"]["eth_getLogs"]
    assert real_s <= 2 * first_s
    assert told["ethereum"].total() == pytest.approx(real["ethereum"].total(), rel=0.1), (told, real)
    bought, _ = planned(replace(beside, sample=None))
    assert bought["ethereum"]["eth_getLogs"] > 10 * told["ethereum"]["eth_getLogs"]


@pytest.mark.parametrize(
    ("market", "lively"), [("aave_v3_ethereum", False), ("aave_v3_ethereum", True), ("euler_v2_ethereum", True)]
)
def test_what_was_collected_makes_the_next_plan_true(tmp_path: Path, market: str, lively: bool) -> None:
    """Large markets and quiet ones are known from a first day, which the plan before it cannot know."""
    limits = Limits(rate=10.0, log_span=2000)
    endpoint = Endpoint("ethereum-0", SecretUrl("ethereum-0"), limits, "ethereum-0", "own", 0.0)

    def mix(first: int, last: int) -> Mix:
        periods = days(date(2024, 12, first), date(2024, 12, last))
        partitions = [Partition(dataset, market, period) for period in periods for dataset in ("tvl", "liquidations")]
        return Mix({"ethereum": [market]}, {"ethereum": [endpoint]}, partitions, 0.02)

    counted(mix(1, 1), tmp_path, lively=lively)
    later = mix(2, 8)
    told, told_s = planned(later, tmp_path)
    real, real_s = counted(later, tmp_path, lively=lively)
    assert told["ethereum"].total() == pytest.approx(real["ethereum"].total(), rel=0.1), (told, real)
    assert told_s == pytest.approx(real_s, rel=0.2), (told, real)
