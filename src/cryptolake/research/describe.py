"""What a researcher looks at first: balance, why values are missing, distributions, unit roots, outliers.

Days are calendar days: a market-day without a row is a gap like one without a value. What does not belong here: the report
as a page (`description_page`) and the terminal's tables, which the command prints from the same `Description`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from cryptolake.gold.completeness import VALUES, complete_days, figures
from cryptolake.research import unitroot
from cryptolake.research.critical_values import Terms
from cryptolake.research.rectangle import Rectangle, largest_window

if TYPE_CHECKING:
    from cryptolake.research.adf import Lags
    from cryptolake.research.dependence import Dependence
    from cryptolake.research.panel_tests import PanelTest

NO_ROW = "no row"  # the state of a market-day that the panel does not have

_ROBUST = 1.4826  # makes the median absolute deviation comparable with a standard deviation
_OUTLIER_Z = 8.0  # robust z of a daily log change; daily crypto changes have fat tails


@dataclass(frozen=True, slots=True)
class Description:
    """The findings. `complete` counts the market-days that have every value of a study; the frames are small, fit to print."""

    markets: int
    days: int
    share_present: float
    complete: int
    window: Rectangle | None
    balance: pl.DataFrame
    missing: pl.DataFrame
    summary: pl.DataFrame
    outliers: pl.DataFrame
    levels: unitroot.Examination
    changes: unitroot.Examination
    value: str
    accept: tuple[str, ...]

    @property
    def tests(self) -> list[tuple[str, PanelTest]]:
        """The unit-root tests over all markets, of levels and of daily changes."""
        return [(what, test) for what, found in self._both for test in found.tests]

    @property
    def dependence(self) -> list[tuple[str, Dependence]]:
        """How markets move together, in levels and in daily changes."""
        return [(what, test) for what, found in self._both for test in found.dependence]

    @property
    def roots(self) -> list[tuple[unitroot.Screen, unitroot.Screen]]:
        """Per market the screen of its level and of its daily change."""
        return list(zip(self.levels.screens, self.changes.screens, strict=True))

    @property
    def warning(self) -> str | None:
        """What to say of tests that assume independence, by Pesaran's CD of the daily changes; None without one."""
        cd = next((test for test in self.changes.dependence if test.name == "Pesaran CD"), None)
        if cd is None or cd.p is None:
            return None
        if cd.p >= 0.05:
            return f"Pesaran's CD of daily changes is {cd.statistic:.2f}: no sign that markets move together."
        instead = (
            "believe CIPS before them"
            if any(test.name == "CIPS" and test.p is not None for _, test in self.tests)
            else "CIPS, which allows for it, has critical values from 10 markets on"
        )
        return (
            f"Pesaran's CD of daily changes is {cd.statistic:.2f}: markets move together, so the tests that assume "
            f"independent markets reject too often; {instead}."
        )

    @property
    def _both(self) -> tuple[tuple[str, unitroot.Examination], tuple[str, unitroot.Examination]]:
        return ("level", self.levels), ("daily change", self.changes)


def describe(
    panel: pl.DataFrame,
    value: str = "total_tvl_usd",
    accept: Collection[str] = ("ok",),
    *,
    terms: Terms = "intercept",
    lags: Lags = "AIC",
) -> Description:
    """Describe a `daily_panel`; unit roots and outliers are of ln(1 + `value`).

    Only figures of the accepted states count, as in an export; the largest window is the one `--balance longest` exports.
    """
    studied = [name for name in VALUES if name in panel.columns]
    counted = list(dict.fromkeys([*studied, value]))
    complete = complete_days(panel, counted, accept).height
    panel = on_calendar(figures(panel, accept))
    present = pl.col(value).is_not_null()
    logged = panel.select("csu", "date", "status", "flags", pl.col(value).log1p().alias("log"))
    changes = logged.with_columns(pl.col("log").diff().over("csu", order_by="date").alias("change"))
    return Description(
        markets=panel["csu"].n_unique(),
        days=panel["date"].n_unique(),
        share_present=float(panel.select(present.mean()).item() or 0.0) if panel.height else 0.0,
        complete=complete,
        window=largest_window(panel, counted),
        balance=_balance(panel, present),
        missing=_missing(panel),
        summary=_summary(panel, studied),
        outliers=_outliers(changes),
        levels=unitroot.examine(logged, "log", terms, lags),
        changes=unitroot.examine(changes, "change", terms, lags),
        value=value,
        accept=tuple(accept),
    )


