"""The command `panel var`: its flags, and how it shows what it found. `panel` puts it below itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli._panel_facts import StatusFlag, accepted, panel_facts
from cryptolake.cli.options import JsonFlag, chosen_rows
from cryptolake.cli.reading import only_reads
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.research.study import Study

DEFAULT = ("total_tvl_usd_log_d", "liquidations_usd_log")


@only_reads
@selecting()
def var_command(
    context: typer.Context,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            "--variable",
            help="As an export names it (total_tvl_usd_log_d: change of the log), repeatable, first who moves first "
            f"(default: {', '.join(DEFAULT)}).",
        ),
    ] = None,
    status: StatusFlag = None,
    lags: Annotated[int, typer.Option(min=1, max=30, help="Days before that explain a day.")] = 1,
    instrument_lags: Annotated[
        int | None,
        typer.Option(min=1, max=60, help="Days before whose levels are instruments (default: one more than --lags)."),
    ] = None,
    two_step: Annotated[
        bool, typer.Option("--two-step", help="Weigh conditions by their spread between markets; gives Hansen's J.")
    ] = False,
    day_means_out: Annotated[
        bool, typer.Option("--day-means-out", help="Take the mean over markets of each day out first.")
    ] = False,
    horizon: Annotated[int, typer.Option(min=1, max=365, help="Days after a shock.")] = 10,
    draws: Annotated[
        int, typer.Option(min=0, max=10_000, help="Samples of markets for the bands of 90 %; 0 for none.")
    ] = 500,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report with plots to this file.")] = None,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Estimate a panel VAR with market effects by GMM, and what a shock to one variable does to the others.

    Example: cryptolake panel var --variable utilization_rate_d --variable liquidations_usd_log --lags 2 --html var.html
    """
    from cryptolake.files.atomic import write_bytes
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.gold.metadata import content_digest
    from cryptolake.research.extra import needs_research
    from cryptolake.research.variables import variables

    accept = accepted(status)
    names = tuple(variable or DEFAULT)
    app: App = context.obj.open()
    chosen = chosen_rows(app, selected)
    with needs_research("a panel VAR"):
        from cryptolake.research.study import html, study
    done = study(
        variables(chosen.panel, names, accept),
        names,
        lags=lags,
        instrument_lags=instrument_lags,
        steps=2 if two_step else 1,
        day_means_out=day_means_out,
        horizon=horizon,
        draws=draws,
    )
    facts = panel_facts(app, content_digest(DAILY_PANEL, chosen.panel))
    if html_file is not None:
        write_bytes(html_file, html(done, title="Panel VAR", facts=list(facts.items())).encode())
    if as_json:
        print_json({"selection": chosen.document(), **facts, **_document(done)})
        return
    _print(done)
    if html_file is not None:
        print_line(f"Report with plots: {html_file}")


def _print(done: Study) -> None:
    from cryptolake.research.study import (
        COEFFICIENT_COLUMNS,
        ORDER_COLUMNS,
        coefficient_rows,
        order_rows,
        response_rows,
        summary,
    )

    print_line(summary(done))
    print_table("Coefficients", COEFFICIENT_COLUMNS, list(map(_rounded, coefficient_rows(done))))
    print_table("Lag orders (smaller is better)", ORDER_COLUMNS, list(map(_rounded, order_rows(done))))
    days = [day for day in (0, 1, 2, 3, 5, 10, 20, 30) if day < len(done.paths)]
    found = {row[:3]: row[3:] for row in response_rows(done)}
    names = done.found.names
    rows = [
        (shock, response, *(_banded(*found[shock, response, day]) for day in days))
        for shock in names
        for response in names
    ]
    band = f", {done.band.level:.0%} band" if done.band else ""
    print_table(
        f"Responses to a shock of one standard deviation{band}",
        ("shock", "response", *(f"day {one}" for one in days)),
        rows,
    )
    for warning in done.warnings:
        print_line(warning)


def _rounded(row: tuple[object, ...]) -> list[object]:
    return [f"{cell:,.4g}" if isinstance(cell, float) else cell for cell in row]


def _banded(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3g}" if low is None or high is None else f"{value:.3g} ({low:.3g} .. {high:.3g})"


def _document(done: Study) -> dict[str, object]:
    from cryptolake.research.study import coefficient_rows, response_rows

    found, band = done.found, done.band
    return {
        "variables": list(found.names),
        "lags": found.lags,
        "markets": found.markets,
        "market_days": found.rows,
        "conditions": found.conditions,
        "steps": found.steps,
        "stable": found.stable,
        "moduli": list(found.moduli),
        "coefficients": [
            dict(zip(("equation", "of", "coefficient", "error", "p"), row, strict=True))
            for row in coefficient_rows(done)
        ],
        "shock_covariance": found.sigma.tolist(),
        "hansen": found.hansen,
        "lag_orders": done.orders,
        "responses": [
            dict(zip(("shock", "response", "day", "value", "low", "high"), row, strict=True))
            for row in response_rows(done)
        ],
        "band": band
        and {"level": band.level, "draws": band.draws, "explosive": band.explosive, "unsolved": band.unsolved},
        "pesaran_cd": {name: {"statistic": test.statistic, "p": test.p} for name, test in done.together.items()},
        "warnings": list(done.warnings),
    }
