"""Commands about prices: ask for missing ones, bring one's own, list what is missing, value everything again, rebuild."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from cryptolake.app import App
from cryptolake.cli.onchain import _end_lacking, _print_made
from cryptolake.cli.options import JsonFlag, WorkersFlag, note_whole_panel
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput
from cryptolake.flow.collect import WORKER, Collected
from cryptolake.flow.made import Made
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.sources.price_file import PRICES as PRICES_OF_FILES
from cryptolake.sources.price_file import landed
from cryptolake.work import prices as flow
from cryptolake.work.daily import build, publish, rebuild
from cryptolake.work.refine import SILVER, reprice

prices_app = typer.Typer(
    no_args_is_help=True,
    help="Prices that the markets' own oracles do not give.\n\nExample: cryptolake prices collect",
)


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    group = "Lending markets"
    cli.add_typer(prices_app, name="prices", rich_help_panel=group)
    cli.command("reprice", rich_help_panel=group)(reprice_command)
    cli.command("rebuild", rich_help_panel=group)(rebuild_command)


@prices_app.command("collect")
def collect_command(
    context: typer.Context,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="chainlink, defillama, coingecko, ...; repeatable (all).")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Ask vendors for every token, to compare, not only for missing ones.")
    ] = False,
    workers: WorkersFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask Chainlink at the snapshot blocks, then the vendors for what is still missing; value everything again.

    Example: cryptolake prices collect --source chainlink --source defillama
    """
    app: App = context.obj.open(workers=workers)
    known = [name for name, one in app.found.price_sources.items() if one.asked != "never"]
    for name in source or ():
        if name not in known:
            raise BadInput(f"unknown price source {name!r}; known: {', '.join(known)}")
    results: dict[str, Collected] = {}
    for name in source or known:
        results[name] = _collect(app, name, everything)
    _print_collected(results, app, as_json)
    raise typer.Exit(1 if any(result.failed for result in results.values()) else 0)


@prices_app.command("import")
def import_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV: date, chain, asset, price[, quote, time].")],
) -> None:
    """Keep your own price file in bronze and use it where nobody else has a price.

    Example: cryptolake prices import my_prices.csv
    """
    app: App = context.obj.open()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; give the path of a CSV file") from None
    key = re.sub(r"[^A-Za-z0-9._+-]", "-", file.stem).lstrip("._+-") or "file"
    raw = landed(file.name, content, key, datetime.now(UTC))
    source = app.price_source(PRICES_OF_FILES.name)
    rows = source.parse(raw)  # refuse a faulty file before it is kept
    digest = app.bronze.land(raw)
    app.ledger.append(Entry(raw.partition, "done", raw.fetched_at, WORKER, rows=len(rows), digest=digest))
    _print_made([Made("quotes", len(rows), file.name), *_reprice(app)], "cryptolake build")


