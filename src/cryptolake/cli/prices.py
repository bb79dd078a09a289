"""Commands about prices: ask for missing ones, bring one's own, list what is missing, value everything again, rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.next_step import print_again, print_next
from cryptolake.cli.options import (
    JsonFlag,
    WorkersFlag,
    chosen_market_days,
    note_panel,
)
from cryptolake.cli.reading import only_reads
from cryptolake.cli.results import end_lacking, note_others, print_made
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from cryptolake.app import App
    from cryptolake.flow.collect import Collected
    from cryptolake.flow.outputs import Output
    from cryptolake.work.market_days import MarketDays

prices_app = typer.Typer(
    no_args_is_help=True,
    help="Prices that all markets share, and whose they are.\n\nExample: cryptolake prices collect",
)


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    group = "Lending markets"
    cli.add_typer(prices_app, name="prices", rich_help_panel=group)
    cli.command("reprice", rich_help_panel=group)(reprice_command)
    cli.command("rebuild", rich_help_panel=group)(rebuild_command)


@prices_app.command("collect")
@selecting()
def collect_command(
    context: typer.Context,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="chainlink, governed_oracle, defillama, ...; repeatable (all).")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Ask vendors for every token, to compare, not only for missing ones.")
    ] = False,
    workers: WorkersFlag = None,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Ask feeds and governed oracles at the snapshot blocks, then vendors for what is still missing; value everything again.

    A selection narrows what is asked for to the tokens that its markets hold on its days.

    Example: cryptolake prices collect --source chainlink --source defillama --set thesis-43
    """
    from cryptolake.work import prices as river

    app: App = context.obj.open(workers=workers)
    only = chosen_market_days(app, selected)
    results = {
        name: river.collect(app, name, everything=everything, only=only, watch=progress)
        for name in river.told_by(app, source)
    }
    _print_collected(results, app, only, as_json)
    raise typer.Exit(1 if any(result.failed for result in results.values()) else 0)


@prices_app.command("import")
def import_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, JSON or Parquet: date, chain, asset, price[, quote, time].")],
    columns: Annotated[
        str | None, typer.Option(help="What the file calls them where it has other names: date=day,price=close.")
    ] = None,
) -> None:
    """Keep your own price file in bronze and use it where nobody else has a price.

    Every row is read first: a file with a faulty one is refused, and its faulty rows are named.

    Example: cryptolake prices import my_prices.parquet --columns date=day,price=close
    """
    from cryptolake.work import prices as river

    named = pairs(columns)
    app: App = context.obj.open()
    print_made(river.import_file(app, file, named), "build")


def pairs(text: str | None) -> dict[str, str]:
    """`ours=theirs,...` by ours. Raises BadInput for anything else."""
    found: dict[str, str] = {}
    for pair in text.split(",") if text is not None else ():
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs) or ours in found:
            raise BadInput(
                f"--columns {pair.strip()!r}: write each of our names once with the file's own, date=day,price=close"
            )
        found[ours] = theirs
    return found


