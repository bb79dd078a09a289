"""Commands of the vendor river: setup, sources, entities, pull, backfill."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.confirm import YesFlag, confirm
from cryptolake.cli.next_step import print_again, print_next
from cryptolake.cli.options import DatasetFlag, JsonFlag, ResumeFlag, WorkersFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import TEAM, Step
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.contracts.counting import counted
from cryptolake.contracts.source import Dataset, Source
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.refill import Fresh
    from cryptolake.work.series import Operation, Pulled

SourceArgument = Annotated[str, typer.Argument(help="Vendor, e.g. defillama; see `cryptolake sources`.")]
_SHOWN = 5
KeyFlag = Annotated[list[str] | None, typer.Option("--key", help="Only this entity; repeatable.")]


STEPS = {
    "sources": Step(TEAM, 10, "Which vendors there are, and which key each needs"),
    "backfill": Step(TEAM, 20, "Fetch the whole history of a vendor"),
}


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
    from cryptolake.catalogue import contracts

    app: App = context.obj.open()
    with app.warehouse() as warehouse:
        tables = [one for one in contracts() if one.in_postgres]
        rows = [(table.name, table.grain) for table in tables]
        print_table(f"PostgreSQL is ready ({warehouse.url})", ("table", "one row"), rows)
    print_next("run --days 7", "backfill defillama")


@only_reads
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
    print_next("sources --metrics", "backfill defillama")


def _needs(dataset: Dataset, *, refused: bool) -> str:
    """The secret a dataset needs and whether it is there; a 402 at the last attempt counts as needing a key."""
    if refused:
        return "a paid key (402)"
    if dataset.needs is None:
        return "nothing"
    return f"{dataset.needs} ({'set' if dataset.granted else 'not set'})"


def _print_metrics(*, as_json: bool) -> None:
    """The metric registry."""
    from cryptolake.registry.metrics import metrics

    if as_json:
        print_json([asdict(one) for one in metrics().values()])
        return
    rows = [
        (one.source, one.name, one.kind, one.unit, one.history, "derived" if one.derived else "direct", one.how)
        for one in metrics().values()
    ]
    print_table("Vendor metrics", ("source", "metric", "span", "unit", "history", "origin", "how"), rows)


@only_reads
def entities_command(
    context: typer.Context,
    search: Annotated[str | None, typer.Argument(help="Part of an id or name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 40,
    as_json: JsonFlag = False,
) -> None:
    """List what vendors are asked about, and the id each vendor uses for it.

    Example: cryptolake entities solana
    """
    from cryptolake.registry.entities import entities

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
        f"{counted(len(found), 'entity', 'entities')}",
        ("entity", "name", "kind", "defillama", "artemis", "coingecko"),
        [
            (one.entity, one.name, one.kind, one.defillama or None, one.artemis or None, one.coingecko or None)
            for one in found[:limit]
        ],
    )
    if len(found) > limit:
        print_line(f"{len(found) - limit} more; give a part of the name, --limit or --json")
    print_next("query --entity solana --metric FEES")


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
        bool,
        typer.Option("--fresh", help="Ask everything again and replace what is stored by it, day by day; asks first."),
    ] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", help="With --fresh: set this metric aside although it cannot be fetched again."),
    ] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a vendor for its whole history; stored values are never changed unless you say --restate.

    Example: cryptolake backfill defillama --key usd-coin
    """
    if drop and not fresh:
        raise BadInput("--drop goes with --fresh; a backfill without it deletes nothing")
    how = _fresh(context, source, key, dataset, drop or [], yes=yes) if fresh else None
    _operate(
        context, "backfill", source, key, dataset, workers, resume=resume, restate=restate, fresh=how, as_json=as_json
    )


def _fresh(
    context: typer.Context, name: str, key: list[str] | None, dataset: list[str] | None, drop: list[str], *, yes: bool
) -> Fresh:
    """Check everything that can be checked before asking the vendor, say what may be replaced, and ask the user."""
    from rich.console import Console

    from cryptolake.work.vendor_fresh import replacement

    found = replacement(context.obj.open(), name, datasets=dataset, keys=key, drop=drop)
    Console(stderr=True, soft_wrap=True, highlight=False).print(found.says)
    if found.rows:
        confirm("Ask the vendor and replace them?", yes=yes)
    return found.fresh


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
    fresh: Fresh | None = None,
    as_json: bool,
) -> None:
    app: App = context.obj.open(workers=workers)
    results = operate(
        app, operation, source, key=key, dataset=dataset, resume=resume, restate=restate, fresh=fresh, workers=workers
    )
    failed = any(one.status == "error" for one in results)
    if as_json:
        documents = [document(one) for one in results]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        print_pulled(results)
        moved = sum(one.set_aside for one in results)
        if fresh is not None and moved:
            print_line(f"{counted(moved, 'old row lies', 'old rows lie')} in {fresh.schema}.metrics now")
        if failed:
            print_again(said="What failed is asked again by the same command")
        else:
            print_next("query --latest")
    raise typer.Exit(1 if failed else 0)


def operate(
    app: App,
    operation: Operation,
    source_name: str,
    *,
    key: list[str] | None = None,
    dataset: list[str] | None = None,
    resume: bool = True,
    restate: bool = False,
    fresh: Fresh | None = None,
    workers: int | None = None,
    provenance: dict[str, str] | None = None,
) -> list[Pulled]:
    """One pull or backfill, shown as it goes; see `work.vendors.ask_vendor`."""
    from cryptolake.work.vendors import ask_vendor, chosen_datasets, questions

    source = app.vendor(source_name, provenance)
    total = questions(app, operation, source, chosen_datasets(source, operation, dataset, key), key)
    with progress(f"{operation} {source_name}", total) as tell:
        return ask_vendor(
            app,
            operation,
            source_name,
            datasets=dataset,
            keys=key,
            resume=resume,
            restate=restate,
            fresh=fresh,
            workers=workers,
            provenance=provenance,
            progress=tell,
        )


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
        "set_aside": result.set_aside,
        "not_done": result.not_done,
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
        for line in result.not_done:
            print_line(f"[red]not done[/] {result.source}: {line}")
        for alert in result.alerts:
            print_line(f"[yellow]alert[/] {result.source}: {alert}")
        if result.needs_key:
            print_line(
                f"{result.source} needs a paid key for: {', '.join(result.needs_key)}; [bold]cryptolake sources[/] names it"
            )
