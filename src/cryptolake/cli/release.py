"""Commands for what is published: frozen releases, and the explanation of a difference with somebody else's figure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli._release_again import archive_command, diff_command, rebuild_command
from cryptolake.cli.group import WithDefault
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag, chosen_rows, shown_days
from cryptolake.cli.results import print_lacking
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.quality.compare import Explanation


release_app = typer.Typer(
    cls=WithDefault,
    no_args_is_help=True,
    help="Freeze the panel as a release; check, rebuild and compare releases.\n\n"
    "`cryptolake release 2024.12` is short for `cryptolake release freeze 2024.12`.\n\n"
    "Example: cryptolake release 2024.12",
)


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(release_app, name="release", rich_help_panel="Research")
    cli.command("explain", rich_help_panel="Research")(explain_command)


@release_app.command("freeze")
@selecting()
def release_command(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="Name of the release, e.g. 2024.12.")],
    into: Annotated[
        Path | None, typer.Option(help="Folder of releases (default: releases/ under the data folder).")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only verify an existing release against its manifest.")
    ] = False,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Freeze the panel: data, codebook, what it was made of, citation, and a manifest of SHA-256.

    Example: cryptolake release freeze 2024.12
    """
    from cryptolake.research.release import verify
    from cryptolake.work.evidence import lines
    from cryptolake.work.releasing import freeze

    app: App = context.obj.open()
    folder = into or app.folder.releases
    if check:
        wrong = verify(folder / version)
        print_line(
            f"{counted(len(wrong), 'file differs', 'files differ')}: {', '.join(wrong)}"
            if wrong
            else f"release {version} is whole"
        )
        raise typer.Exit(1 if wrong else 0)
    chosen = chosen_rows(app, selected)
    frozen = freeze(app, version, chosen, into=folder, asked=shown_days(selected))
    made, lacks = frozen.release, frozen.lacking  # frozen as pending or failed, never as numbers
    if as_json:
        print_json(
            {
                "no_number": lines(lacks),
                "folder": str(made.folder),
                "digest": made.digest,
                "files": made.files,
                "dataset_version": frozen.metadata["dataset_version"],
                "selection": chosen.document(),
            }
        )
        return
    print_table(f"Release {version}", ("file", "sha256"), [(name, digest[:16]) for name, digest in made.files.items()])
    print_lacking(lacks)
    print_line(f"{made.folder}  digest {made.digest}")
    print_next(f"release freeze {version} --check")


release_app.command("archive")(archive_command)
release_app.command("diff")(diff_command)
release_app.command("rebuild")(rebuild_command)


def explain_command(
    context: typer.Context,
    csu: Annotated[str, typer.Argument(help="Market.")],
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], metavar="DATE", help="Day of the panel.")],
    against: Annotated[str, typer.Option(help="CSV file with the other figure (column usd), or defillama.")],
    what: Annotated[Literal["tvl", "liquidations"], typer.Option(help="Which figure.")] = "tvl",
    slug: Annotated[str | None, typer.Option(help="DefiLlama's name of the protocol, where it is not known.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Split the difference between our figure and another one into causes that add up to it.

    Example: cryptolake explain aave_v3_ethereum 2024-12-31 --against theirs.csv --what tvl
    """
    from cryptolake.research.explain import liquidations_against_file, read_figures, tvl_against_file
    from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
    from cryptolake.silver.tvl import TABLE as TVL
    from cryptolake.work.handing_out import require_in_silver

    app: App = context.obj.open()
    market, on = app.registry.csu(csu), day.date()
    if against == "defillama":
        if what != "tvl":
            raise BadInput("DefiLlama publishes no liquidations per market for free; give a file with the other figure")
        found, about = _against_defillama(app, market.name, on, slug)
    else:
        figures = read_figures(Path(against), market.name, on)
        require_in_silver(app, [market.name], [on])
        table = TVL if what == "tvl" else LIQUIDATIONS
        rows = app.tables.read(table, among={"date": [on], "csu": [market.name]})
        if what == "tvl" and rows.is_empty():
            raise BadInput(
                f"there is no snapshot of {market.name} on {on}; see `cryptolake monitor --csu {market.name}`"
            )
        days: list[str | date] = [on - timedelta(days=1), on + timedelta(days=1)]
        found = (
            tvl_against_file(rows, app.tables.read(TVL, among={"date": days, "csu": [market.name]}), figures)
            if what == "tvl"
            else liquidations_against_file(rows, figures)
        )
        about = f"{what} of {market.name} on {on}"
    _print(found, about, as_json)


def _against_defillama(app: App, csu: str, on: date, slug: str | None) -> tuple[Explanation, str]:
    import polars as pl

    from cryptolake.silver.tvl import TABLE as TVL
    from cryptolake.sources.defillama.protocol import DefiLlamaProtocols
    from cryptolake.work.handing_out import require_in_silver
    from cryptolake.work.reconciliation import compared, slug_of, theirs

    market = app.registry.csus[csu]
    name = slug_of(market, slug)
    source = DefiLlamaProtocols(app.access(), [name])
    said = theirs(source, name, bronze=app.bronze, ledger=app.ledger)
    same = [
        one
        for one in app.registry.csus.values()
        if (one.protocol, one.version, one.chain) == (market.protocol, market.version, market.chain)
    ]
    require_in_silver(app, [one.name for one in same], [on])
    rows = app.tables.read(TVL, among={"date": [on - timedelta(days=1), on, on + timedelta(days=1)]})
    held = set(rows.filter(pl.col("date") == on)["csu"].unique())
    every = compared(name, [one for one in same if one.name in held], rows, said, app.registry.chains)
    found = [one for one in every if one.day == on]
    if not found:
        raise BadInput(
            f"DefiLlama has no point of {name} on {market.chain} for {on}, or we have no snapshot; try another day"
        )
    missing = [one.name for one in same if one.name not in held]
    held_count = f"{len(same) - len(missing)} of {counted(len(same), 'market')} collected"
    about = f"net TVL of {name} on {market.chain} on {on} ({held_count})"
    return found[0].explanation, about


def _print(found: Explanation, about: str, as_json: bool) -> None:
    import polars as pl

    if as_json:
        print_json(
            {
                "about": about,
                "ours": found.ours,
                "theirs": found.theirs,
                "difference": found.difference,
                "by_cause": found.by_cause(),
                "parts": [{"cause": part.cause, "usd": part.usd, "detail": part.detail} for part in found.parts],
            }
        )
        return
    share = f" ({found.difference / found.theirs:+.2%})" if found.theirs else ""
    print_line(
        f"{about}: ours {found.ours:,.2f} USD, theirs {found.theirs:,.2f}, difference {found.difference:+,.2f}{share}"
    )
    print_table("By cause (adds up to the difference)", ("cause", "USD"), list(found.by_cause().items()))
    shown = pl.DataFrame(
        [(part.cause, part.usd, part.detail) for part in found.parts[:15]],
        schema=["cause", "usd", "detail"],
        orient="row",
    )
    print_table("Largest parts", ("cause", "USD", "about"), shown.rows())
    print_next("prices list", "monitor")
