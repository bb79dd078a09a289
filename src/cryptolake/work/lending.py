"""The lending river: collect, refine, build, publish; run is all four, extend goes backwards, rebuild begins anew.

Each step is a function of what the step before it stored, so each can be killed, run again or run alone. The command line,
the scheduler, Dagster and programs call these and nothing below. What does not belong here: how anything is fetched, stored
or computed, and which days are due (daily).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import polars as pl

from cryptolake.app import App
from cryptolake.cluster.asking import asking
from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.errors import BadInput, Stop
from cryptolake.flow import extend as backwards
from cryptolake.flow.collect import Collected
from cryptolake.flow.collect import collect as ask
from cryptolake.flow.outputs import Built as Built
from cryptolake.flow.outputs import Output as Output
from cryptolake.flow.resume import AT_ONCE, Wish, compare, damaged, partitions_of
from cryptolake.flow.workers import suggested
from cryptolake.gold import daily_panel
from cryptolake.net.purse import REACHED
from cryptolake.registry.markets import Csu
from cryptolake.watch.health import Reporter, latencies, read_runs
from cryptolake.watch.pace import Pace, Show
from cryptolake.work import at_events, panel
from cryptolake.work import refine as refining
from cryptolake.work.absences import doubt_absences, proven_less, said_by_one
from cryptolake.work.at_events import ask_at_events
from cryptolake.work.attainable import what_can_be_had
from cryptolake.work.beside import ask_beside
from cryptolake.work.grading import graded_states
from cryptolake.work.liars import judge_earlier_days
from cryptolake.work.lost import require_ledger
from cryptolake.work.market_days import EVERYTHING, MarketDays
from cryptolake.work.price_sources import (
    lake_pricing,
    price_answers,
    price_sources,
    pricing_before,
    read_quotes,
    warn_of_other_settings,
)
from cryptolake.work.priority import largest_first, last_known_usd
from cryptolake.work.published import publish as publish
from cryptolake.work.standing import market_day, standing
from cryptolake.work.unsettled import nothing_new
from cryptolake.work.verify import proven_so_far
from cryptolake.work.vouched import lacking_of, to_make_good, to_read_again


def collect(
    app: App,
    csus: Sequence[Csu],
    wish: Wish,
    *,
    resume: bool = True,
    only_failed: bool = False,
    what: str = "collect",
    cluster: str | None = None,
    stopping: threading.Event | None = None,
    show: Show | None = None,
    proven: Grade | None = None,
) -> Collected:
    """Ask what is missing of a wish, the largest markets first, and say on file how the run does (under the name `what`).

    Answers of settled partitions are checked by content: few of them first, many beside the work, and damaged ones are asked
    again in the same run; so are those that are proven less far than `proven`, as far as that can be had, and suspect ones
    where something new may be learned (`unsettled`). Those who price for all are asked beside the snapshots (`beside`). When
    `stopping` is set the run ends at its next safe point. Raises Stop when a ceiling of what may be spent left something
    unanswered; what was answered is kept.
    """
    stopping = stopping or threading.Event()
    app.purse.ends(stopping)
    judge_earlier_days(app)
    doubt_absences(app.ledger, {csu.name: csu for csu in csus})
    since = datetime.now(UTC)
    left = compare(wish, app.ledger, resume=resume, only_failed=only_failed)
    few = left.settled_count <= AT_ONCE
    most = None if proven is None else what_can_be_had(app, csus, proven)
    intact = app.bronze.intact if most is None else partial(proven_so_far, app.bronze, most)
    hurt = [*(damaged(left, intact) if few else []), *(said_by_one(app, wish) if resume else [])]
    if most is not None and resume and not only_failed:
        hurt = sorted({*hurt, *proven_less(app, wish, most)})
    chains = {csu.name: csu.chain for csu in csus}
    unsettled = (
        set()
        if only_failed or not resume or proven is not None
        else nothing_new(app, left.missing, lambda one: chains[one.key])
    )
    missing = sorted({*left.missing, *hurt} - unsettled)
    asked = frozenset(missing)
    order = largest_first(app.registry, last_known_usd(app.tables.read(daily_panel.TABLE)))
    pace = Pace(what, len(missing), app.pools, show)
    with asking(app, csus, pace, cluster, stopping) as conversations:
        workers = conversations.workers or workers_of(app, csus)

        def answered(partitions: Sequence[Partition]) -> Collected:
            return ask(
                conversations.source,
                partitions,
                bronze=app.bronze,
                ledger=app.ledger,
                workers=workers,
                progress=pace.partition,
                stopping=stopping,
                order=order,
                since=since,
            )

        with Reporter(app.folder.runs, lambda: pace.health(workers)), ThreadPoolExecutor(1, "check") as beside:
            later = None if few else beside.submit(damaged, left, intact, stopping)
            try:
                result = answered(missing)
                if later is not None and (hurt := later.result()):
                    pace.more(len(hurt))
                    result.join(answered(hurt))
                result.join(
                    ask_beside(
                        app,
                        csus,
                        wish,
                        workers=workers,
                        stopping=stopping,
                        resume=resume,
                        only_failed=only_failed,
                        proven=proven,
                        more=pace.more,
                        progress=pace.partition,
                    )
                )
                result.join(
                    ask_at_events(
                        app,
                        wish,
                        workers=workers,
                        stopping=stopping,
                        resume=resume,
                        more=pace.more,
                        progress=pace.partition,
                    )
                )
            except BaseException:
                stopping.set()  # the check must not hold up the end
                raise
    result.known = left.settled_count - len(hurt) + len(unsettled)
    judge_earlier_days(app)
    for doubted in doubt_absences(app.ledger, {csu.name: csu for csu in csus}):
        if doubted.partition in asked:
            result.unanswerable -= 1
            result.add(doubted)
    _refuse_beyond_ceiling(app.purse.reached, result)
    return result


def _refuse_beyond_ceiling(reached: str | None, result: Collected) -> None:
    """Say in one line that a ceiling ended the run. Raises Stop."""
    told = (one.error for one in result.failures if one.error is not None and REACHED in one.error)
    answered, left = result.done + result.empty + result.unanswerable, result.failed + result.released
    if left and (why := reached or next(told, None)) is not None:
        raise Stop(f"{why} ({counted(answered, 'answer')} kept, {left:,} left)")


def workers_of(app: App, csus: Sequence[Csu]) -> int:
    """The user's number, else what the endpoints of these markets can feed at the latency last measured."""
    if "workers" in app.settings.model_fields_set:
        return app.settings.workers
    chains = {csu.chain for csu in csus}
    endpoints = [one for name in chains for one in app.nodes(app.registry.chain(name))]
    return suggested(endpoints, latencies(read_runs(app.folder.runs)))