@prices_app.command("list")
@only_reads
@selecting()
def list_command(
    context: typer.Context,
    missing: Annotated[bool, typer.Option("--missing", help="Only tokens without a price on some day.")] = False,
    flagged: Annotated[bool, typer.Option("--flagged", help="Only tokens whose sources disagree on some day.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 40,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Which tokens are priced by whom, and which are not; of a selection those that its markets hold.

    Example: cryptolake prices list --missing --set thesis-43
    """
    from cryptolake.work import prices as river

    app: App = context.obj.open()
    only = chosen_market_days(app, selected)
    found = river.overview(app, missing=missing, flagged=flagged, only=only)
    if as_json:
        print_json(found.to_dicts())
        return
    columns = ("chain", "asset", "price_source", "flag", "days", "since", "until")
    print_table(counted(found.height, "group"), columns, found.select(columns).head(limit).rows())
    if not (found.height or river.overview(app, only=only).height):
        _print_nothing()
        return
    print_next(
        "prices collect",
        selection=True,
        said="Prices of your own: [bold]cryptolake prices import[/] reads a file of them",
    )


@prices_app.command("versions")
@only_reads
@selecting()
def versions_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """The silver tables' latest version numbers; older ones stay readable.

    A version is of a whole table; with a selection its rows of these markets and days are counted beside it.

    Example: cryptolake prices versions
    """
    from cryptolake.work import prices as river

    app: App = context.obj.open()
    only = chosen_market_days(app, selected)
    found, rows = river.versions(app), {} if only.whole else river.rows_of(app, only)
    if as_json:
        print_json(
            {name: {"version": version, "rows": rows[name]} for name, version in found.items()} if rows else found
        )
        return
    columns = ("table", "version", "rows of the selection")[: 3 if rows else 2]
    print_table(
        "Versions", columns, [(name, version, rows.get(name))[: len(columns)] for name, version in found.items()]
    )
    if all(version is None for version in found.values()):
        _print_nothing()
        return
    print_next("reprice", said="Read an older one from Python: pl.read_delta(path, version=N)")


@selecting()
def reprice_command(
    context: typer.Context,
    order: Annotated[
        str | None, typer.Option(help="Whose price goes first, e.g. chainlink,defillama (settings).")
    ] = None,
    publish_too: Annotated[bool, typer.Option("--publish/--no-publish", help="Write files and PostgreSQL too.")] = True,
    selected: Selected = NOTHING,
) -> None:
    """Value silver and gold again from the prices that are kept. Collects nothing; the version before stays readable.

    Every later command values like it, until the next `reprice`; without `--order` the settings say how.

    Example: cryptolake reprice --order chainlink,defillama,protocol_oracle
    """
    from cryptolake.work import lending
    from cryptolake.work import prices as river

    app: App = context.obj.open(price_order=order)
    only = chosen_market_days(app, selected)
    before = river.versions(app)
    made = river.reprice(app)
    built = lending.build(app)
    made += built.outputs
    if publish_too:
        made += lending.publish(app)
    note_panel(app, only)
    print_line(f"Before: tvl version {before['tvl']}, liquidations {before['liquidations']}, prices {before['prices']}")
    _end(made, built.lacking, only)


@selecting()
def rebuild_command(
    context: typer.Context,
    reparse: Annotated[
        bool, typer.Option("--reparse", help="Read every answer again, not the monthly files of rows.")
    ] = False,
    publish_too: Annotated[bool, typer.Option("--publish/--no-publish", help="Write files and PostgreSQL too.")] = True,
    selected: Selected = NOTHING,
) -> None:
    """Everything that was ever collected, bronze to gold, from scratch. Needs no network.

    With a selection only its markets' days are made anew in silver, the others stay; the panel is made whole.

    Example: cryptolake rebuild
    """
    from cryptolake.work import lending

    app: App = context.obj.open()
    only = chosen_market_days(app, selected)
    built = lending.rebuild(app, reparse=reparse, only=only)
    made = built.outputs
    if publish_too:
        made += lending.publish(app)
    note_panel(app, only)
    _end(made, built.lacking, only)


def _print_nothing() -> None:
    """What comes first where there is nothing that could have a price."""
    print_next("collect", "refine", joined="then", selection=True, said="Nothing is in silver yet that has a price")


def _end(outputs: list[Output], lacking: pl.DataFrame, only: MarketDays) -> None:
    """What was made, and exit code 1 with the remedy when chosen days that were answered have no number."""
    chosen = only.of(lacking)
    print_made(outputs, "panel describe", lacking=chosen, selection=True)
    note_others(lacking, chosen)
    end_lacking(chosen)


def _print_collected(results: dict[str, Collected], app: App, only: MarketDays, as_json: bool) -> None:
    from cryptolake.work import prices as river

    tokens, token_days = river.unpriced(app, only)
    failures: list[tuple[Partition, str | None]] = [
        (entry.partition, entry.error) for result in results.values() for entry in result.failures
    ]
    if as_json:
        print_json(
            {
                "collected": {
                    name: {"done": r.done, "unanswerable": r.unanswerable, "failed": r.failed}
                    for name, r in results.items()
                },
                "failures": [{"partition": str(partition), "error": error} for partition, error in failures],
                "still_missing": {"tokens": tokens, "token_days": token_days},
            }
        )
        return
    rows = [(name, r.done + r.empty, r.unanswerable, r.failed) for name, r in results.items()]
    print_table("Prices", ("source", "chain-days answered", "unanswerable", "failed"), rows)
    for partition, error in failures[:5]:
        print_line(f"[red]failed[/] {partition}: {error}")
    print_line(f"Without a price: {counted(tokens, 'token')} on {counted(token_days, 'token-day')}.")
    if failures:
        print_again(said="What failed is asked again by the same command")
    else:
        print_next("prices list --missing", "build", joined="then", selection=True)