@prices_app.command("list")
def list_command(
    context: typer.Context,
    missing: Annotated[bool, typer.Option("--missing", help="Only tokens without a price on some day.")] = False,
    flagged: Annotated[bool, typer.Option("--flagged", help="Only tokens whose sources disagree on some day.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 40,
    as_json: JsonFlag = False,
) -> None:
    """Which tokens are priced by whom, and which are not.

    Example: cryptolake prices list --missing
    """
    app: App = context.obj.open()
    frame = app.tables.read(PRICES)
    if missing:
        frame = frame.filter(pl.col("price").is_null())
    if flagged:
        frame = frame.filter(pl.col("flag") == "disagrees")
    found = (
        frame.group_by("chain", "asset", pl.col("price_source").fill_null("-"), "flag")
        .agg(
            pl.len().alias("days"),
            pl.col("date").min().alias("since"),
            pl.col("date").max().alias("until"),
            pl.col("spread").max().alias("largest_spread"),
        )
        .sort("chain", "asset", "since")
    )
    if as_json:
        print_json(found.to_dicts())
        return
    columns = ("chain", "asset", "price_source", "flag", "days", "since", "until")
    print_table(f"{found.height:,} groups", columns, found.select(columns).head(limit).rows())
    print_line("Next: [bold]cryptolake prices collect[/] or [bold]cryptolake prices import FILE[/]")


@prices_app.command("versions")
def versions_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """The silver tables' latest version numbers; older ones stay readable.

    Example: cryptolake prices versions
    """
    app: App = context.obj.open()
    rows = [(table.name, app.tables.version(table)) for table in SILVER]
    if as_json:
        print_json(dict(rows))
        return
    print_table("Versions", ("table", "version"), rows)
    print_line("Read an older one from Python: pl.read_delta(path, version=N). Next: [bold]cryptolake reprice[/]")


def reprice_command(
    context: typer.Context,
    order: Annotated[
        str | None, typer.Option(help="Whose price goes first, e.g. chainlink,defillama (settings).")
    ] = None,
    publish_too: Annotated[bool, typer.Option("--publish/--no-publish", help="Write files and PostgreSQL too.")] = True,
) -> None:
    """Value silver and gold again from the prices that are kept. Collects nothing; the version before stays readable.

    Example: cryptolake reprice --order chainlink,defillama,protocol_oracle
    """
    app: App = context.obj.open(price_order=order)
    before = {table.name: app.tables.version(table) for table in SILVER}
    made = _reprice(app)
    built = build(app)
    made += built.made
    if publish_too:
        made += publish(app)
    note_whole_panel(app)
    _print_made(made, "cryptolake panel describe")
    print_line(f"Before: tvl version {before['tvl']}, liquidations {before['liquidations']}, prices {before['prices']}")
    _end_lacking(built.lacking)


def rebuild_command(
    context: typer.Context,
    reparse: Annotated[bool, typer.Option("--reparse", help="Read every answer again, not the monthly twins.")] = False,
    publish_too: Annotated[bool, typer.Option("--publish/--no-publish", help="Write files and PostgreSQL too.")] = True,
) -> None:
    """Everything that was ever collected, bronze to gold, from scratch. Needs no network.

    Example: cryptolake rebuild
    """
    app: App = context.obj.open()
    built = rebuild(app, reparse=reparse)
    made = built.made
    if publish_too:
        made += publish(app)
    note_whole_panel(app)
    _print_made(made, "cryptolake panel describe")
    _end_lacking(built.lacking)


def _collect(app: App, name: str, everything: bool) -> Collected:
    """Ask one source for what it does not have yet and value everything again."""
    boundary = app.settings.day_boundary
    states = app.ledger.states()
    source = app.price_source(name)
    dataset = source.datasets[0].name
    if app.found.price_sources[name].asked == "snapshots":
        asked, resume = flow.snapshot_partitions(source, app.tables, boundary), True
    else:
        wanted = flow.wanted_of(app.tables, dataset, everything=everything, boundary=boundary)
        left = flow.unanswered(wanted, source.name, app.bronze, states)
        source, asked, resume = app.price_source(name, left), list(left), False
    with progress(f"prices {name}", len(asked)) as tell:
        result = flow.ask(
            source,
            asked,
            bronze=app.bronze,
            ledger=app.ledger,
            workers=app.settings.workers,
            resume=resume,
            progress=tell,
        )
    _reprice(app)
    return result


def _reprice(app: App) -> list[Made]:
    quotes = flow.read_quotes(app.price_sources(), app.bronze, app.ledger.states())
    return reprice(tables=app.tables, quotes=quotes, pricing=app.pricing)


def _print_collected(results: dict[str, Collected], app: App, as_json: bool) -> None:
    left = app.tables.read(PRICES).filter(pl.col("price").is_null())
    tokens = left.select("chain", "asset").n_unique()
    failures: list[tuple[Partition, str | None]] = [
        (entry.partition, entry.error) for result in results.values() for entry in result.failures
    ]
    if as_json:
        print_json(
            {
                "collected": {
                    name: {"done": r.done, "gone": r.gone, "failed": r.failed} for name, r in results.items()
                },
                "failures": [{"partition": str(partition), "error": error} for partition, error in failures],
                "still_missing": {"tokens": tokens, "token_days": left.height},
            }
        )
        return
    rows = [(name, r.done + r.empty, r.gone, r.failed) for name, r in results.items()]
    print_table("Prices", ("source", "chain-days answered", "gone", "failed"), rows)
    for partition, error in failures[:5]:
        print_line(f"[red]failed[/] {partition}: {error}")
    print_line(f"Without a price: {tokens:,} tokens on {left.height:,} token-days.")
    print_line("Next: [bold]cryptolake prices list --missing[/], then [bold]cryptolake build[/]")
