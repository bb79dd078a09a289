"""Those who price for all, asked beside every snapshot: Chainlink and the governed oracles of each chain and day collected.

So who prices a token does not depend on which markets are in the lake, nor on a command that somebody forgot. What does not
belong here: how they are asked (sources), the vendors (prices) and which price is taken (`silver.prices`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.source import Grades, Source
from cryptolake.errors import BadInput
from cryptolake.flow.collect import ATTEMPTS, Collected, Progress
from cryptolake.flow.collect import collect as ask
from cryptolake.flow.plan import make_plan
from cryptolake.flow.resume import AT_ONCE, Wish, compare, damaged, wish_for
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.planning import borne_out_headers, boundary_headers
from cryptolake.work.attainable import attainable_on
from cryptolake.work.unsettled import nothing_new
from cryptolake.work.workload import SNAPSHOTS, KnowsInstant, Workload

ChainDay = tuple[str, date]
States = Mapping[Partition, Entry]


def has_endpoint(app: App, chain: str) -> bool:
    """Whether this chain can be asked at all."""
    try:
        app.pool(app.registry.chain(chain))
    except BadInput:
        return False
    return True


def asked_beside(app: App) -> list[str]:
    """Who is asked in every snapshot, by name: those whose word is had from the chain itself."""
    return [name for name, one in app.found.price_sources.items() if one.asked == "snapshots"]


def _source(app: App, name: str) -> Source:
    return app.found.price_source(name, app.access(), app.registry.chains, {})


def is_own(app: App, chain: str) -> bool:
    """Whether an endpoint of this chain is the user's, by address or key: what nobody asked of it costs nobody else."""
    keyed = app.registry.chain(chain).alchemy_subdomain is not None and bool(app.settings.alchemy_keys)
    return keyed or bool(app.settings.rpc.get(chain))


def partitions_beside(
    app: App, name: str, source: Source, snapshots: Iterable[ChainDay], able: Callable[[App, str], bool] = is_own
) -> list[Partition]:
    """What one of them is asked beside these snapshots, sorted.

    Of each day the chain that tells what eth and btc are is asked too, where the user is `able` to: others rest on it.
    """
    dataset = source.datasets[0].name
    known, names_from = set(source.keys(dataset)), app.found.price_sources[name].names_from
    chain_days = {one for one in snapshots if one[0] in known}
    if names_from is not None and chain_days and able(app, names_from):
        chain_days |= {(names_from, day) for _, day in chain_days}
    return [Partition(dataset, chain, Period.of_day(day, app.boundary)) for chain, day in sorted(chain_days)]


def ask_beside(
    app: App,
    csus: Sequence[Csu],
    wish: Wish,
    *,
    workers: int,
    stopping: threading.Event,
    resume: bool = True,
    only_failed: bool = False,
    proven: Grade | None = None,
    more: Callable[[int], None] = lambda _count: None,
    progress: Progress = lambda _partition, _state: None,
) -> Collected:
    """Ask what they have not answered yet of the days whose snapshots are in; what failed counts as any other failure.

    `only_failed` leaves out what was never asked; what is proven less far than `proven`, and could be proven so far, is asked
    again. `more` is told how many there are, `progress` of every answer. The answers count as soon as silver is made of their
    days.
    """
    return ask_prices(
        app,
        _answered(app, csus, wish),
        workers=workers,
        stopping=stopping,
        resume=resume,
        only_failed=only_failed,
        proven=proven,
        more=more,
        progress=progress,
    )


def ask_prices(
    app: App,
    days: Collection[ChainDay],
    *,
    workers: int,
    stopping: threading.Event,
    resume: bool = True,
    only_failed: bool = False,
    proven: Grade | None = None,
    more: Callable[[int], None] = lambda _count: None,
    progress: Progress = lambda _partition, _state: None,
) -> Collected:
    """The same of chains and days, whether their snapshots are in or not."""
    found = Collected()
    for name in asked_beside(app) if days else ():
        if stopping.is_set():
            break
        source = _source(app, name)
        wanted = wish_for(partitions_beside(app, name, source, days))
        left = compare(wanted, app.ledger, resume=resume, only_failed=only_failed)

        def intact(partition: Partition, digest: str, source: Source = source) -> bool:
            if proven is None or not isinstance(source, Grades):
                return app.bronze.intact(partition, digest, source.name)
            raw = app.bronze.read(partition, source.name)
            least = attainable_on(app, partition.key).cut(SNAPSHOTS, proven)
            return raw is not None and raw.digest == digest and at_least(source.grade(raw), least)

        hurt = damaged(left, intact, stopping) if left.settled_count <= AT_ONCE else []
        calm = resume and not only_failed and proven is None
        unsettled = nothing_new(app, left.missing, lambda one: one.key, source.name) if calm else set()
        asked = sorted({*left.missing, *hurt} - unsettled)
        chains = {chain for chain, _ in days}
        ours, others = ([one for one in asked if (one.key in chains) is of_it] for of_it in (True, False))
        # Another chain's silence is found out by one day of it: it must not be waited for as often as there are days.
        for some in (ours, others[:1], others[1:]):
            if not some:
                continue
            more(len(some))
            answers = ask(
                source,
                some,
                bronze=app.bronze,
                ledger=app.ledger,
                workers=workers,
                progress=progress,
                stopping=stopping,
                attempts=ATTEMPTS if some is ours else 1,
            )
            silent = answers.failed
            found.join(answers if some is ours else _forgiven(answers, name))
            if silent and some is not ours:
                break
    return found


