"""Commands of the vendor river: setup, sources, entities, pull, backfill."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cryptolake.app import App
from cryptolake.cli.options import DatasetFlag, JsonFlag, ResumeFlag, WorkersFlag
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.contracts.source import Dataset, Source
from cryptolake.errors import BadInput
from cryptolake.registry.entities import entities
from cryptolake.registry.metrics import metrics
from cryptolake.work.daily import window
from cryptolake.work.lending import WAREHOUSE_TABLES
from cryptolake.work.series import Operation, Pulled, pull_or_backfill, start_fresh
from cryptolake.work.vendor_tables import pull_own_table

SourceArgument = Annotated[str, typer.Argument(help="Vendor, e.g. defillama; see `cryptolake sources`.")]
VENDOR_WORKERS = 10  # a vendor answers slowly and bears many conversations; the rate limit is elsewhere
_SHOWN = 5
KeyFlag = Annotated[list[str] | None, typer.Option("--key", help="Only this entity; repeatable.")]


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.command("setup", rich_help_panel="Start")(setup_command)
    cli.command("sources", rich_help_panel="Start")(sources_command)
    group = "Vendors"
    cli.command("pull", rich_help_panel=group)(pull_command)
    cli.command("backfill", rich_help_panel=group)(backfill_command)
    cli.command("entities", rich_help_panel=group)(entities_command)


def setup_command(context: typer.Context) -> None:
    """Make the data folder and the PostgreSQL tables. Safe to run again.

    Example: cryptolake setup
    """
    app: App = context.obj.open()
    with app.warehouse() as warehouse:
        tables = [*WAREHOUSE_TABLES, *app.source_tables()]
        warehouse.setup(tables)
        rows = [(table.name, table.grain) for table in tables]
        print_table(f"PostgreSQL is ready ({warehouse.url})", ("table", "one row"), rows)
    print_line("Next: [bold]cryptolake run --days 7[/] or [bold]cryptolake backfill defillama[/]")


def sources_command(
    context: typer.Context,
    show_metrics: Annotated[
        bool, typer.Option("--metrics", help="What each vendor metric means instead: span, unit, how it is made.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the sources, their datasets, how many keys each has and which secret it needs.

    Example: cryptolake sources
    """
    app: App = context.obj.open()
    if show_metrics:
        _print_metrics(as_json=as_json)
        return
    found: list[Source] = [app.onchain(list(app.registry.csus.values())), *app.vendors().values()]
    unpaid = app.ledger.datasets_ending_in("entitlement")
    listed = [(source, dataset) for source in found for dataset in source.datasets]
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
                    "granted": dataset.granted and dataset.name not in unpaid,
                    "keys": len(source.keys(dataset.name)),
                }
                for source, dataset in listed
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
                _needs(dataset, refused=dataset.name in unpaid),
                dataset.doc,
            )
            for source, dataset in listed
        ],
    )
    print_line("Next: [bold]cryptolake sources --metrics[/] or [bold]cryptolake backfill defillama[/]")


def _needs(dataset: Dataset, *, refused: bool) -> str:
    """The secret a dataset needs and whether it is there; a 402 at the last attempt counts as needing a key."""
    if refused:
        return "a paid key (402)"
    if dataset.needs is None:
        return "nothing"
    return f"{dataset.needs} ({'set' if dataset.granted else 'not set'})"


def _print_metrics(*, as_json: bool) -> None:
    """The metric registry."""
    if as_json:
        print_json([asdict(one) for one in metrics().values()])
        return
    rows = [
        (one.source, one.name, one.kind, one.unit, one.history, "derived" if one.derived else "direct", one.how)
        for one in metrics().values()
    ]
    print_table("Vendor metrics", ("source", "metric", "span", "unit", "history", "origin", "how"), rows)


