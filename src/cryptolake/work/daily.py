"""What a slot of the schedule and a step of the orchestrator do, with an app's parts: each function is one call of `flow`.

Both the scheduler and Dagster's definitions drive these, so what they do and when cannot differ. What does not belong
here: steps (flow), text for people (cli), and everything of Dagster (definitions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path

import orjson
import polars as pl

from cryptolake import __version__
from cryptolake.app import App
from cryptolake.catalogue import FoundTable, found_tables
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Dataset, Source
from cryptolake.errors import BadInput
from cryptolake.files.atomic import write_bytes
from cryptolake.flow.collect import Collected, collect
from cryptolake.flow.plan import Span, make_plan, wanted
from cryptolake.flow.schedule import ScheduledJob, jobs_of
from cryptolake.flow.scheduler import Outcome as Outcome
from cryptolake.registry.markets import Csu
from cryptolake.registry.version import registry_version
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work import lending
from cryptolake.work.alerts import alert
from cryptolake.work.evidence import lines
from cryptolake.work.lineage import Node, lineage
from cryptolake.work.prices import read_quotes
from cryptolake.work.series import Operation, Pulled
from cryptolake.work.standing import DATASETS, market_day
from cryptolake.work.vendors import ask_vendor

ONCHAIN = "onchain"
_MEND_DAYS = 7  # a daily run also asks again for what failed in the week before
_PIECE_DAYS = 7  # one piece of a long history


def markets(app: App) -> tuple[list[Csu], dict[str, str]]:
    """The markets to keep current, and those left out with the reason (`unsupported_family`, `no_endpoint`).

    Raises BadInput when the settings name a market that is not in the registry.
    """
    names = app.settings.markets or [name for name, csu in app.registry.csus.items() if not csu.sandbox]
    chosen, aside = [], {}
    for csu in map(app.registry.csu, sorted(names)):
        if csu.family not in families():
            aside[csu.name] = "unsupported_family"
            continue
        try:
            app.pool(app.registry.chains[csu.chain])
        except BadInput:
            aside[csu.name] = "no_endpoint"
        else:
            chosen.append(csu)
    return chosen, aside


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
    """One job per source and cadence, vendors first; and one line per dataset that waits for a secret."""
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
    own = {one.name: FoundTable(one, f"sources of {one.name}") for one in app.source_tables()}
    return lineage(app.onchain(markets(app)[0]), vendors(app), {**found_tables(), **own})


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
    source = app.onchain(markets(app)[0])
    return _landed(app, source, _partitions(app, source, datasets, _mended(app, first), last))


def refine_days(app: App, first: date, last: date) -> list[lending.Made]:
    """Bronze to silver for the days, both included, and the week before."""
    source = app.onchain(markets(app)[0])
    return refine(app, _partitions(app, source, [one.name for one in source.datasets], _mended(app, first), last))


def refine(app: App, partitions: Sequence[Partition] = ()) -> list[lending.Made]:
    """Bronze to silver for the days of these partitions and for every other day that silver lacks, at the settings' ladder.

    So whatever was collected and never refined, or lost from silver since, is made good by the next trip of any kind.
    """
    states, csus = app.ledger.states(), app.registry.csus
    lacking = lending.not_in_silver(tables=app.tables, states=states, csus=csus)
    days = {market_day(one) for one in partitions} | set(lacking.select("dataset", "csu", "date").iter_rows())
    asked = [one for one in states if market_day(one) in days and one.key in csus]
    return lending.refine(
        app.onchain([csus[name] for name in sorted({one.key for one in asked})]),
        asked,
        bronze=app.bronze,
        tables=app.tables,
        states=states,
        # Without the table of quotes nothing in silver knows what vendors said: their answers are read again.
        quotes=None if app.tables.version(QUOTES) is not None else read_quotes(app.price_sources(), app.bronze, states),
        pricing=app.pricing,
    )


def not_in_silver(app: App) -> pl.DataFrame:
    """The market-days that were answered and that silver cannot vouch for (`evidence.EVIDENCE`)."""
    return lending.not_in_silver(tables=app.tables, states=app.ledger.states(), csus=app.registry.csus)


def rebuild(app: App, *, reparse: bool = False) -> lending.Built:
    """Silver and gold from scratch from every answer that is kept. Raises BadInput when there is none.

    Raises Stop before anything is written when answers that the ledger knows are missing.
    """
    states = app.ledger.states()
    partitions = [one for one in states if one.dataset in DATASETS and one.key in app.registry.csus]
    if not partitions:
        raise BadInput("nothing was collected yet; run `cryptolake run` first")
    made = lending.refine(
        app.onchain([app.registry.csus[name] for name in sorted({one.key for one in partitions})]),
        partitions,
        bronze=app.bronze,
        tables=app.tables,
        states=states,
        quotes=read_quotes(app.price_sources(), app.bronze, states),
        pricing=app.pricing,
        fresh=True,
        reparse=reparse,
    )
    built = lending.build(
        tables=app.tables, ledger=app.ledger, csus=app.registry.csus, states=states, warehouse=app.warehouse
    )
    return lending.Built([*made, *built.made], built.lacking)


def build(app: App) -> lending.Built:
    """Silver to gold."""
    return lending.build(tables=app.tables, ledger=app.ledger, csus=app.registry.csus, warehouse=app.warehouse)


def publish(app: App) -> list[lending.Made]:
    """Finished tables to files and PostgreSQL."""
    with app.warehouse() as warehouse:
        return lending.publish(
            tables=app.tables,
            ledger=app.ledger,
            csus=app.registry.csus,
            data=app.settings.data,
            warehouse=warehouse,
            code_version=__version__,
            registry_version=registry_version(app.registry),
            day_boundary=app.settings.day_boundary,
        )


class AppWork:
    """The scheduler's work, done with one app. `today` is replaceable for tests."""

    def __init__(self, app: App, today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> None:
        self._app, self._today = app, today

    def backfill(self, job: ScheduledJob) -> Iterator[Outcome]:
        """A vendor's whole history in one piece; a chain's week by week, the newest first."""
        if job.source != ONCHAIN:
            yield pull(self._app, job.source, job.datasets, "backfill")
            return
        source = self._app.onchain(markets(self._app)[0])
        first, last = self._app.settings.span(self._today())
        asked = _partitions(self._app, source, job.datasets, first, last)
        missing = make_plan(asked, self._app.ledger.states(), intact=self._app.bronze.intact).missing
        if not missing:
            if self._finish_refining():
                build(self._app)
                publish(self._app)
            yield Outcome(True, 0, f"{first} .. {last}: nothing is missing")
        days = sorted({partition.period.day for partition in missing}, reverse=True)
        for _, group in groupby(days, key=lambda day: day.toordinal() // _PIECE_DAYS):
            piece = list(group)
            yield self._travel(job.datasets, piece[-1], piece[0])

    def run(self, job: ScheduledJob, slots: Sequence[datetime]) -> Outcome:
        """A vendor: pull (and backfill when whole days were missed). The chain: the days before the slots, up to the last."""
        earliest = min([slot.date() for slot in slots], default=self._today())
        if job.source != ONCHAIN:
            missed = earliest < self._today()
            operations: tuple[Operation, ...] = ("backfill", "pull") if missed else ("pull",)
            return _sum([pull(self._app, job.source, job.datasets, operation) for operation in operations])
        last = self._app.settings.span(self._today())[1]  # yesterday, unless the settings end earlier
        return self._travel(job.datasets, min(earliest - timedelta(days=1), last), last)

    def alert(self, title: str, text: str) -> None:
        """See `work.alerts.alert`."""
        alert(self._app, title, text)

    def _travel(self, datasets: Sequence[str], first: date, last: date) -> Outcome:
        """Collect to publish. The days are on file until silver holds them, so that a kill in between leaves no hole."""
        self._finish_refining()
        write_bytes(_note(self._app), orjson.dumps([first.isoformat(), last.isoformat()]))
        outcome = collect_days(self._app, datasets, first, last)
        self._finish_refining()
        lacking = build(self._app).lacking
        publish(self._app)
        note = "; ".join([f"{first} .. {last}: {outcome.note}", *lines(lacking)])
        return Outcome(outcome.ok and lacking.is_empty(), outcome.records, note)

    def _finish_refining(self) -> bool:
        """Refine the days on file; False when there are none."""
        note = _note(self._app)
        if not note.exists():
            return False
        first, last = (date.fromisoformat(day) for day in orjson.loads(note.read_bytes()))
        refine_days(self._app, first, last)
        note.unlink()
        return True


def _note(app: App) -> Path:
    return app.settings.data / "unfinished.json"


def _mended(app: App, first: date) -> date:
    """A week earlier, but not before anything could be asked for."""
    return min(first, max(first - timedelta(days=_MEND_DAYS), first_day(app)))


def _partitions(app: App, source: OnchainSource, datasets: Sequence[str], first: date, last: date) -> list[Partition]:
    span = Span(first, last, app.settings.granularity, app.settings.day_boundary)
    return wanted(source, datasets, [key for name in datasets for key in source.keys(name)], span)


def _landed(app: App, source: Source, partitions: Sequence[Partition]) -> Outcome:
    plan = make_plan(
        partitions, app.ledger.states(), intact=lambda one, digest: app.bronze.intact(one, digest, source.name)
    )
    result = collect(source, plan.missing, bronze=app.bronze, ledger=app.ledger, workers=app.settings.workers)
    answered = result.done + result.empty
    note = f"{answered:,} answered, {result.gone:,} not there, {plan.settled:,} known before"
    return Outcome(not result.failed, answered, note + _failed(result))


def _failed(result: Collected) -> str:
    if not result.failed:
        return ""
    first = result.failures[0]
    return f", {result.failed:,} failed (first: {first.partition}: {first.error})"


def _sum(outcomes: Sequence[Outcome]) -> Outcome:
    ok, records = all(one.ok for one in outcomes), sum(one.records for one in outcomes)
    return Outcome(ok, records, "; ".join(one.note for one in outcomes))
