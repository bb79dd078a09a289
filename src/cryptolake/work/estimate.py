"""What asking for the missing partitions would cost: calls, the provider's units, money, time. No network.

The counts follow what the collection does (one question per chain) and what the lake knows of its markets; the block counts
are real where the boundaries are known, else from the registry's block times of the dates asked. What does not belong here:
which partitions are missing (flow.plan).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache

from cryptolake.app import App
from cryptolake.contracts.grades import UNPROVEN
from cryptolake.contracts.partition import Partition
from cryptolake.flow.plan import Span, make_plan, without_numbers
from cryptolake.net.choice import HELPS
from cryptolake.net.endpoint import MOST_TOGETHER, Endpoint, Learned, Limits, Station
from cryptolake.net.limiter import SHARE, Limiter
from cryptolake.net.memory import Memory
from cryptolake.net.voices import same_voice
from cryptolake.registry.markets import Csu
from cryptolake.registry.providers import RpcPlan, rpc_plans
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.planning import CALL, CODE, HEADER, LOGS
from cryptolake.sources.onchain.scans import share_of
from cryptolake.work.advice import dearest_logs, guessed_events
from cryptolake.work.asked_again import asked_again
from cryptolake.work.at_events import with_event_prices
from cryptolake.work.attainable import named_liars
from cryptolake.work.beside import with_prices
from cryptolake.work.cost import Cost, Endpoints, cost_of
from cryptolake.work.grade_prices import GradePrice, emitters_of, grade_prices
from cryptolake.work.habits import kept_histories, known_habits
from cryptolake.work.unsettled import nothing_new
from cryptolake.work.workload import EVENTS, Workload, work

METHODS = (LOGS, CALL, HEADER, CODE, "eth_chainId")
NO_ENDPOINT = "none configured"


def costs(
    chains: Sequence[Workload],
    endpoints: Endpoints,
    *,
    log_span: int | None = None,
    audit: float = 0.0,
    state_whole: bool = False,
    sample: float | None = None,
) -> list[Cost]:
    """Costs with all configured endpoints; `log_span` overrides their published spans, `audit` is the share asked twice,
    `state_whole` whether all of the state is, not a sample of it; `sample` the share of logs where all would be too dear.

    Logs are asked of every endpoint that helps, each as fast as it may; all else of whoever comes first.
    """
    found = []
    for one in chains:
        known = endpoints(one.chain)
        if not known:
            calls = one.calls(log_span or Limits().log_span)
            found += [Cost(one.chain, method, NO_ENDPOINT, count, count, "calls") for method, count in calls.items()]
            continue
        logs = _log_calls(one, known, log_span, audit, sample)
        found += [cost_of(one.chain, LOGS, each, logs[each.name]) for each in known if logs.get(each.name)]
        found += [
            cost_of(one.chain, method, known[0], count)
            for method, count in ((CALL, one.once_calls), (HEADER, one.headers), (CODE, one.births))
            if count
        ]
        found += [cost_of(one.chain, CODE, each, one.births) for each in _others(known)[:1] if audit and one.births]
        found += [cost_of(one.chain, CALL, each, count) for each, count in _calls_again(one, known, audit, state_whole)]
        found += [cost_of(one.chain, HEADER, each, count) for each, count in _headers_again(one, known, audit)]
        asked = {cost.endpoint for cost in found if cost.chain == one.chain}
        found += [
            cost_of(one.chain, "eth_chainId", each, 1) for each in known if not each.besides or each.name in asked
        ]
    return found


def _calls_again(
    one: Workload, known: Sequence[Endpoint], audit: float, state_whole: bool
) -> list[tuple[Endpoint, int]]:
    """The calls that are asked again at other voices, of snapshots and for what logs rest on, shared out by how fast each
    answers calls.

    Those that only give second opinions where there is nobody else.
    """
    found = _others(known)
    others = [each for each in found if not each.besides] or found
    snapshots = one.snapshot_calls - one.snapshot_rounds if state_whole else one.snapshots
    count = snapshots + one.borne_out + one.price_calls - one.price_rounds
    if not (audit and others and count):
        return []
    speed = {each.name: each.limits.rate / each.limits.cost(CALL) for each in others}
    total = sum(speed.values())
    ends = [
        round(count * sum(speed[each.name] for each in others[: place + 1]) / total) for place in range(len(others))
    ]
    return [(each, end - start) for each, start, end in zip(others, [0, *ends[:-1]], ends, strict=True) if end > start]


def _headers_again(one: Workload, known: Sequence[Endpoint], audit: float) -> list[tuple[Endpoint, int]]:
    """The headers that another voice is asked for too, and which endpoint that is."""
    others, count = _others(known), one.quiet + round(one.again * _borne_out_by_others(known))
    return [(others[0], count)] if audit and others and count else []


def _borne_out_by_others(known: Sequence[Endpoint]) -> float:
    """The share of first answers that somebody else can bear out; nobody can where it may be whoever it is that answered."""
    speed = {each.name: each.limits.rate / each.limits.cost(HEADER) for each in known if not each.besides}
    able = sum(
        speed[each.name] for each in known if each.name in speed and any(not same_voice(each, other) for other in known)
    )
    return able / sum(speed.values())


def _others(known: Sequence[Endpoint]) -> list[Endpoint]:
    """Those of another voice than whoever is asked first for what is no log."""
    firsts = [each for each in known if not each.besides]
    if not firsts:
        return []
    first = max(firsts, key=lambda each: each.limits.rate / each.limits.cost(CALL))
    return [each for each in known if not same_voice(each, first)]


def _log_calls(
    one: Workload, known: Sequence[Endpoint], log_span: int | None, audit: float, sample: float | None
) -> dict[str, int]:
    """The log calls of each endpoint, by name: blocks are shared out in proportion to the blocks a second of each."""
    if not one.log_blocks and not (one.told_once and audit >= 1.0):
        return {}
    span = {each.name: log_span or each.limits.log_span for each in known}
    speed = {
        each.name: span[each.name] * each.limits.rate / each.limits.cost(LOGS) for each in known if not each.besides
    }
    helping = {name: fast for name, fast in speed.items() if fast >= HELPS * max(speed.values())}
    total = sum(helping.values())
    if len(helping) == 1:
        (only,) = helping
        found = {only: float(one.calls(span[only]).get(LOGS, 0))}
    else:
        found = {name: one.log_blocks * fast / total / span[name] for name, fast in helping.items()}
        # The last window of a run is cut short.
        found[max(helping, key=lambda name: helping[name])] += (len(one.scans) + len(one.histories)) / 2
    questions = sum(found.values()) if one.log_blocks else 0.0
    typical = one.log_blocks / questions if questions else 1.0
    first = {name: fast / total for name, fast in helping.items()}
    for name, count in asked_again(one, known, span, first, audit, typical, sample).items():
        found[name] = found.get(name, 0.0) + count
    for name in helping if one.eventful else ():
        found[name] += len(one.scans)  # a block's logs, all of them, tell how the endpoint numbers them (net/numbering)
    return {name: math.ceil(count) for name, count in found.items() if count}


def duration_s(
    chains: Sequence[Workload],
    endpoints: Endpoints,
    log_span: int | None = None,
    *,
    audit: float = 0.0,
    state_whole: bool = False,
    besides: Sequence[Cost] = (),
    sample: float | None = None,
) -> float:
    """Seconds at the known limits: an account serves all its chains in turn, accounts work beside each other.

    `besides` are calls that only the endpoint named answers.
    """
    busy: dict[str, float] = {}
    for one in chains:
        known = endpoints(one.chain)
        if not known:
            continue
        logs = _log_calls(one, known, log_span, audit, sample)
        scanning = {each.name: logs.get(each.name, 0) * each.limits.cost(LOGS) / each.limits.rate for each in known}
        firsts = [each for each in known if not each.besides]
        own = {each.name: scanning[each.name] for each in firsts}
        again = [(HEADER, each, count) for each, count in _headers_again(one, known, audit)]
        again += [(CALL, each, count) for each, count in _calls_again(one, known, audit, state_whole)]
        # Whoever did not answer first bears it out: where several may be first, both are shared out. The fastest, who gives the
        # most, cannot bear that out itself.
        mutual = bool(_others(firsts))
        more = {method: sum(count for of, _, count in again if of == method and mutual) for method in (CALL, HEADER)}
        taken_by = _shared_out(one.once_calls + more[CALL], one.headers + more[HEADER], firsts, own)
        shared = {each.name: taken for each, taken in zip(firsts, taken_by, strict=True)}
        alone = dict.fromkeys((each.name for each in known), 0.0)
        for method, each, count in again:
            alone[each.name] += count * each.limits.cost(method) / each.limits.rate
        for each in known:
            first = shared.get(each.name, scanning[each.name])
            both = max(first, scanning[each.name] + alone[each.name]) if mutual else first + alone[each.name]
            busy[each.account] = busy.get(each.account, 0.0) + both / SHARE
        for cost, each in ((cost, each) for cost in besides for each in known if cost.chain == one.chain):
            busy[each.account] += cost.units / each.limits.rate / SHARE if each.name == cost.endpoint else 0.0
    return max(busy.values(), default=0.0)


def _shared_out(calls: int, headers: int, known: Sequence[Endpoint], scanning: Mapping[str, float]) -> list[float]:
    """Seconds of each endpoint when whoever is free first is asked for all that is no log: they end together if they can."""
    whole = [(calls * each.limits.cost(CALL) + headers * each.limits.cost(HEADER)) / each.limits.rate for each in known]
    if not all(whole):
        return [scanning[each.name] for each in known]
    end = 0.0
    for last in sorted(scanning.values()):
        idle = [
            (scanning[each.name], alone)
            for each, alone in zip(known, whole, strict=True)
            if scanning[each.name] <= last
        ]
        end = (1 + sum(until / alone for until, alone in idle)) / sum(1 / alone for _, alone in idle)
        if end <= min((until for until in scanning.values() if until > last), default=math.inf):
            break
    return [max(end, scanning[each.name]) for each in known]


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


def _is_known(app: App, chain: str, instant: datetime, *, borne_out: bool) -> bool:
    """Whether a boundary is kept and need not be looked at again to be `borne_out`."""
    kept = app.block_cache.get(chain, int(instant.timestamp()))
    return kept is not None and kept.grade != UNPROVEN and (not borne_out or kept.grade != "one_voice")


def _together(memory: Memory, chain: str, known: Sequence[Endpoint]) -> int:
    """How many calls of contracts go in one, as earlier runs learned of the endpoint that is asked most."""
    firsts = [each for each in known if not each.besides] or known
    if not firsts:
        return MOST_TOGETHER
    first = max(firsts, key=lambda each: each.limits.rate / each.limits.cost(CALL))
    station = Station(first, Limiter(first.limits.rate, told=first.limits.told), Learned(first.limits.log_span))
    memory.recall(chain, station)
    return station.learned.together.size


def _as_learned(memory: Memory, chain: str, endpoint: Endpoint) -> Endpoint:
    """The endpoint with the rate and the span that earlier runs learned of it, where they did."""
    limits = endpoint.limits
    limiter = Limiter(limits.rate, told=limits.told)
    station = Station(endpoint, limiter, Learned(limits.log_span, limits.max_batch))
    memory.recall(chain, station)
    return replace(endpoint, limits=replace(limits, rate=limiter.rate, log_span=station.learned.span))


@dataclass(frozen=True, slots=True)
class Planned:
    """What a collection would ask and cost; days included at both ends, `expected_seconds` at the known limits.

    `set_aside` are markets that will give no numbers, with the reason; `archive_needed_from` is None without snapshots.
    `grades` is the price of the same at each grade of evidence.
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
    grades: list[GradePrice]


