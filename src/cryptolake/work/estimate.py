"""What asking for the missing partitions would cost: calls, the provider's units, money, time. No network.

The counts follow what the collection does (one question per chain); the block counts are real where the boundaries are
known, else from the registry's block times. What does not belong here: which partitions are missing (flow.plan).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.plan import Span, make_plan, without_numbers
from cryptolake.net.endpoint import Endpoint, Limits
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.registry.providers import RpcPlan, rpc_plans
from cryptolake.sources.onchain.families import families

# Measured by benchmarks/rpc: calls per chain-day snapshot once a day before it is known, and headers per boundary.
_CALLS_PER_SNAPSHOT, _HEADERS_PER_BOUNDARY = 2, 5
METHODS = ("eth_getLogs", "eth_call", "eth_getBlockByNumber")
NO_ENDPOINT = "none configured"
CountBlocks = Callable[[str, Period], int | None]


@dataclass(frozen=True, slots=True)
class Workload:
    """What one chain has to answer: the periods of each dataset, and the blocks of every run of touching periods."""

    chain: str
    snapshots: int
    scans: tuple[int, ...]
    boundaries: int
    market_periods: int

    def calls(self, log_span: int) -> dict[str, int]:
        """JSON-RPC calls by method when one eth_getLogs covers `log_span` blocks."""
        found = {
            "eth_getLogs": sum(math.ceil(blocks / log_span) for blocks in self.scans),
            "eth_call": self.snapshots * _CALLS_PER_SNAPSHOT,
            "eth_getBlockByNumber": self.boundaries * _HEADERS_PER_BOUNDARY + self.snapshots,
        }
        return {method: found[method] for method in METHODS if found[method]}


def work(
    missing: Iterable[Partition],
    csus: Mapping[str, Csu],
    chains: Mapping[str, Chain],
    blocks: CountBlocks = lambda _chain, _period: None,
) -> list[Workload]:
    """The work per chain. `blocks` gives the real number of blocks of a period where it is known."""
    snapshots: dict[str, set[Period]] = {}
    scans: dict[str, set[Period]] = {}
    asked: dict[str, int] = {}
    for partition in missing:
        csu = csus.get(partition.key)
        if csu is None or (csu.deployed_on is not None and csu.deployed_on > partition.period.day):
            continue
        kind = snapshots if partition.dataset == "tvl" else scans
        kind.setdefault(csu.chain, set()).add(partition.period)
        asked[csu.chain] = asked.get(csu.chain, 0) + 1
    found = []
    for chain in sorted(asked):
        counted = [
            sum(blocks(chain, period) or _blocks(chains[chain], period) for period in together)
            for together in _runs(sorted(scans.get(chain, ())))
        ]
        periods = snapshots.get(chain, set()) | scans.get(chain, set())
        instants = {instant for period in periods for instant in (period.start, period.end)}
        found.append(Workload(chain, len(snapshots.get(chain, ())), tuple(counted), len(instants), asked[chain]))
    return found


def _blocks(chain: Chain, period: Period) -> int:
    return math.ceil((period.end - period.start).total_seconds() / (chain.block_time_s or 12.0))


def _runs(periods: Sequence[Period]) -> list[list[Period]]:
    """Touching periods of one calendar month: they share a scan."""
    runs: list[list[Period]] = []
    for period in periods:
        last = runs[-1][-1] if runs else None
        if last is not None and last.end == period.start and last.day.replace(day=1) == period.day.replace(day=1):
            runs[-1].append(period)
        else:
            runs.append([period])
    return runs


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected calls of one method on one chain, whom they would be asked of, and the units that costs there."""

    chain: str
    method: str
    endpoint: str
    calls: int
    units: float
    unit: str


def costs(
    chains: Sequence[Workload], endpoints: Callable[[str], Sequence[Endpoint]], *, log_span: int | None = None
) -> list[Cost]:
    """Costs with the configured endpoints, the preferred one of each chain; `log_span` overrides its published span."""
    found = []
    for one in chains:
        known = endpoints(one.chain)
        name, limits = (known[0].name, known[0].limits) if known else (NO_ENDPOINT, Limits())
        for method, calls in one.calls(log_span or limits.log_span).items():
            found.append(Cost(one.chain, method, name, calls, calls * limits.cost(method), limits.unit))
    return found


