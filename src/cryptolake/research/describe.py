"""What a researcher looks at first: balance, why values are missing, distributions, unit roots, outliers. Pure but for tests.

`describe` computes, `html` renders. The terminal's tables are printed by the command from the same `Description`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.gold.daily_panel import figures
from cryptolake.quality import page
from cryptolake.research import unitroot
from cryptolake.research.rectangle import Rectangle, largest_window
from cryptolake.research.transforms import VALUES

_ROBUST = 1.4826  # makes the median absolute deviation comparable with a standard deviation
_OUTLIER_Z = 8.0  # robust z of a daily log change; daily crypto changes have fat tails


@dataclass(frozen=True, slots=True)
class Description:
    """The findings. `balance`, `missing`, `summary` and `outliers` are small frames fit to print."""

    markets: int
    days: int
    share_present: float
    window: Rectangle | None
    balance: pl.DataFrame
    missing: pl.DataFrame
    summary: pl.DataFrame
    outliers: pl.DataFrame
    levels: list[unitroot.Screen]
    changes: list[unitroot.Screen]
    value: str
    accept: tuple[str, ...]

    @property
    def tests(self) -> list[tuple[str, unitroot.PanelTest]]:
        """The panel unit-root tests of levels and of daily changes."""
        both = (("level", self.levels), ("daily change", self.changes))
        return [(what, test) for what, screens in both for test in unitroot.panel_tests(screens)]


def describe(panel: pl.DataFrame, value: str = "total_tvl_usd", accept: Collection[str] = ("ok",)) -> Description:
    """Describe a `daily_panel`; unit roots and outliers are of ln(1 + `value`).

    Only figures of the accepted states count, as in an export; the largest window is the one `--balance longest` exports.
    """
    panel = figures(panel, accept)
    studied = [name for name in VALUES if name in panel.columns]
    present = pl.col(value).is_not_null()
    logged = panel.sort("csu", "date").select("csu", "date", "status", "flags", pl.col(value).log1p().alias("log"))
    changes = logged.with_columns(pl.col("log").diff().over("csu", order_by="date").alias("change"))
    return Description(
        markets=panel["csu"].n_unique(),
        days=panel["date"].n_unique(),
        share_present=float(panel.select(present.mean()).item() or 0.0) if panel.height else 0.0,
        window=largest_window(panel, list(dict.fromkeys([*studied, value]))),
        balance=_balance(panel, present),
        missing=_missing(panel),
        summary=_summary(panel, studied),
        outliers=_outliers(changes),
        levels=unitroot.screen(logged, "log"),
        changes=unitroot.screen(changes, "change"),
        value=value,
        accept=tuple(accept),
    )


def _balance(panel: pl.DataFrame, present: pl.Expr) -> pl.DataFrame:
    """Per market: days expected and with a value, first and last of them, gaps between, longest run."""
    rows = panel.sort("csu", "date").with_columns(present.alias("there"))
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


def html(panel: pl.DataFrame, found: Description, *, title: str, facts: Sequence[tuple[str, object]] = ()) -> str:
    """The self-contained report with plots."""
    panel = figures(panel, found.accept).sort("csu", "date")
    days = panel["date"].unique().sort().to_list()
    status = {str(csu): rows["status"].to_list() for (csu,), rows in _by_market(panel)}
    logged = {
        str(csu): rows.select(pl.col(found.value).log1p())[found.value].to_list() for (csu,), rows in _by_market(panel)
    }
    total = panel.group_by("date").agg(pl.col("liquidations_usd").sum()).sort("date")["liquidations_usd"].to_list()
    window = found.window
    text = (
        f"{counted(found.markets, 'market')}, {counted(found.days, 'day')}, "
        f"{found.share_present:.1%} of market-days have {found.value}. "
        + (
            f"Largest complete rectangle: {counted(len(window.units), 'market')}, "
            f"{window.first} .. {window.last} ({counted(window.days, 'day')})."
            if window
            else "No market-day is complete."
        )
    )
    roots = [
        (one.csu, one.days, one.adf_p, one.kpss_p, one.verdict, change.adf_p, change.kpss_p, change.verdict)
        for one, change in zip(found.levels, found.changes, strict=True)
    ]
    tests = [(what, test.name, test.statistic, test.p, test.units) for what, test in found.tests]
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
             page.table(("csu", "days", "ADF p", "KPSS p", "level", "ADF p", "KPSS p", "change"), roots)),
            ("Unit roots of the panel (null: every market has one)",
             page.table(("of", "test", "statistic", "p", "markets"), tests)),
            ("Outliers: daily log changes with a robust z above 8",
             page.table(found.outliers.columns, found.outliers.rows())),
        ],
    )  # fmt: skip


def _by_market(panel: pl.DataFrame) -> list[tuple[tuple[object, ...], pl.DataFrame]]:
    return sorted(panel.partition_by("csu", as_dict=True).items(), key=lambda item: str(item[0]))
