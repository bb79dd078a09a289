"""What is due and when: the sources and markets to keep current, their jobs, and what a slot of the schedule does.

The scheduler, Dagster's definitions and `daily` drive these, so what they do and when cannot differ. What does not belong
here: the steps themselves (lending, vendors), text for people (cli), and everything of Dagster (definitions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from cryptolake.app import App
from cryptolake.catalogue import found_tables
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.contracts.source import Dataset, Source
from cryptolake.errors import BadInput
from cryptolake.flow import increment
from cryptolake.flow.collect import Collected
from cryptolake.flow.outputs import Output
from cryptolake.flow.plan import Span
from cryptolake.flow.resume import Wish, compare, damaged, partitions_of, wish_of
from cryptolake.flow.schedule import ScheduledJob, jobs_of
from cryptolake.flow.scheduler import Outcome as Outcome
from cryptolake.registry.loader import configured
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import families
from cryptolake.watch import coverage
from cryptolake.work import lending
from cryptolake.work.alerts import alert, require_ways
from cryptolake.work.evidence import lines
from cryptolake.work.lineage import Node, lineage
from cryptolake.work.series import Operation, Pulled
from cryptolake.work.vendors import ask_vendor

ONCHAIN = "onchain"
_MEND_DAYS = 7  # a daily run also asks again for what failed in the week before
_PIECE_DAYS = 7  # one piece of a long history


def markets(app: App) -> tuple[list[Csu], dict[str, str]]:
    """The markets to keep current, and those left out with the reason (`unsupported_family`, `no_endpoint`).

    Raises BadInput when the settings name a market that is not in the registry.
    """
    settings = app.settings
    chosen, left_out = [], {}
    for csu in configured(app.registry, settings.markets or ([] if settings.sets else ["all"]), settings.sets):
        if csu.family not in families():
            left_out[csu.name] = "unsupported_family"
            continue
        try:
            app.pool(app.registry.chains[csu.chain])
        except BadInput:
            left_out[csu.name] = "no_endpoint"
        else:
            chosen.append(csu)
    return chosen, left_out


def sources(app: App) -> dict[str, Source]:
    """The sources to keep current by name: the chain with its markets, and the vendors found.

    Raises BadInput when the settings name a source that nobody knows.
    """
    found: dict[str, Source] = {ONCHAIN: app.onchain(markets(app)[0]), **app.vendors()}
    if unknown := sorted(set(app.settings.sources) - set(found)):
        raise BadInput(f"CRYPTOLAKE_SOURCES: unknown source {unknown[0]!r}; known: {', '.join(sorted(found))}")
    return {name: source for name, source in found.items() if not app.settings.sources or name in app.settings.sources}


def vendors(app: App) -> list[Source]:
    """The vendors among the sources to keep current."""
    return [source for name, source in sources(app).items() if name != ONCHAIN]


def jobs(app: App) -> tuple[list[ScheduledJob], list[str]]:
    """One job per source and cadence, vendors first; and one line per dataset that waits for a secret.

    Raises Stop naming a file of alerts that is at fault, BadInput naming one of sources.
    """
    require_ways()
    found: list[ScheduledJob] = []
    waiting = []
    for name, source in sorted(sources(app).items(), key=lambda item: (item[0] == ONCHAIN, item[0])):
        askable: list[Dataset] = []
        for dataset in source.datasets:
            if app.settings.missing(dataset.needs):
                waiting.append(f"{name} {dataset.name} waits for {str(dataset.needs).upper()}")
            else:
                askable.append(dataset)
        found += jobs_of(source, askable)
    return found, waiting


def nodes(app: App) -> list[Node]:
    """Every table with its origin."""
    return lineage(app.onchain(markets(app)[0]), vendors(app), found_tables())


def pull(app: App, source_name: str, datasets: Sequence[str], operation: Operation) -> Outcome:
    """Ask a vendor and load what it feeds; datasets that cannot answer the operation are left out."""
    source = app.vendor(source_name)
    able = [
        one for one in source.datasets if one.name in datasets and (one.live if operation == "pull" else one.history)
    ]
    if not able:
        return Outcome(True, 0, f"{operation}: nothing to ask")
    return _sum([_outcome(one) for one in ask_vendor(app, operation, source_name, datasets=[one.name for one in able])])


def _outcome(one: Pulled) -> Outcome:
    changes = f"{one.inserted:,} new, {one.updated:,} changed, {one.unchanged:,} unchanged"
    alerts = "".join(f", {line}" for line in one.alerts)
    return Outcome(one.status != "error", one.records, f"{one.table}: {changes}{alerts}{_failed(one.collected)}")


def first_day(app: App) -> date:
    """The first day that can be asked for: the fixed start of the settings, else the oldest market's deployment."""
    known = [csu.deployed_on for csu in markets(app)[0] if csu.deployed_on is not None]
    return app.settings.start_date or min(known, default=app.settings.span()[0])


