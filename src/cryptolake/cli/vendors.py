"""Commands of the vendor river and of the database: setup, sources, pull, backfill, query."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptolake.app import App
from cryptolake.cli.options import DatasetFlag, JsonFlag, ResumeFlag, WorkersFlag
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.errors import BadInput
from cryptolake.flow.journey import WAREHOUSE_TABLES
from cryptolake.flow.vendor import Operation, Pulled, pull_or_backfill

SourceArgument = Annotated[str, typer.Argument(help="Vendor, e.g. defillama; see `cryptolake sources`.")]
KeyFlag = Annotated[list[str] | None, typer.Option("--key", help="Only this entity; repeatable.")]


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.command("setup", rich_help_panel="Start")(setup_command)
    cli.command("sources", rich_help_panel="Start")(sources_command)
    group = "Vendors"
    cli.command("pull", rich_help_panel=group)(pull_command)
    cli.command("backfill", rich_help_panel=group)(backfill_command)
    cli.command("query", rich_help_panel=group)(query_command)


def setup_command(context: typer.Context) -> None:
    """Make the data folder and the PostgreSQL tables. Safe to run again.

    Example: cryptolake setup
    """
    app: App = context.obj.open()
    with app.warehouse() as warehouse:
        warehouse.setup(WAREHOUSE_TABLES)
        rows = [(table.name, table.grain) for table in WAREHOUSE_TABLES]
        print_table(f"PostgreSQL is ready ({warehouse.url})", ("table", "one row"), rows)
    print_line("Next: [bold]cryptolake run --days 7[/] or [bold]cryptolake backfill defillama[/]")


def sources_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the sources, their datasets and how many keys each has.

    Example: cryptolake sources
    """
    app: App = context.obj.open()
    found = [app.onchain(list(app.registry.csus.values())), *app.vendors().values()]
    if as_json:
        print_json(
            [
                {
                    "source": source.name,
                    "dataset": dataset.name,
                    "feeds": dataset.feeds,
                    "reach": dataset.reach,
                    "every": dataset.every,
                    "needs": dataset.needs,
                    "keys": len(source.keys(dataset.name)),
                }
                for source in found
                for dataset in source.datasets
            ]
        )
        return
    print_table(
        "Sources",
        ("source", "dataset", "keys", "every", "needs", "what it answers"),
        [
            (
                source.name,
                dataset.name,
                len(source.keys(dataset.name)),
                dataset.every,
                dataset.needs or "nothing",
                dataset.doc,
            )
            for source in found
            for dataset in source.datasets
        ],
    )


