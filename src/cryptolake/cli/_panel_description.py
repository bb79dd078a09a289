"""How `panel describe` shows what it found: tables on the terminal, and the same as a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryptolake.cli.show import print_line, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from cryptolake.research.describe import Description


def print_description(found: Description) -> None:
    """The tables and the lines under them."""
    from cryptolake.research.description_page import DEPENDENCE_COLUMNS, TEST_COLUMNS, dependence_rows, root_rows

    window = found.window
    print_line(
        f"[bold]{counted(found.markets, 'market')} x {counted(found.days, 'day')}[/], "
        f"{found.share_present:.1%} with {found.value}; {counted(found.complete, 'complete market-day')}"
        + (
            f"; largest complete rectangle {counted(len(window.units), 'market')} x "
            f"{counted(window.days, 'day')} ({window.first} .. {window.last})"
            if window
            else ""
        )
    )
    print_table("Market-days by reason", found.missing.columns, found.missing.rows())
    print_table("Balance", found.balance.columns, found.balance.head(60).rows())
    short = ["column", "n", "zeros", "mean", "sd_between", "sd_within", "median", "max"]
    print_table("Distributions", short, list(map(_rounded, found.summary.select(short).rows())))
    roots = [
        (one.csu, one.days, one.lags, _p(one.adf_p), _p(one.kpss_p), one.verdict, _p(change.adf_p), change.verdict)
        for one, change in found.roots
    ]
    columns = ("csu", "days", "lags", "ADF p", "KPSS p", "level", "ADF p change", "change")
    print_table(f"Unit roots of ln(1 + {found.value})", columns, roots[:60])
    if found.tests:
        print_table("Unit roots of the panel", TEST_COLUMNS, list(map(_rounded, root_rows(found))))
    if found.dependence:
        rows = list(map(_rounded, dependence_rows(found)))
        print_table("Do markets move together? (null: they do not)", DEPENDENCE_COLUMNS, rows)
    if found.warning:
        print_line(found.warning)
    if found.outliers.height:
        print_table("Outliers (robust z of daily log changes)", found.outliers.columns, found.outliers.rows())


def _rounded(row: Sequence[object]) -> list[object]:
    return [f"{cell:,.4g}" if isinstance(cell, float) else cell for cell in row]


def _p(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def description_document(found: Description) -> dict[str, object]:
    """What `--json` prints."""
    window = found.window
    return {
        "markets": found.markets,
        "days": found.days,
        "share_present": found.share_present,
        "complete": found.complete,
        "largest_window": window
        and {"markets": window.units, "first": window.first, "last": window.last, "days": window.days},
        "balance": found.balance.to_dicts(),
        "missing": found.missing.to_dicts(),
        "summary": found.summary.to_dicts(),
        "outliers": found.outliers.to_dicts(),
        "unit_roots": [
            {
                "csu": one.csu,
                "days": one.days,
                "lags": one.lags,
                "adf_p": one.adf_p,
                "kpss_p": one.kpss_p,
                "level": one.verdict,
                "change": change.verdict,
            }
            for one, change in found.roots
        ],
        "panel_tests": [
            {
                "of": what,
                "test": test.name,
                "statistic": test.statistic,
                "p": test.p,
                "markets": test.units,
                "null": test.null,
                "assumes_independent_markets": test.independent,
                "days": test.days,
                "lags": test.lags,
                "critical": test.critical and dict(zip(("1%", "5%", "10%"), test.critical, strict=True)),
            }
            for what, test in found.tests
        ],
        "dependence": [
            {
                "of": what,
                "test": test.name,
                "statistic": test.statistic,
                "p": test.p,
                "pairs": test.pairs,
                "left_out": test.left_out,
            }
            for what, test in found.dependence
        ],
    }