def duration_s(
    chains: Sequence[Workload], endpoints: Callable[[str], Sequence[Endpoint]], log_span: int | None
) -> float:
    """Seconds at the known limits: an account serves all its chains in turn, chains of other accounts run beside it."""
    busy: dict[str, float] = {}
    for one in chains:
        known = endpoints(one.chain)
        if not known:
            continue
        # Accounts of the preferred kind share the chain's work.
        mates = [each for each in known if each.limits == known[0].limits]
        calls = one.calls(log_span or known[0].limits.log_span)
        units = sum(count * known[0].limits.cost(method) for method, count in calls.items())
        for each in mates:
            busy[each.account] = busy.get(each.account, 0.0) + units / len(mates) / each.limits.rate
    return max(busy.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the same work would cost under one provider plan, with one account.

    `usd` is None when the price is not published; `fits` is False when it exceeds the plan's month.
    """

    plan: str
    calls: int
    units: float
    unit: str
    usd: float | None
    hours: float
    fits: bool


def offers(chains: Sequence[Workload], plans: Iterable[RpcPlan]) -> list[Offer]:
    """The whole work under each plan that has a published unit price, cheapest in time first."""
    found = []
    for plan in plans:
        if plan.usd_per_million is None:
            continue
        by_method: dict[str, int] = {}
        for one in chains:
            for method, calls in one.calls(plan.limits.log_span).items():
                by_method[method] = by_method.get(method, 0) + calls
        units = sum(calls * plan.limits.cost(method) for method, calls in by_method.items())
        usd = units / 1e6 * plan.usd_per_million
        fits = plan.limits.monthly is None or units <= plan.limits.monthly
        hours = units / plan.limits.rate / 3600
        found.append(Offer(plan.name, sum(by_method.values()), units, plan.limits.unit, usd, hours, fits))
    return sorted(found, key=lambda offer: offer.hours)


@dataclass(frozen=True, slots=True)
class Advice:
    """What would make the work cheaper, in one line each."""

    lines: tuple[str, ...] = field(default=())


def advice(chains: Sequence[Workload], found: Sequence[Cost], log_span: int) -> Advice:
    """Where the calls go and what a wider log span would save."""
    total = sum(cost.calls for cost in found)
    lines = []
    logs = sorted((cost for cost in found if cost.method == "eth_getLogs"), key=lambda cost: -cost.calls)
    if logs and total and logs[0].calls * 3 > total and log_span < 10_000:
        wide = sum(one.calls(10_000).get("eth_getLogs", 0) for one in chains)
        now = sum(cost.calls for cost in logs)
        lines.append(
            f"{logs[0].chain} makes {logs[0].calls / total:.0%} of the calls. An endpoint that allows 10,000 blocks per "
            f"eth_getLogs would need {counted(wide, 'log call')} instead of {now:,}: CRYPTOLAKE_RPC_{logs[0].chain.upper()}=url"
        )
    return Advice(tuple(lines))


@dataclass(frozen=True, slots=True)
class Planned:
    """What a collection would ask and cost; days included at both ends, `expected_seconds` at the known limits.

    `set_aside` are markets that will give no numbers, with the reason; `archive_needed_from` is None without snapshots.
    """

    start_date: date
    end_date: date
    wanted: int
    missing: int
    settled: int
    failed_before: int
    total_calls: int
    costs: list[Cost]
    expected_seconds: float
    plans: list[Offer]
    archive_needed_from: date | None
    archive_chains: list[str]
    set_aside: dict[str, str]
    advice: tuple[str, ...]


def planned(
    app: App, csus: Sequence[Csu], partitions: Iterable[Partition], *, log_span: int | None = None, resume: bool = True
) -> Planned:
    """Compare the partitions with the ledger and say what asking for the rest costs. Needs no network.

    `log_span` overrides the blocks per log call that the endpoints' plans publish.
    """

    def endpoints(chain: str) -> Sequence[Endpoint]:
        return app.endpoints(app.registry.chain(chain))

    plan = make_plan(partitions, app.ledger.states(), resume=resume, intact=app.bronze.intact)
    first, last = app.settings.span()
    silent = without_numbers(csus, families(), Span(first, last))
    able = {csu.name: csu for csu in csus if csu.name not in silent}
    chains = work(plan.missing, able, app.registry.chains, app.block_cache.blocks)
    found = costs(chains, endpoints, log_span=log_span)
    archive = [one.chain for one in chains if one.snapshots]
    spans = [each.limits.log_span for one in chains for each in endpoints(one.chain)[:1]]
    return Planned(
        start_date=first,
        end_date=last,
        wanted=len(plan.wanted),
        missing=len(plan.missing),
        settled=plan.settled,
        failed_before=plan.failed_before,
        total_calls=sum(cost.calls for cost in found),
        costs=found,
        expected_seconds=round(duration_s(chains, endpoints, log_span), 1),
        plans=offers(chains, rpc_plans().values()),
        archive_needed_from=first if archive else None,
        archive_chains=archive,
        set_aside=silent,
        advice=advice(chains, found, log_span or min(spans, default=2000)).lines,
    )