def pull_command(
    context: typer.Context,
    source: SourceArgument,
    key: KeyFlag = None,
    dataset: DatasetFlag = None,
    workers: WorkersFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a vendor for current values; today's row is updated.

    Example: cryptolake pull defillama
    """
    _operate(context, "pull", source, key, dataset, workers, True, as_json)


def backfill_command(
    context: typer.Context,
    source: SourceArgument,
    key: KeyFlag = None,
    dataset: DatasetFlag = None,
    workers: WorkersFlag = None,
    resume: ResumeFlag = True,
    as_json: JsonFlag = False,
) -> None:
    """Ask a vendor for its whole history; stored values are never changed.

    Example: cryptolake backfill defillama --key usd-coin
    """
    _operate(context, "backfill", source, key, dataset, workers, resume, as_json)


def _operate(
    context: typer.Context,
    operation: Operation,
    source: str,
    key: list[str] | None,
    dataset: list[str] | None,
    workers: int | None,
    resume: bool,
    as_json: bool,
) -> None:
    app: App = context.obj.open(workers=workers)
    result = operate(app, operation, source, key=key, dataset=dataset, resume=resume)
    if as_json:
        print_json(document(result))
    else:
        print_pulled([result])
        print_line("Next: [bold]cryptolake query --latest[/]")
    raise typer.Exit(1 if result.collected.failed else 0)


def operate(
    app: App,
    operation: Operation,
    source_name: str,
    *,
    key: list[str] | None = None,
    dataset: list[str] | None = None,
    resume: bool = True,
    provenance: dict[str, str] | None = None,
) -> Pulled:
    """One pull or backfill with this app's parts. Raises BadInput for an unknown source, dataset or key."""
    source = app.vendor(source_name, provenance)
    known = {one.name for one in source.datasets}
    datasets = dataset or sorted(known)
    if unknown := sorted(set(datasets) - known):
        raise BadInput(f"{source_name} has no dataset {unknown[0]!r}; known: {', '.join(sorted(known))}")
    keys = {one for name in datasets for one in source.keys(name)}
    if unknown := sorted(set(key or ()) - keys):
        raise BadInput(f"{source_name} has no entity {unknown[0]!r}; see `cryptolake sources`")
    total = sum(1 for name in datasets for one in source.keys(name) if not key or one in key)
    with app.warehouse() as warehouse, progress(f"{operation} {source_name}", total) as tell:
        warehouse.setup(WAREHOUSE_TABLES)
        return pull_or_backfill(
            operation,
            source,
            keys=key,
            datasets=datasets,
            bronze=app.bronze,
            ledger=app.ledger,
            warehouse=warehouse,
            workers=app.settings.workers,
            resume=resume,
            progress=tell,
        )


def document(result: Pulled) -> dict[str, object]:
    """The operation for programs."""
    return {
        "source": result.source,
        "operation": result.operation,
        "status": result.status,
        "records": result.records,
        "inserted": result.inserted,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "failures": [
            {"partition": str(entry.partition), "reason": entry.reason, "error": entry.error}
            for entry in result.collected.failures
        ],
    }


def print_pulled(results: list[Pulled]) -> None:
    """The operations for people."""
    print_table(
        "Loaded into metrics",
        ("source", "operation", "status", "records", "inserted", "updated", "unchanged"),
        [(r.source, r.operation, r.status, r.records, r.inserted, r.updated, r.unchanged) for r in results],
    )
    for result in results:
        for entry in result.collected.failures[:5]:
            print_line(f"[red]failed[/] {entry.partition}: {entry.error}")


def query_command(
    context: typer.Context,
    sql: Annotated[str | None, typer.Option("--sql", help="A read-only SQL statement.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="The newest value of every series.")] = False,
    coverage: Annotated[bool, typer.Option("--coverage", help="Records and first date per metric.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 40,
    csv: Annotated[Path | None, typer.Option(help="Write the answer to this CSV file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask the database.

    Example: cryptolake query --sql "select csu, date, total_tvl_usd from daily_panel order by date"
    """
    if sum((sql is not None, latest, coverage)) > 1:
        raise BadInput("--sql, --latest and --coverage exclude each other; give one")
    if latest:
        sql = (
            "SELECT DISTINCT ON (source, asset, metric_name) source, asset, metric_name, pulled_at, value "
            "FROM metrics ORDER BY source, asset, metric_name, pulled_at DESC"
        )
    elif sql is None:
        sql = (
            "SELECT source, metric_name, count(*) AS records, count(DISTINCT asset) AS assets, "
            "min(pulled_at)::date AS since, max(pulled_at)::date AS until FROM metrics GROUP BY 1, 2 ORDER BY 1, 2"
        )
    app: App = context.obj.open()
    with app.warehouse() as warehouse:
        warehouse.setup(WAREHOUSE_TABLES)
        frame = warehouse.query(sql)
    if csv is not None:
        frame.write_csv(csv)
        print_line(f"{frame.height:,} rows written to {csv}")
    elif as_json:
        print_json(frame.to_dicts())
    else:
        print_table(f"{frame.height:,} rows", frame.columns, frame.head(limit).rows())
        if frame.height > limit:
            print_line(f"{frame.height - limit:,} more; use --limit, --csv or --json")
