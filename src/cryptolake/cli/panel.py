"""Commands for researchers: export and describe the panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli import values
from cryptolake.cli._panel_description import description_document, print_description
from cryptolake.cli._panel_facts import StatusFlag, accepted, panel_facts
from cryptolake.cli._panel_var import var_command
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag, chosen_rows
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.selecting import NOTHING, Selected, completed_by, selecting
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.errors import BadInput
from cryptolake.research.formats import format_names

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.contracts.grades import Grade
    from cryptolake.research.adf import Lags

panel_app = typer.Typer(
    no_args_is_help=True,
    help="The daily panel for a study: export it for R, Stata or Python, describe it, estimate a VAR.\n\n"
    "Example: cryptolake panel describe",
)
MOST_GIVEN_LAGS = 60

STEPS = {"panel": Step(PANEL, 60, "Export the daily panel for R, Stata or Python")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(panel_app, name="panel", rich_help_panel="Research")


@panel_app.command("export")
@only_reads
@selecting()
def export_command(
    context: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            "--format", help=f"Kind of file: {', '.join(format_names())}.", autocompletion=completed_by(values.formats)
        ),
    ] = "parquet",
    out: Annotated[Path | None, typer.Option(help="File to write (default: exports/ under the data folder).")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Value column, repeatable (TVL, supplied, borrowed, used, liquidated)."),
    ] = None,
    status: StatusFlag = None,
    min_grade: Annotated[
        Literal["one_voice", "two_voices_sampled", "two_voices", "receipts"],
        typer.Option("--min-grade", help="How far a figure must be borne out; weaker ones are null."),
    ] = "one_voice",
    balance: Annotated[
        Literal["strict", "longest", "none"],
        typer.Option(help="strict: only markets complete on all days; longest: largest complete rectangle."),
    ] = "none",
    fill: Annotated[
        str, typer.Option(help="none, or ffill(N): carry a stock at most N days forward; never a flow.")
    ] = "none",
    winsorize: Annotated[float, typer.Option(help="Share per tail, e.g. 0.01; makes columns *_w.")] = 0.0,
    within: Annotated[
        Literal["market", "day", "pooled"],
        typer.Option(
            "--winsorize-within", help="Whose tails are cut: each market's, each day's, or those of all rows."
        ),
    ] = "market",
    log: Annotated[
        bool, typer.Option("--log", help="ln(1 + x) of USD columns and counts; makes columns *_log.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="First differences; makes columns *_d.")] = False,
    shape: Annotated[
        Literal["long", "wide"], typer.Option(help="One row per market-day, or one row per day.")
    ] = "long",
    version: Annotated[int | None, typer.Option(help="An older version of the panel, by its commit number.")] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Write the file even when no row of the selection has a number.")
    ] = False,
    selected: Selected = NOTHING,
) -> None:
    """Write the panel for another program, with its codebook; every step taken is recorded in the file.

    Example: cryptolake panel export --format stata --balance longest --winsorize 0.01 --log --diff
    """
    from cryptolake.gold.completeness import VALUES, figures
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.gold.metadata import content_digest
    from cryptolake.research.export import export
    from cryptolake.research.formats import format_named, require_suffix
    from cryptolake.research.transforms import Recipe, fill_limit, prepare, require_numbers

    kind = format_named(to)
    app: App = context.obj.open()
    path = out or app.folder.root / "exports" / f"daily_panel{'_wide' * (shape == 'wide')}{kind.suffix}"
    require_suffix(kind, path)  # before anything is read
    panel = chosen_rows(app, selected, version).panel
    accept = accepted(status)
    least: Grade = "receipts_root" if min_grade == "receipts" else min_grade
    if not allow_empty:
        require_numbers(figures(panel, accept, least), tuple(column or VALUES))
    recipe = Recipe(
        tuple(column or VALUES),
        balance,
        fill_limit(fill),
        winsorize,
        within,
        log,
        diff,
        accept,
        least,
    )
    prepared = prepare(panel, recipe, {name: one.number for name, one in app.registry.csus.items()})
    written = export(
        DAILY_PANEL,
        prepared,
        recipe,
        path=path,
        to=kind,
        shape=shape,
        facts=panel_facts(app, content_digest(DAILY_PANEL, panel), version),
    )
    print_table("Written", ("file", "bytes"), [(str(one), one.stat().st_size) for one in written])
    for step in prepared.steps:
        print_line(f"- {step}")
    print_next("panel describe", selection=True)


@panel_app.command("describe")
@only_reads
@selecting()
def describe_command(
    context: typer.Context,
    column: Annotated[
        str, typer.Option(help="Column whose balance, unit roots and outliers are looked at.")
    ] = "total_tvl_usd",
    status: StatusFlag = None,
    lags: Annotated[
        str, typer.Option(help="Lag order of unit-root tests: AIC, SIC, Hall (up to 10 lags), or a number.")
    ] = "AIC",
    trend: Annotated[
        bool, typer.Option("--trend", help="Unit-root tests against a trend as well as an intercept.")
    ] = False,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report with plots to this file.")] = None,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Balance, missing values by reason, distributions, unit roots, dependence between markets and outliers of the panel.

    Example: cryptolake panel describe --html panel.html
    """
    from cryptolake.files.atomic import write_bytes
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.gold.metadata import content_digest
    from cryptolake.research.describe import describe
    from cryptolake.research.description_page import html

    order = _lags(lags)
    app: App = context.obj.open()
    chosen = chosen_rows(app, selected)
    panel = chosen.panel
    if column not in panel.columns or not panel[column].dtype.is_float():
        numeric = [name for name, dtype in panel.schema.items() if dtype.is_float()]
        raise BadInput(f"no such column {column!r}; known: {', '.join(numeric)}")
    found = describe(panel, column, accepted(status), terms="trend" if trend else "intercept", lags=order)
    if html_file is not None:
        facts = list(panel_facts(app, content_digest(DAILY_PANEL, panel)).items())
        write_bytes(html_file, html(panel, found, title="daily_panel", facts=facts).encode())
    if as_json:
        print_json({"selection": chosen.document(), **description_document(found)})
    else:
        print_description(found)
        if html_file is not None:
            print_line(f"Report with plots: {html_file}")
        print_next("panel export --format stata --balance longest", selection=True)


panel_app.command("var")(var_command)


def _lags(text: str) -> Lags:
    """The lag order as it was written. Raises BadInput."""
    named: dict[str, Lags] = {"aic": "AIC", "sic": "SIC", "hall": "Hall"}
    if text.lower() in named:
        return named[text.lower()]
    if text.isdecimal() and int(text) <= MOST_GIVEN_LAGS:
        return int(text)
    raise BadInput(f"--lags {text!r}: write AIC, SIC, Hall or a number from 0 to {MOST_GIVEN_LAGS}")