def _forgiven(answers: Collected, name: str) -> Collected:
    """The same with what failed told, not counted: of a chain of which nothing was wanted for itself nobody is let wait."""
    if answers.failed:
        first = answers.failures[0]
        answers.notices.append(
            f"{first.partition.key}: {name} did not say what eth and btc are ({counted(answers.failed, 'day')}; "
            f"{first.error}); `cryptolake prices collect` asks again"
        )
        answers.failures, answers.failed = [], 0
    return answers


def _answered(app: App, csus: Sequence[Csu], wish: Wish) -> set[ChainDay]:
    """The chain-days of a wish of which a snapshot is in: those at the end of the day, as silver takes them."""
    chains = {csu.name: csu.chain for csu in csus}
    found = set()
    for (dataset, key), periods in wish.items():
        if dataset != SNAPSHOTS or key not in chains:
            continue
        answers = {text for text, digest in app.ledger.settled(dataset, key).items() if digest is not None}
        found |= {(chains[key], one.day) for one in periods if _ends_its_day(app, one) and str(one) in answers}
    return found


def with_prices(
    app: App,
    chains: Sequence[Workload],
    csus: Mapping[str, Csu],
    wanted: Iterable[Partition],
    states: States,
    *,
    known: KnowsInstant,
    resume: bool = True,
) -> list[Workload]:
    """The work of each chain with what is asked beside the snapshots of `wanted`, those that are answered already included.

    `known` says of a boundary whether it need not be looked for.
    """
    found = {one.chain: one for one in chains}
    days, instants = set[ChainDay](), dict[str, set[datetime]]()
    for one in wanted:
        csu = csus.get(one.key)
        if csu is None or not app.registry.chains[csu.chain].ran_on(one.period.day):
            continue
        instants.setdefault(csu.chain, set()).update((one.period.start, one.period.end))
        deployed = csu.deployed_on is None or csu.deployed_on <= one.period.day
        if one.dataset == SNAPSHOTS and deployed and _ends_its_day(app, one.period):
            days.add((csu.chain, one.period.day))
    for name in asked_beside(app) if days else ():
        source = _source(app, name)

        def intact(partition: Partition, digest: str | None, name: str = source.name) -> bool:
            return app.bronze.intact(partition, digest, name)

        left = make_plan(partitions_beside(app, name, source, days), states, resume=resume, intact=intact).missing
        unsettled = nothing_new(app, left, lambda one: one.key, source.name) if resume else set()
        missing: dict[str, list[Period]] = {}
        for one in (one for one in left if one not in unsettled):
            missing.setdefault(one.key, []).append(one.period)
        for chain, periods in missing.items():
            counted_already = instants.setdefault(chain, set())
            ends = {instant for one in periods for instant in (one.start, one.end)} - counted_already
            counted_already |= ends
            new = sorted(one for one in ends if not known(chain, one))
            on = app.registry.chains[chain]
            before = found.get(chain, Workload(chain, 0, (), (), (), 0, 0))
            found[chain] = replace(
                before,
                price_calls=before.price_calls + len(periods) + app.found.price_sources[name].rounds - 1,
                price_rounds=before.price_rounds + app.found.price_sources[name].rounds - 1,
                headers=before.headers + boundary_headers(on.clock, new),
                again=before.again + borne_out_headers((), len(new), 0, provable=on.receipts is not None),
            )
    return [found[name] for name in sorted(found)]


def _ends_its_day(app: App, period: Period) -> bool:
    return period.end == Period.of_day(period.day, app.boundary).end
