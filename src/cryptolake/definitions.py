"""Dagster's definitions, generated from what is found: sources, table contracts, cadences. The only file that imports Dagster.

Nothing is named here: a source, a family or a table that is added appears by itself. Every step is one call of `work`.
One run covers a whole range of days (`single_run`); the markets are no partition dimension, the ledger knows them.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the functions below as they run.

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import dagster as dg

from cryptolake.app import App, configure_logging, prepare_folder
from cryptolake.contracts.source import Source
from cryptolake.contracts.table import Table
from cryptolake.flow.schedule import ScheduledJob
from cryptolake.settings import Settings, load_settings
from cryptolake.watch import report
from cryptolake.work import checking, daily
from cryptolake.work.alerts import alert
from cryptolake.work.evidence import lines
from cryptolake.work.lineage import Node

if TYPE_CHECKING:  # their place in Dagster is not public
    from dagster._core.definitions.partitions.partitioned_schedule import UnresolvedPartitionedAssetScheduleDefinition
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_OWNERS = ["team:cryptolake"]
_FRESH = {
    "hour": dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=4), warn_window=timedelta(hours=2)),
    "day": dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26)),
}
_SINGLE = dg.BackfillPolicy.single_run()


class AskConfig(dg.Config):
    """What a vendor is asked for: `pull` for current values, `backfill` for the whole history."""

    operation: Literal["pull", "backfill"] = "pull"


@contextmanager
def _app() -> Iterator[App]:
    settings = load_settings()
    configure_logging(settings)
    prepare_folder(settings)
    app = App(settings)
    try:
        yield app
    finally:
        app.close()


@dg.definitions
def definitions() -> dg.Definitions:
    """Everything that is found, for the settings in force when the code location is loaded."""
    with _app() as app:
        chain, vendors = app.onchain(daily.markets(app)[0]), daily.vendors(app)
        jobs, _ = daily.jobs(app)
        build = _Build(app.settings, daily.first_day(app), daily.nodes(app))
    scheduled = [build.job(job) for job in jobs]
    return dg.Definitions(
        assets=[build.collect(chain), *map(build.pull, vendors), *build.tables(), build.publish()],
        asset_checks=build.checks(),
        jobs=[*scheduled, *map(build.backfill, vendors)],
        schedules=[build.schedule(job, defined) for job, defined in zip(jobs, scheduled, strict=True)],
        sensors=[_alerts()],
        executor=dg.in_process_executor,  # measured: 9 CPU seconds a run instead of 12; the work is parallel by itself
    )


class _Build:
    """Makes each definition from its contract. `nodes` is every table with its origin."""

    def __init__(self, settings: Settings, first: date, nodes: Sequence[Node]) -> None:
        end = None if settings.end_date is None else (settings.end_date + timedelta(days=1)).isoformat()
        self._days = dg.DailyPartitionsDefinition(start_date=first.isoformat(), end_date=end, timezone="UTC")
        self._nodes, self._prefix = nodes, [settings.environment] if settings.prefix else []
        self._on = dg.DefaultScheduleStatus.RUNNING if settings.schedules else dg.DefaultScheduleStatus.STOPPED
        self._tags = {"environment": settings.environment}

    def _bronze(self, source: str, dataset: str) -> dg.AssetKey:
        return dg.AssetKey([*self._prefix, "bronze", source, dataset])

    def _table(self, name: str) -> dg.AssetKey:
        return next(dg.AssetKey([*self._prefix, n.table.layer, name]) for n in self._nodes if n.table.name == name)

    @property
    def _published(self) -> dg.AssetKey:
        return dg.AssetKey([*self._prefix, "published", "lending"])

    def _answers(self, source: Source) -> list[dg.AssetSpec]:
        """One bronze asset per dataset."""
        return [
            dg.AssetSpec(
                self._bronze(source.name, dataset.name),
                description=dataset.doc,
                group_name="bronze",
                owners=_OWNERS,
                kinds={"bronze", "json"},
                tags={"source": source.name, "reach": dataset.reach},
                metadata={"keys": len(source.keys(dataset.name)), "feeds": dataset.feeds},
                freshness_policy=_FRESH[dataset.every],
            )
            for dataset in source.datasets
        ]

    def _spec(self, node: Node) -> dg.AssetSpec:
        """A table as an asset, with its contract's columns."""
        table = node.table
        return dg.AssetSpec(
            self._table(table.name),
            deps=[*(self._bronze(*one) for one in node.datasets), *(self._table(one) for one in node.tables)],
            description="\n\n".join(one for one in (table.doc, f"One row: {table.grain}.", table.methodology) if one),
            group_name=table.layer,
            owners=_OWNERS,
            kinds={table.layer, "postgres" if node.step == "vendor" else "deltalake"},
            metadata={"dagster/column_schema": _columns(table)},
            freshness_policy=_FRESH["day"],
        )

    def collect(self, chain: Source) -> dg.AssetsDefinition:
        """The chains' answers by day."""

        @dg.multi_asset(
            name="collect",
            specs=self._answers(chain),
            partitions_def=self._days,
            backfill_policy=_SINGLE,
            can_subset=True,
        )
        def collect(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
            with _app() as app:
                outcome = daily.collect_days(app, _names(context), *_span(context))
                yield from _answered(context, app, outcome)

        return collect

    def pull(self, source: Source) -> dg.AssetsDefinition:
        """A vendor's answers."""

        @dg.multi_asset(name=f"{source.name}_ask", specs=self._answers(source), can_subset=True)
        def ask(context: dg.AssetExecutionContext, config: AskConfig) -> Iterator[dg.MaterializeResult[None]]:
            with _app() as app:
                yield from _answered(context, app, daily.pull(app, source.name, _names(context), config.operation))

        return ask

    def tables(self) -> list[dg.AssetsDefinition]:
        """The tables: vendors' one by one as their loads left them, the lake's by `refine` and `build`."""
        found = [self._loaded(node) for node in self._nodes if node.step == "vendor"]
        refined = [node for node in self._nodes if node.step == "refine"]
        built = [node for node in self._nodes if node.step == "build"]

        @dg.multi_asset(
            name="refine",
            specs=[self._spec(one) for one in refined],
            partitions_def=self._days,
            backfill_policy=_SINGLE,
            # All are made at once, whichever are asked for: without it Dagster's page refuses a backfill when one of
            # the tables has more than one upstream ("targeted subset must match").
            can_subset=True,
        )
        def refine(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
            asked = context.selected_asset_keys
            with _app() as app:
                daily.refine_days(app, *_span(context))
                yield from (self._result(app, one) for one in refined if self._table(one.table.name) in asked)

        @dg.multi_asset(name="build", specs=[self._spec(one) for one in built])
        def build() -> Iterator[dg.MaterializeResult[None]]:
            with _app() as app:
                if lacking := lines(daily.build(app).lacking):
                    alert(app, "the panel is incomplete", "; ".join(lacking))
                yield from (self._result(app, one) for one in built)

        return [*found, refine, build]

    def _loaded(self, node: Node) -> dg.AssetsDefinition:
        @dg.multi_asset(name=f"look_at_{node.table.name}", specs=[self._spec(node)])
        def look() -> dg.MaterializeResult[None]:
            with _app() as app:
                return self._result(app, node)

        return look

    def publish(self) -> dg.AssetsDefinition:
        """The files people open and the PostgreSQL tables."""
        deps = [self._table(node.table.name) for node in self._nodes if node.step != "vendor"]

        @dg.asset(
            key=self._published,
            deps=deps,
            group_name="published",
            owners=_OWNERS,
            kinds={"postgres", "parquet"},
            description="Finished tables as Parquet files, checkpoints and PostgreSQL tables.",
        )
        def publish() -> dg.MaterializeResult[None]:
            with _app() as app:
                made = daily.publish(app)
            rows = [dg.TableRecord({"what": one.what, "rows": one.rows}) for one in made]
            return dg.MaterializeResult(metadata={"made": dg.MetadataValue.table(rows)} if rows else {})

        return publish

    def _result(self, app: App, node: Node) -> dg.MaterializeResult[None]:
        found = checking.facts(app, node)
        metadata: dict[str, dg.MetadataValue] = {"dagster/row_count": dg.MetadataValue.int(found.rows)}
        if found.bytes is not None:
            metadata["bytes"] = dg.MetadataValue.int(found.bytes)
        if found.sample:
            metadata["sample"] = dg.MetadataValue.md(report.markdown(found.sample))
        if found.trend:
            metadata["trend"] = dg.MetadataValue.md(found.trend)
        version = dg.DataVersion(found.digest) if found.digest else None
        return dg.MaterializeResult(asset_key=self._table(node.table.name), metadata=metadata, data_version=version)

    def checks(self) -> list[dg.AssetChecksDefinition]:
        """The contracts' checks of every table."""
        return [self._check(node) for node in self._nodes if checking.check_kinds(node)]

    def _check(self, node: Node) -> dg.AssetChecksDefinition:
        key = self._table(node.table.name)
        specs = [
            dg.AssetCheckSpec(kind, asset=key, description=why) for kind, why in checking.check_kinds(node).items()
        ]

        @dg.multi_asset_check(name=f"check_{node.table.name}", specs=specs, can_subset=True)
        def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            wanted = {one.name for one in context.selected_asset_check_keys}
            with _app() as app:
                for one in checking.check(app, node):
                    if one.check in wanted:
                        severe = one.severity == "error"
                        severity = dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN
                        yield dg.AssetCheckResult(
                            passed=one.passed,
                            asset_key=key,
                            check_name=one.check,
                            severity=severity,
                            metadata={"rows": one.rows, "example": one.detail or next(iter(one.examples), "")},
                        )

        return check

    def job(self, job: ScheduledJob) -> "UnresolvedAssetJobDefinition":
        """A job of the schedule, down to the tables it changes."""
        keys = [self._bronze(job.source, name) for name in job.datasets]
        made = [node for node in self._nodes if (node.step != "vendor") == (job.source == daily.ONCHAIN)]
        if job.source == daily.ONCHAIN:
            keys += [*(self._table(node.table.name) for node in made), self._published]
            return dg.define_asset_job(job.name, dg.AssetSelection.assets(*keys), tags=self._tags)
        asked = {(job.source, name) for name in job.datasets}
        fed = {node.table.name for node in made if asked & set(node.datasets)}
        fed |= {node.table.name for node in made if fed & set(node.tables)}
        keys += [self._table(name) for name in sorted(fed)]
        return dg.define_asset_job(job.name, dg.AssetSelection.assets(*keys), tags=self._tags)

    def backfill(self, source: Source) -> "UnresolvedAssetJobDefinition":
        """A vendor's whole history, on demand."""
        keys = [self._bronze(source.name, dataset.name) for dataset in source.datasets]
        config = dg.RunConfig(ops={f"{source.name}_ask": AskConfig(operation="backfill")})
        selection = dg.AssetSelection.assets(*keys)
        return dg.define_asset_job(f"{source.name}_backfill", selection, config=config, tags=self._tags)

    def schedule(
        self, job: ScheduledJob, defined: "UnresolvedAssetJobDefinition"
    ) -> "dg.ScheduleDefinition | UnresolvedPartitionedAssetScheduleDefinition":
        """The job's cadence, as its datasets declare it."""
        if job.source == daily.ONCHAIN and job.every == "day":
            hour, minute = divmod(job.at_minute, 60)
            return dg.build_schedule_from_partitioned_job(
                defined, hour_of_day=hour, minute_of_hour=minute, default_status=self._on
            )
        return dg.ScheduleDefinition(
            job=defined, cron_schedule=job.cron, execution_timezone="UTC", default_status=self._on
        )


def _names(context: dg.AssetExecutionContext) -> list[str]:
    """The datasets of the selected assets."""
    return sorted(key.path[-1] for key in context.selected_asset_keys)


def _span(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last day of the run's partitions, both included."""
    window = context.partition_time_window
    return window.start.date(), window.end.date() - timedelta(days=1)


def _answered(
    context: dg.AssetExecutionContext, app: App, outcome: daily.Outcome
) -> Iterator[dg.MaterializeResult[None]]:
    """The answers that came; what failed is told, alerted and asked again by the next run, and holds up nothing else."""
    context.log.info(outcome.note)
    if not outcome.ok:
        context.log.error(outcome.note)
        alert(app, f"{context.job_name} is incomplete", outcome.note)
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(
            asset_key=key, metadata={"complete": outcome.ok, "answered": outcome.records, "outcome": outcome.note}
        )


def _columns(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                field.dtype,
                f"{field.doc} [{field.unit}]" if field.unit else field.doc,
                dg.TableColumnConstraints(nullable=field.null, unique=table.key == (field.name,)),
            )
            for field in table.fields
        ]
    )


def _alerts() -> dg.SensorDefinition:
    @dg.run_failure_sensor(name="alerts", default_status=dg.DefaultSensorStatus.RUNNING)
    def alerts(context: dg.RunFailureSensorContext) -> None:
        with _app() as app:
            alert(app, f"run of {context.dagster_run.job_name} failed", context.failure_event.message or "")

    return alerts