def entities_command(
    context: typer.Context,
    search: Annotated[str | None, typer.Argument(help="Part of an id or name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 40,
    as_json: JsonFlag = False,
) -> None:
    """List what vendors are asked about, and the id each vendor uses for it.

    Example: cryptolake entities solana
    """
    del context
    wanted = (search or "").lower()
    found = [
        one
        for one in entities().values()
        if any(wanted in text.lower() for text in (one.entity, one.name, one.defillama, one.artemis))
    ]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        f"{len(found)} entities",
        ("entity", "name", "kind", "defillama", "artemis", "coingecko"),
        [
            (one.entity, one.name, one.kind, one.defillama or None, one.artemis or None, one.coingecko or None)
            for one in found[:limit]
        ],
    )
    if len(found) > limit:
        print_line(f"{len(found) - limit} more; give a part of the name, --limit or --json")
    print_line("Next: [bold]cryptolake query --entity solana --metric FEES[/]")


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
    _operate(context, "pull", source, key, dataset, workers, as_json=as_json)


def backfill_command(
    context: typer.Context,
    source: SourceArgument,
    key: KeyFlag = None,
    dataset: DatasetFlag = None,
    workers: WorkersFlag = None,
    resume: ResumeFlag = True,
    restate: Annotated[
        bool,
        typer.Option("--restate", help="Take over what the vendor changed; the old values go to metric_revisions."),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the vendor's rows first, but none that could not be fetched again.")
    ] = False,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", help="With --fresh: delete this metric although it is lost then.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a vendor for its whole history; stored values are never changed unless you say --restate.

    Example: cryptolake backfill defillama --key usd-coin
    """
    if drop and not fresh:
        raise BadInput("--drop goes with --fresh; a backfill without it deletes nothing")
    if fresh:
        app: App = context.obj.open(workers=workers)
        name = app.vendor(source).name
        with app.warehouse() as warehouse:
            warehouse.setup(WAREHOUSE_TABLES)
            deleted = start_fresh(name, warehouse, drop=drop or ())
        print_line(f"{deleted:,} rows of {name} deleted; metrics without history were kept")
    _operate(context, "backfill", source, key, dataset, workers, resume=resume, restate=restate, as_json=as_json)


def _operate(
    context: typer.Context,
    operation: Operation,
    source: str,
    key: list[str] | None,
    dataset: list[str] | None,
    workers: int | None,
    *,
    resume: bool = True,
    restate: bool = False,
    as_json: bool,
) -> None:
    app: App = context.obj.open(workers=workers)
    results = operate(app, operation, source, key=key, dataset=dataset, resume=resume, restate=restate, workers=workers)
    if as_json:
        documents = [document(one) for one in results]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        print_pulled(results)
        print_line("Next: [bold]cryptolake query --latest[/]")
    raise typer.Exit(1 if any(one.status == "error" for one in results) else 0)


def operate(
    app: App,
    operation: Operation,
    source_name: str,
    *,
    key: list[str] | None = None,
    dataset: list[str] | None = None,
    resume: bool = True,
    restate: bool = False,
    workers: int | None = None,
    provenance: dict[str, str] | None = None,
) -> list[Pulled]:
    """One pull or backfill with this app's parts: a result for each of the source's own tables, and one for `metrics`.

    Raises BadInput for an unknown source, dataset or key.
    """
    source, own = app.vendor(source_name, provenance), app.own_tables(source_name)
    known = {one.name for one in source.datasets}
    datasets = dataset or sorted(known)
    if unknown := sorted(set(datasets) - known):
        raise BadInput(f"{source_name} has no dataset {unknown[0]!r}; known: {', '.join(sorted(known))}")
    keys = {one for name in datasets for one in source.keys(name)}
    if unknown := sorted(set(key or ()) - keys):
        raise BadInput(f"{source_name} has no entity {unknown[0]!r}; see `cryptolake entities`")
    total = sum(1 for name in datasets for one in source.keys(name) if not key or one in key)
    with app.warehouse() as warehouse, progress(f"{operation} {source_name}", total) as tell:
        warehouse.setup(WAREHOUSE_TABLES)
        threads = workers or max(app.settings.workers, VENDOR_WORKERS)
        fed = [one for one in source.datasets if one.name in datasets and one.feeds in own]
        results = [
            pull_own_table(
                app,
                operation,
                source,
                one,
                own[one.feeds],
                warehouse=warehouse,
                span=window(app, operation),
                keys=key,
                workers=threads,
                resume=resume,
                progress=tell,
            )
            for one in fed
            if dataset or (one.live if operation == "pull" else one.history)
        ]
        others = sorted(set(datasets) - {one.name for one in fed})
        if others or not fed:
            pulled = pull_or_backfill(
                operation,
                source,
                keys=key,
                datasets=others,
                bronze=app.bronze,
                ledger=app.ledger,
                warehouse=warehouse,
                workers=threads,
                resume=resume,
                restate=restate,
                progress=tell,
            )
            results.append(pulled)
    return results


def document(result: Pulled) -> dict[str, object]:
    """The operation for programs."""
    return {
        "source": result.source,
        "operation": result.operation,
        "table": result.table,
        "status": result.status,
        "records": result.records,
        "inserted": result.inserted,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "duration_s": result.duration_s,
        "requests": result.asked.requests,
        "rate_limited": result.asked.rate_limited,
        "needs_key": result.needs_key,
        "alerts": result.alerts,
        "failures": [
            {"partition": str(entry.partition), "reason": entry.reason, "error": entry.error}
            for entry in result.collected.failures
        ],
    }


def print_pulled(results: list[Pulled]) -> None:
    """The operations for people."""
    print_table(
        f"Loaded into {', '.join(sorted({one.table for one in results}))}",
        ("source", "operation", "status", "records", "inserted", "updated", "unchanged"),
        [(r.source, r.operation, r.status, r.records, r.inserted, r.updated, r.unchanged) for r in results],
    )
    for result in results:
        failed = result.collected.failures
        for entry in failed[:_SHOWN]:
            print_line(f"[red]failed[/] {entry.partition}: {entry.error}")
        if len(failed) > _SHOWN:
            print_line(f"{len(failed) - _SHOWN} more failed; see [bold]cryptolake monitor[/]")
        for alert in result.alerts:
            print_line(f"[yellow]alert[/] {result.source}: {alert}")
        if result.needs_key:
            print_line(f"{result.source} needs a paid key for: {', '.join(result.needs_key)}")
