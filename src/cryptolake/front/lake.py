"""`Lake`: a data folder that is open, with the tables to read and the steps that fill them.

What does not belong here: how a step is done (work), and opening (door).
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

from cryptolake.app import App
from cryptolake.catalogue import found_tables
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput
from cryptolake.flow.collect import Collected
from cryptolake.flow.outputs import Built, Output
from cryptolake.front.asked import address, agreed, ask, by_workers, finished
from cryptolake.front.selection import markets, named_markets, span
from cryptolake.front.table import LakeTable, asked_of
from cryptolake.front.words import Day, Names, Show, day, flag, names, number, shown, text
from cryptolake.quality.coverage import coverage
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import families
from cryptolake.work import lending
from cryptolake.work.chosen_panel import chosen_panel
from cryptolake.work.lending import Run
from cryptolake.work.panel_quality import examine
from cryptolake.work.selection import (
    chosen_wish,
    collected_csus,
    collected_partitions,
    due_wish,
    open_span,
)
from cryptolake.work.series import Pulled


class Lake:
    """A data folder that is open: its tables to read, and the steps that fill them. Made by `open`, closed by `close`.

    Markets are selected by `csu`, `chain`, `family` and `set` (a name or several; together they narrow), days by `start` and
    `end` (dates or `"2024-12-31"`, both included) or `days` back from the end.
    """

    def __init__(self, app: App) -> None:
        self._open: App | None = app
        self._folder = app.folder.root

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return self._folder

    @property
    def _app(self) -> App:
        if self._open is None:
            raise BadInput(f"the lake {self._folder} is closed; open it again with cl.open")
        return self._open

    # Reading

    def panel(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002  # the word of the command line
        start: Day = None,
        end: Day = None,
        days: int | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """The balanced daily panel: one row per market and day of the selection, each with statuses and reasons.

        Without a selection all that was ever asked for. A key that was never asked for is a row that says `not_asked`; amounts
        are in USD, and null where `status` is not `ok`, `suspect` or `missing_price`. `reason` and `liquidations_reason`
        say why a status is not `ok`. `version` is an older commit of the panel. Raises BadInput when there is nothing, and
        Stop for figures that ledger and silver do not give now.

        >>> panel = lake.panel(csu="aave_v3_sandbox", start="2024-12-05", end="2024-12-10")
        >>> panel.select("date", "liquidation_count", "liquidations_status").row(0)
        (datetime.date(2024, 12, 5), 3, 'ok')
        >>> panel["liquidations_status"][-1], panel["liquidations_reason"][-1]
        ('missing_price', 'unpriced_event')
        """
        return self._chosen(markets(self._app, csu, chain, family, set), start, end, days, version)

    def tables(self) -> pl.DataFrame:
        """Every table there is: name, layer, grain, what it is about, and where its rows are (`lake` or `postgresql`).

        >>> lake.tables().filter(name="tvl").select("layer", "place").row(0)
        ('silver', 'lake')
        """
        rows = [(t.name, t.layer, t.grain, t.doc, "lake" if t.in_lake else "postgresql") for t in self._contracts()]
        return pl.DataFrame(rows, schema=["name", "layer", "grain", "doc", "place"], orient="row")

    def table(self, name: str, *, as_stored: bool = False) -> LakeTable:
        """One table by its name, or a name that it had. Raises BadInput naming the known ones.

        Reading the panel, or what is made of it, raises Stop where ledger and silver do not give its figures now;
        `as_stored` hands the rows out as they lie there.

        >>> lake.table("tvl")
        <LakeTable tvl: one row is one asset of one market at the end of one day>
        >>> lake.table("prices").key
        ('date', 'chain', 'asset')
        """
        text("the table's name", name)
        for table in self._contracts():
            if name in (table.name, *table.formerly):
                return LakeTable(lambda: self._app, table, as_stored=flag("as_stored", as_stored))
        raise BadInput(f"no table {name!r}; known: {', '.join(one.name for one in self._contracts())}")

    def sql(self, statement: str, *, as_stored: bool = False) -> pl.DataFrame:
        """The answer to one SELECT over the lake's tables, in DuckDB's SQL. Instants are UTC.

        The engine reads these tables and nothing else: no other file, no network, no setting; it changes nothing and ends
        after five minutes or 2 GiB. Tables that only PostgreSQL holds are read by `table`. Raises BadInput with the remedy, and
        of figures of the panel what `table` does, unless they are wanted `as_stored`.

        >>> lake.sql("SELECT count(*) AS days, sum(liquidation_count) AS liquidations FROM daily_panel").row(0)
        (14, 5)
        >>> lake.sql("COPY tvl TO 'tvl.csv'")
        Traceback (most recent call last):
        cryptolake.errors.BadInput: queries read the lake's tables and nothing else, so COPY is refused; write a SELECT
        """
        statement, as_stored = text("the statement", statement), flag("as_stored", as_stored)
        return asked_of(self._app, self._contracts(), statement, as_stored=as_stored)

    def coverage(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002
        start: Day = None,
        end: Day = None,
        days: int | None = None,
    ) -> pl.DataFrame:
        """How many days of each market and dataset have which status; nothing that was expected is left out.

        >>> lake.coverage().filter(dataset="liquidations").select("status", "days").rows()
        [('missing_price', 1), ('ok', 13)]
        """
        return coverage(self._chosen(markets(self._app, csu, chain, family, set), start, end, days, as_stored=True))

    def quality(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002
        start: Day = None,
        end: Day = None,
        days: int | None = None,
        store: bool = True,
    ) -> pl.DataFrame:
        """Run every check over the selection: severity, rows that break it, what should hold, examples; broken ones first.

        `store` keeps the results in the table `quality_results` (PostgreSQL), but for an embedded one that cannot be written.

        >>> lake.quality(store=False).filter(severity="error")["rows"].sum()
        0
        """
        chosen = self._chosen(markets(self._app, csu, chain, family, set), start, end, days, as_stored=True)
        found = examine(self._app, chosen, store=flag("store", store))
        rows = [(one.check, one.severity, one.rows, one.doc, list(one.examples)) for one in found.results]
        schema = {"check": pl.String, "severity": pl.String, "rows": pl.Int64, "doc": pl.String}
        return pl.DataFrame(rows, schema={**schema, "examples": pl.List(pl.String)}, orient="row")

    # Steps

    def collect(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002
        dataset: Names = None,
        start: Day = None,
        end: Day = None,
        days: int | None = None,
        resume: bool = True,
        only_failed: bool = False,
        workers: int | None = None,
        cluster: str | None = None,
        show: Show | None = None,
    ) -> Collected:
        """Ask the chains for what is missing of the selection and keep every answer; interrupted, call it again.

        Without `resume` all of it is asked anew (answers that differ are kept beside the old ones). `workers` are parallel
        conversations (default: what limits and latency can feed); `cluster` names machines that ask (docs/cluster.md).
        `show(done, total, what)` is called as answers come. What could not be answered is counted in the result, with its
        reason; nothing is raised for it. Raises BadInput without a selection: name markets, a set, or `csu="all"`.

        >>> result = lake.collect(csu="aave_v3_sandbox", start="2024-12-01", end="2024-12-02", workers=8)
        >>> result.failed
        0
        """
        csus = named_markets(self._app, csu, chain, family, set)
        with by_workers(self._app, csus, workers) as app:
            wish = chosen_wish(app, csus, names(dataset), span(self._app, start, end, days))
            return lending.collect(
                app,
                csus,
                wish,
                resume=flag("resume", resume),
                only_failed=flag("only_failed", only_failed),
                cluster=address(cluster),
                show=shown(show),
            )

    def refine(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002
        dataset: Names = None,
        start: Day = None,
        end: Day = None,
        days: int | None = None,
    ) -> list[Output]:
        """Bronze to silver: all that was collected and that silver lacks, and the selection's days anew. No network."""
        partitions: list[Partition] = []
        csus = markets(self._app, csu, chain, family, set)
        dated = any(one is not None for one in (start, end, days))
        if csus is not None:
            asked = span(self._app, start, end, days) if dated else None
            partitions = collected_partitions(self._app, csus, names(dataset), asked)
        elif dataset is not None or dated:
            raise BadInput("name markets with the days: a set, a chain, a family, or csu='all'")
        return lending.refine(finished(self._app), partitions)

    def build(self) -> Built:
        """Silver to gold. Days that were answered and have no number all the same are listed in `lacking`. No network.

        >>> lake.build().lacking.height
        0
        """
        return lending.build(finished(self._app))

    def publish(self) -> list[Output]:
        """The finished tables to plain files and PostgreSQL."""
        return lending.publish(finished(self._app))

    def run(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002
        dataset: Names = None,
        start: Day = None,
        end: Day = None,
        days: int | None = None,
        resume: bool = True,
        workers: int | None = None,
        cluster: str | None = None,
        show: Show | None = None,
    ) -> Run:
        """Collect, refine, build, publish in one go. `ok` says whether everything was answered and has its number."""
        csus = named_markets(self._app, csu, chain, family, set)
        with by_workers(self._app, csus, workers) as app:
            wish = chosen_wish(app, csus, names(dataset), span(self._app, start, end, days))
            asked = flag("resume", resume)
            return lending.run(app, csus, wish, resume=asked, what="run", cluster=address(cluster), show=shown(show))

    def daily(
        self,
        *,
        csu: Names = None,
        chain: Names = None,
        family: Names = None,
        set: Names = None,  # noqa: A002
        dataset: Names = None,
        end: Day = None,
        workers: int | None = None,
        cluster: str | None = None,
        show: Show | None = None,
    ) -> Run:
        """Catch up: what is due since the last time, up to `end` (yesterday), of these markets or all ever collected."""
        csus = markets(self._app, csu, chain, family, set)
        csus = [one for one in csus if one.family in families()] if csus is not None else collected_csus(self._app)
        if not csus:
            raise BadInput("nothing was collected yet; name markets the first time, e.g. lake.daily(set='thesis-43')")
        with by_workers(self._app, csus, workers) as app:
            wish = due_wish(app, csus, names(dataset), day(end))
            return lending.run(app, csus, wish, what="daily", cluster=address(cluster), show=shown(show))

    def pull(
        self,
        source: str,
        *,
        dataset: Names = None,
        key: Names = None,
        workers: int | None = None,
        show: Show | None = None,
    ) -> list[Pulled]:
        """Ask a vendor for current values and load them; one result per table, with `status` and what failed.

        Raises BadInput for an unknown source, dataset or key, and when nothing can be asked for want of a vendor's key.
        """
        chosen, keys = names(dataset) or None, names(key) or None
        return ask(self._app, "pull", source, datasets=chosen, keys=keys, workers=workers, show=show)

    def backfill(
        self,
        source: str,
        *,
        dataset: Names = None,
        key: Names = None,
        resume: bool = True,
        restate: bool = False,
        fresh: bool = False,
        drop: Names = None,
        yes: bool = False,
        workers: int | None = None,
        show: Show | None = None,
    ) -> list[Pulled]:
        """Ask a vendor for its whole history. Stored values stay as they are unless `restate` takes over what changed.

        `fresh` asks everything again and replaces what is stored by it, day by day; what is replaced is set aside in a
        PostgreSQL schema, and what does not come again stays and is named in `not_done`. `drop` names metrics to set aside
        with it although they cannot be fetched again. Where that would replace rows, BadInput says how many and nothing is
        changed, unless `yes`.

        >>> lake.backfill("defillama", key="tether", fresh=True)
        Traceback (most recent call last):
        cryptolake.errors.BadInput: defillama: 1 entity in ... Nothing was changed; give yes=True to go on
        """
        if drop is not None and not flag("fresh", fresh):
            raise BadInput("drop goes with fresh=True; a backfill without it takes nothing away")
        app, chosen, keys = self._app, names(dataset) or None, names(key) or None
        how = agreed(app, source, chosen, keys, names(drop), yes=yes) if flag("fresh", fresh) else None
        options = {"resume": flag("resume", resume), "restate": flag("restate", restate)}
        return ask(
            app, "backfill", source, datasets=chosen, keys=keys, workers=workers, show=show, fresh=how, **options
        )

    # Ends

    def close(self) -> None:
        """Close files and connections; safe to call twice."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Lake {self._folder}{' (closed)' * (self._open is None)}>"

    # Inner parts

    def _contracts(self) -> list[Table]:
        return [one.table for one in found_tables().values()]

    def _chosen(
        self,
        csus: list[Csu] | None,
        start: Day,
        end: Day,
        days: int | None,
        version: int | None = None,
        *,
        as_stored: bool = False,
    ) -> pl.DataFrame:
        first, last = open_span(day(start), day(end), number("days", days, least=1))
        version = number("version", version, least=0)
        return chosen_panel(finished(self._app), csus, first, last, version=version, as_stored=as_stored).panel