def collect_days(app: App, datasets: Sequence[str], first: date, last: date) -> Outcome:
    """Ask the chains for the days, both included, and keep the answers; what is settled is not asked again.

    What failed in the week before is asked again as well.
    """
    csus = markets(app)[0]
    wish = _wish(app, csus, datasets, _mended(app, first), last)
    return _answered(lending.collect(app, csus, wish, what=f"collect {first} .. {last}"))


def refine_days(app: App, first: date, last: date) -> list[Output]:
    """Bronze to silver for the days, both included, the week before, and whatever else silver lacks."""
    return lending.refine(app, partitions_of(_wish(app, markets(app)[0], MARKET_DATASETS, _mended(app, first), last)))


def due(app: App, csus: Sequence[Csu], datasets: Sequence[str], until: date) -> Wish:
    """What these markets owe up to the day `until`, included (`flow.increment`)."""
    return increment.due(
        [one.name for one in csus],
        datasets=datasets,
        until=until,
        ledger=app.ledger,
        granularity=app.settings.granularity,
        boundary=app.boundary,
    )


def begun(app: App) -> list[Csu]:
    """The markets of the registry that were ever asked for."""
    return [app.registry.csus[name] for name in coverage.markets(app.ledger) if name in app.registry.csus]


class AppWork:
    """The scheduler's work, done with one app. `today` is replaceable for tests."""

    def __init__(self, app: App, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> None:
        self._app, self._today = app, today

    def backfill(self, job: ScheduledJob) -> Iterator[Outcome]:
        """A vendor's whole history in one piece; a chain's week by week, the newest first."""
        if job.source != ONCHAIN:
            yield pull(self._app, job.source, job.datasets, "backfill")
            return
        first, last = self._app.settings.span(self._today())
        left = compare(_wish(self._app, markets(self._app)[0], job.datasets, first, last), self._app.ledger)
        days = {partition.period.day for partition in left.missing}
        yield from self._pieces(job, days)
        # Reading every settled answer takes longer than finding what was never answered: it comes last.
        hurt = {partition.period.day for partition in damaged(left, self._app.bronze.intact)} - days
        yield from self._pieces(job, hurt)
        if not days | hurt:
            yield Outcome(True, 0, f"{first} .. {last}: nothing is missing")

    def run(self, job: ScheduledJob, slots: Sequence[datetime]) -> Outcome:
        """A vendor: pull (and backfill when whole days were missed). The chain: the days before the slots, up to the last."""
        earliest = min([slot.date() for slot in slots], default=self._today())
        if job.source != ONCHAIN:
            missed = earliest < self._today()
            operations: tuple[Operation, ...] = ("backfill", "pull") if missed else ("pull",)
            return _sum([pull(self._app, job.source, job.datasets, operation) for operation in operations])
        last = self._app.settings.span(self._today())[1]  # yesterday, unless the settings end earlier
        return self._travel(job, min(earliest - timedelta(days=1), last), last)

    def alert(self, title: str, text: str) -> None:
        """See `work.alerts.alert`."""
        alert(self._app, title, text)

    def _pieces(self, job: ScheduledJob, days: Iterable[date]) -> Iterator[Outcome]:
        """Those days week by week, the newest week first."""
        for _, group in groupby(sorted(days, reverse=True), key=lambda day: day.toordinal() // _PIECE_DAYS):
            piece = list(group)
            yield self._travel(job, piece[-1], piece[0])

    def _travel(self, job: ScheduledJob, first: date, last: date) -> Outcome:
        """Collect to publish. Killed in between, the next one refines what silver lacks."""
        csus = markets(self._app)[0]
        wish = _wish(self._app, csus, job.datasets, _mended(self._app, first), last)
        ran = lending.run(self._app, csus, wish, what=f"{job.name} {first} .. {last}")
        outcome = _answered(ran.collected)
        lacking = [] if ran.built is None else lines(ran.built.lacking)
        note = "; ".join([f"{first} .. {last}: {outcome.note}", *lacking])
        return Outcome(outcome.ok and not lacking, outcome.records, note)


def _mended(app: App, first: date) -> date:
    """A week earlier, but not before anything could be asked for."""
    return min(first, max(first - timedelta(days=_MEND_DAYS), first_day(app)))


def _wish(app: App, csus: Sequence[Csu], datasets: Sequence[str], first: date, last: date) -> Wish:
    span = Span(first, last, app.settings.granularity, app.boundary)
    return wish_of(app.onchain(csus), datasets, [one.name for one in csus], span)


def _answered(found: Collected) -> Outcome:
    answered = found.done + found.empty
    note = f"{answered:,} answered, {found.unanswerable:,} unanswerable, {found.known:,} known before"
    pending = f", {found.pending:,} pending ({'; '.join(found.notices)})" if found.pending else ""
    return Outcome(not found.failed, answered, note + pending + _failed(found))


def _failed(result: Collected) -> str:
    if not result.failed:
        return ""
    first = result.failures[0]
    return f", {result.failed:,} failed (first: {first.partition}: {first.error})"


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    ok, records = all(one.ok for one in outcomes), sum(one.records for one in outcomes)
    return Outcome(ok, records, "; ".join(one.note for one in outcomes))