def refine(app: App, partitions: Iterable[Partition] = ()) -> list[Output]:
    """Bronze to silver for the days of these partitions and for every other day that silver lacks, valued like the rest.

    So whatever was collected and never refined, or lost from silver since, is made good by the next trip of any kind.
    """
    warn_of_other_settings(app, lake_pricing(app))
    return made_good(app, partitions)


def made_good(app: App, partitions: Iterable[Partition] = (), *, valued_after: bool = False) -> list[Output]:
    """The same, whatever the settings say of prices.

    `valued_after`: all of silver is valued anew next, so that days of which only that is wrong are not written twice.
    """
    states, csus = graded_states(app.ledger, app.bronze), app.registry.csus
    how = lake_pricing(app)
    lacking = to_read_again(app, states) if valued_after else to_make_good(app, states, how)
    days = {market_day(one) for one in partitions} | lacking
    asked = [one for one in states if market_day(one) in days and one.key in csus]
    if not asked:
        return []
    return refining.refine(
        app.onchain([csus[name] for name in sorted({one.key for one in asked})]),
        asked,
        bronze=app.bronze,
        tables=app.tables,
        states=states,
        quotes=read_quotes(price_sources(app), app.bronze, states, {one.period.day for one in asked}),
        pricing=how,
        told_by=price_answers(app, states),
    )


def not_in_silver(app: App) -> pl.DataFrame:
    """The market-days that were answered and that silver cannot vouch for (`evidence.EVIDENCE`)."""
    return lacking_of(app, app.ledger.states())


def build(app: App) -> Built:
    """Silver to gold, and the market-days that were answered and have no number all the same.

    Raises Stop when the ledger that told the answers apart is lost.
    """
    require_ledger(app)
    states = app.ledger.states()
    built = panel.build(
        app.stores,
        csus=app.registry.csus,
        left_out=app.registry.exclusions,
        events=app.registry.events,
        told_by=price_answers(app, states),
        states=states,
    )
    return Built([*built.outputs, *at_events.build(app, states)], built.lacking)


@dataclass(frozen=True, slots=True)
class Run:
    """What a whole run did; `built` is None when its tables were not wanted, or it was asked to stop before they were made."""

    collected: Collected
    built: Built | None

    @property
    def ok(self) -> bool:
        """Whether everything that was asked was answered and every answered day has its number."""
        return not self.collected.failed and self.built is not None and self.built.lacking.is_empty()


