"""A description as one page with plots: no script, no network. What does not belong here: what is found (`describe`)."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.gold.completeness import figures
from cryptolake.quality import page
from cryptolake.research.describe import Description, on_calendar

TEST_COLUMNS = ("of", "test", "statistic", "p", "markets", "null", "assumes independence")
DEPENDENCE_COLUMNS = ("of", "test", "statistic", "p", "pairs", "left out")


def html(panel: pl.DataFrame, found: Description, *, title: str, facts: Sequence[tuple[str, object]] = ()) -> str:
    """The self-contained report."""
    panel = on_calendar(figures(panel, found.accept))
    days = panel["date"].unique().sort().to_list()
    status = {csu: rows["status"].to_list() for csu, rows in _by_market(panel)}
    logged = {csu: rows.select(pl.col(found.value).log1p())[found.value].to_list() for csu, rows in _by_market(panel)}
    total = panel.group_by("date").agg(pl.col("liquidations_usd").sum()).sort("date")["liquidations_usd"].to_list()
    window = found.window
    text = (
        f"{counted(found.markets, 'market')}, {counted(found.days, 'day')}, "
        f"{found.share_present:.1%} of market-days have {found.value}. "
        + (
            f"{counted(found.complete, 'market-day is', 'market-days are')} complete. "
            f"Largest rectangle of them: {counted(len(window.units), 'market')}, "
            f"{window.first} .. {window.last} ({counted(window.days, 'day')})."
            if window
            else "No market-day is complete."
        )
    )
    roots = [
        (one.csu, one.days, one.lags, one.adf_p, one.kpss_p, one.verdict, change.adf_p, change.kpss_p, change.verdict)
        for one, change in found.roots
    ]
    return page.page(
        title,
        [
            ("The dataset", page.note(text) + page.table(("fact", "value"), list(facts))),
            ("Why values are there or missing", page.heat_map("status by market and day", days, status)
             + page.table(found.missing.columns, found.missing.rows())),
            ("Balance", page.table(found.balance.columns, found.balance.rows())),
            ("Distributions", page.table(found.summary.columns, found.summary.rows())),
            (f"ln(1 + {found.value}) by market", page.lines("levels", logged)),
            ("Liquidations of all markets, USD a day", page.lines("liquidations", {"liquidations_usd": total})),
            ("Unit roots per market: levels, then daily changes",
             page.table(("csu", "days", "lags", "ADF p", "KPSS p", "level", "ADF p", "KPSS p", "change"), roots)),
            ("Unit roots of the panel",
             page.note(found.warning or "") + page.table(TEST_COLUMNS, root_rows(found))),
            ("Do markets move together? (null: they do not)", page.table(DEPENDENCE_COLUMNS, dependence_rows(found))),
            ("Outliers: daily log changes with a robust z above 8",
             page.table(found.outliers.columns, found.outliers.rows())),
        ],
    )  # fmt: skip


def root_rows(found: Description) -> list[tuple[object, ...]]:
    """The panel tests under `TEST_COLUMNS`; a p-value that ends its table says so."""
    return [
        (what, one.name, one.statistic, one.said_p, one.units, one.null, "yes" if one.independent else "no")
        for what, one in found.tests
    ]


def dependence_rows(found: Description) -> list[tuple[object, ...]]:
    """The tests of dependence under `DEPENDENCE_COLUMNS`."""
    return [(what, one.name, one.statistic, one.p, one.pairs, one.left_out) for what, one in found.dependence]


def _by_market(panel: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [(str(csu), rows) for (csu,), rows in panel.partition_by("csu", as_dict=True, maintain_order=True).items()]