def planned(
    app: App, csus: Sequence[Csu], partitions: Iterable[Partition], *, log_span: int | None = None, resume: bool = True
) -> Planned:
    """Compare the partitions with the ledger and say what asking for the rest costs. Needs no network.

    `log_span` overrides the blocks per log call that the endpoints' plans publish.
    """
    memory = Memory(app.folder.learned)

    @cache
    def endpoints(chain: str) -> Sequence[Endpoint]:
        return [_as_learned(memory, chain, one) for one in app.voices(app.registry.chain(chain))]

    states = app.ledger.states()
    plan = make_plan(partitions, states, resume=resume, intact=app.bronze.intact)
    chain_of = {csu.name: csu.chain for csu in csus}
    settled = nothing_new(app, plan.missing, lambda one: chain_of[one.key]) if resume else set()
    missing = [one for one in plan.missing if one not in settled]
    first, last = app.settings.span()
    silent = without_numbers(csus, families(), Span(first, last))
    silent |= {
        csu.name: "chain_not_launched"
        for csu in csus
        if csu.name not in silent and not app.registry.chain(csu.chain).ran_on(last)
    }
    able = {csu.name: csu for csu in csus if csu.name not in silent}
    audit = share_of(app.settings.wanted_grade, app.settings.audit)
    habits = known_habits(able, states, app.bronze)
    strange = {one.key for one in missing if one.dataset == EVENTS} - habits.keys()

    def known(chain: str, instant: datetime) -> bool:
        return _is_known(app, chain, instant, borne_out=bool(audit and _others(endpoints(chain))))

    chains = work(
        missing,
        able,
        app.registry.chains,
        blocks=app.block_cache.blocks,
        known=known,
        habits=habits,
        scanned=kept_histories(app.folder.discovered),
        doubted=audit > 0,
        young={csu.name: csu for csu in csus},
        together=lambda chain: _together(memory, chain, endpoints(chain)),
    )
    chains = with_prices(app, chains, able, plan.wanted, states, known=known, resume=resume)
    chains = with_event_prices(app, chains, able, plan.wanted, states)
    whole = share_of(app.settings.wanted_state_grade, 0.0) == 1.0
    sample = app.settings.sample
    found = costs(chains, endpoints, log_span=log_span, audit=audit, state_whole=whole, sample=sample)
    archive = [one.chain for one in chains if one.snapshots]
    spans = [
        max(each.limits.log_span for each in endpoints(one.chain) if not each.besides)
        for one in chains
        if endpoints(one.chain)
    ]
    return Planned(
        start_date=first,
        end_date=last,
        wanted=len(plan.wanted),
        missing=len(missing),
        settled=plan.settled + len(settled),
        failed_before=plan.failed_before,
        total_calls=sum(cost.calls for cost in found),
        costs=found,
        expected_seconds=round(
            duration_s(chains, endpoints, log_span, audit=audit, state_whole=whole, sample=sample), 1
        ),
        plans=offers(chains, rpc_plans().values()),
        archive_needed_from=first if archive else None,
        archive_chains=archive,
        set_aside=silent,
        advice=(
            *dearest_logs(chains, found, log_span or min(spans, default=2000)),
            *guessed_events([csu for name, csu in able.items() if name in strange]),
        ),
        grades=grade_prices(
            chains,
            endpoints,
            costs,
            duration_s,
            emitters=emitters_of(able, missing),
            rules={one.chain: app.registry.chain(one.chain).receipts for one in chains},
            audit=app.settings.audit,
            doubted=audit > 0,
            log_span=log_span,
            lied=lambda chain, one: named_liars(app, chain)(one),
        ),
    )