def run(
    app: App,
    csus: Sequence[Csu],
    wish: Wish,
    *,
    resume: bool = True,
    what: str = "collect",
    tables: bool = True,
    cluster: str | None = None,
    stopping: threading.Event | None = None,
    show: Show | None = None,
    proven: Grade | None = None,
) -> Run:
    """Collect, and with `tables` refine, build and publish what all of silver and the ledger give.

    Asked to stop it ends after the step at hand. Whatever was collected and not refined is made good by the next run.
    """
    stopping = stopping or threading.Event()
    collected = collect(
        app, csus, wish, resume=resume, what=what, cluster=cluster, stopping=stopping, show=show, proven=proven
    )
    if not tables or stopping.is_set():
        return Run(collected, None)
    made = refine(app, partitions_of(wish))
    if stopping.is_set():
        return Run(collected, None)
    built = build(app)
    made += built.outputs
    if not stopping.is_set():
        made += publish(app)
    return Run(collected, Built(made, built.lacking))


@dataclass(frozen=True, slots=True)
class Extended:
    """What going backwards did: each chain's walk, and everything that was collected on the way."""

    walks: list[backwards.Walk]
    collected: Collected


def extend(
    app: App,
    csus: Sequence[Csu],
    *,
    until: date,
    datasets: Sequence[str] = MARKET_DATASETS,
    stopping: threading.Event | None = None,
    show: Show | None = None,
    told: Callable[[backwards.Walk], None] = lambda _walk: None,
) -> Extended:
    """Collect backwards from the settings' last day to `until`, month by month and chain by chain (`flow.extend`).

    Raises BadInput when `until` is after the newest day.
    """
    stopping, total, newest = stopping or threading.Event(), Collected(), app.settings.span()[1]
    if until > newest:
        raise BadInput(f"--until {until} is after the newest day {newest}; give an earlier day")

    def month(wish: Wish) -> bool:
        first = min(period.day for periods in wish.values() for period in periods)
        total.join(collect(app, csus, wish, what=f"extend {first:%Y-%m}", stopping=stopping, show=show))
        return not stopping.is_set()

    walks = backwards.extend(
        csus,
        until=until,
        newest=newest,
        ledger=app.ledger,
        datasets=datasets,
        ask=month,
        granularity=app.settings.granularity,
        boundary=app.boundary,
        told=told,
    )
    return Extended(walks, total)


def rebuild(app: App, *, reparse: bool = False, only: MarketDays = EVERYTHING) -> Built:
    """Everything that was ever collected, bronze to gold, from scratch and without network. Publishes nothing.

    `only` makes these market-days anew in silver and keeps the others; the panel is made whole. `reparse` reads every
    answer again instead of the monthly twins. Raises BadInput when nothing (of it) was collected. Answers that the ledger
    knows and that are missing raise Stop before anything is written; of `only`, they are listed as in `build`.
    """
    states, csus = graded_states(app.ledger, app.bronze), app.registry.csus
    every = [one for one in states if one.dataset in MARKET_DATASETS and one.key in csus]
    partitions = [one for one in every if only.holds(one)]
    if not partitions:
        of, first = ("", " first") if only.whole else (" of this selection", " with the same flags first")
        raise BadInput(f"nothing was collected yet{of}; run `cryptolake run`{first}")
    how = pricing_before(app) if only.whole else lake_pricing(app)
    if not only.whole:  # what silver cannot vouch for is made good by every trip
        lacks = to_make_good(app, states, how)
        partitions = [one for one in every if only.holds(one) or market_day(one) in lacks]
    warn_of_other_settings(app, how)
    days = None if only.whole else {one.period.day for one in partitions}
    known = standing(states)
    made = refining.refine(
        app.onchain([csus[name] for name in sorted({one.key for one in partitions})]),
        partitions,
        bronze=app.bronze,
        tables=app.tables,
        states=states,
        known=known,
        quotes=read_quotes(price_sources(app), app.bronze, states, days),
        pricing=how,
        told_by=price_answers(app, states),
        fresh=only.whole,
        reparse=reparse,
    )
    built = panel.build(
        app.stores,
        csus=csus,
        left_out=app.registry.exclusions,
        events=app.registry.events,
        told_by=price_answers(app, states),
        states=states,
        known=known,
    )
    return Built([*made, *built.outputs, *at_events.build(app, states)], built.lacking)