def on_calendar(panel: pl.DataFrame) -> pl.DataFrame:
    """A row for every market and every calendar day from the panel's first to its last, sorted; new ones say `no row`."""
    if panel.is_empty():
        return panel
    days = pl.date_range(pl.lit(panel["date"].min()), pl.lit(panel["date"].max()), "1d")
    every = panel.select(pl.col("csu").unique().sort()).join(pl.select(days.alias("date")), how="cross")
    return every.join(panel, on=["csu", "date"], how="left").with_columns(
        pl.col("status", "liquidations_status").fill_null(NO_ROW)
    )


def _balance(panel: pl.DataFrame, present: pl.Expr) -> pl.DataFrame:
    """Per market: calendar days, those with a value, first and last of them, gaps between, longest run."""
    rows = panel.with_columns(present.alias("there"))
    inside = (
        rows.filter(pl.col("there"))
        .group_by("csu")
        .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"), pl.len().alias("t"))
    )
    runs = (
        rows.with_columns(pl.col("there").rle_id().over("csu", order_by="date").alias("run"))
        .filter(pl.col("there"))
        .group_by("csu", "run")
        .len()
        .group_by("csu")
        .agg(pl.col("len").max().alias("longest_run"), (pl.len() - 1).alias("gaps"))
    )
    everyone = rows.group_by("csu").agg(pl.len().alias("expected"))
    return (
        everyone.join(inside, on="csu", how="left")
        .join(runs, on="csu", how="left")
        .with_columns(pl.col("t", "gaps", "longest_run").fill_null(0))
        .select("csu", "expected", "t", "first", "last", "gaps", "longest_run")
        .sort("csu")
    )


def _missing(panel: pl.DataFrame) -> pl.DataFrame:
    """Market-days by reason code, of the TVL side and of the liquidations side."""
    sides = [
        panel.group_by(pl.col(column).alias("reason")).len(name)
        for column, name in (("status", "tvl"), ("liquidations_status", "liquidations"))
    ]
    joined = (
        sides[0]
        .join(sides[1], on="reason", how="full", coalesce=True)
        .with_columns(pl.col("tvl", "liquidations").fill_null(0))
    )
    return joined.sort("tvl", "liquidations", "reason", descending=[True, True, False])


def _summary(panel: pl.DataFrame, values: Sequence[str]) -> pl.DataFrame:
    """Per column: observations, mean, standard deviation (overall, between and within markets) and quantiles."""
    rows = []
    for name in values:
        column = panel[name].drop_nulls()
        means = panel.group_by("csu").agg(pl.col(name).mean())[name].drop_nulls()
        within = panel.select((pl.col(name) - pl.col(name).mean().over("csu")).alias("d"))["d"].drop_nulls()
        quantiles = [column.quantile(at, "linear") for at in (0.0, 0.05, 0.5, 0.95, 1.0)]
        zeros = int((column == 0).sum())
        rows.append((name, column.len(), zeros, column.mean(), column.std(), means.std(), within.std(), *quantiles))
    columns = ("column", "n", "zeros", "mean", "sd", "sd_between", "sd_within", "min", "p5", "median", "p95", "max")
    return pl.DataFrame(rows, schema=list(columns), orient="row", infer_schema_length=None)


def _outliers(changes: pl.DataFrame, limit: int = 25) -> pl.DataFrame:
    """The largest daily log changes by robust z within the market, beyond 8."""
    centred = (pl.col("change") - pl.col("change").median().over("csu")).abs()
    with_spread = changes.with_columns(centred.alias("off")).with_columns(
        (pl.col("off").median().over("csu") * _ROBUST).alias("spread")
    )
    return (
        with_spread.filter(pl.col("spread") > 0)
        .with_columns((pl.col("off") / pl.col("spread")).alias("robust_z"))
        .filter(pl.col("robust_z") > _OUTLIER_Z)
        .sort("robust_z", "csu", "date", descending=[True, False, False])
        .select("csu", "date", "change", "robust_z", "status", "flags")
        .head(limit)
    )
