"""The rules behind the checks: each takes the finished tables and gives the rows that break it. Pure.

A finding has three columns: subject (what), date, detail (words and numbers). Severities and names are in `checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC

import polars as pl

from cryptolake.contracts.entry import SUSPECT
from cryptolake.contracts.partition import Boundary, Period
from cryptolake.contracts.prices import ORACLE
from cryptolake.registry.family import Accounting

ROUNDING = 1.001
BAD_DEBT = 1.05
_Z, _TVL_STEP, _PRICE_STEP = 8.0, 0.5, 0.4  # robust z; and the least log change that is worth a look (x 1.65, x 1.5)
_ROBUST = 1.4826
_WORTH_A_LOOK_USD = 500.0  # below it rounding and dust decide the ratio of two sides


@dataclass(frozen=True, slots=True)
class FinishedTables:
    """The finished tables the checks read, where a day begins, and how each family accounts.

    `now` is the panel that ledger and silver would give now, `lacking` the market-days (dataset, csu, date, reason) that
    the ledger calls answered and that silver cannot vouch for. A family that is not in `accounting` is held to no rule of
    accounting; `unaccounted` then says so for every market.
    """

    tvl: pl.DataFrame
    liquidations: pl.DataFrame
    prices: pl.DataFrame
    panel: pl.DataFrame
    now: pl.DataFrame
    lacking: pl.DataFrame
    boundary: Boundary = "utc"
    accounting: Mapping[str, Accounting] = field(default_factory=dict)


def said(frame: pl.DataFrame, subject: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """The three columns of a finding."""
    return frame.select(subject.alias("subject"), pl.col("date"), detail.alias("detail"))


def asset() -> pl.Expr:
    return pl.col("csu") + "/" + pl.col("symbol")


def figures(column: str | pl.Expr) -> pl.Expr:
    expression = pl.col(column) if isinstance(column, str) else column
    return expression.round_sig_figs(4).cast(pl.String)


def negative(t: FinishedTables) -> pl.DataFrame:
    raw = ("supplied_raw", "borrowed_raw", "cash_raw", "collateral_raw")
    bad = t.tvl.filter(pl.any_horizontal(pl.col(name).str.starts_with("-") for name in raw))
    events = t.liquidations.filter(
        pl.col("debt_amount_raw").str.starts_with("-") | pl.col("collateral_amount_raw").str.starts_with("-")
    )
    return pl.concat(
        [
            said(bad, asset(), pl.lit("a negative amount")),
            said(events, pl.col("csu"), pl.lit("a negative amount in ") + pl.col("tx")),
        ]
    )


def of_families(t: FinishedTables, holds: Callable[[Accounting], bool]) -> pl.DataFrame:
    """The assets of the markets whose family accounts in this way."""
    names = [name for name, one in t.accounting.items() if holds(one)]
    return t.tvl.join(t.panel.select("csu", "family").unique(), on="csu").filter(pl.col("family").is_in(names))


def unaccounted(t: FinishedTables) -> pl.DataFrame:
    """Market-days that the rules of accounting say nothing about, because nobody told how their family accounts."""
    rows = t.tvl.select("csu", "date").unique()
    rows = rows.join(t.panel.select("csu", "date", "family"), on=["csu", "date"], how="left")
    bad = rows.filter(pl.col("family").is_null() | ~pl.col("family").is_in(list(t.accounting)))
    why = pl.lit("accounting of family ") + pl.col("family").fill_null("(not in the panel)") + " is not declared"
    return said(bad, pl.col("csu"), why)


def lent(low: float, high: float) -> Callable[[FinishedTables], pl.DataFrame]:
    def broken(t: FinishedTables) -> pl.DataFrame:
        rows = of_families(t, lambda one: one.lends_deposits)
        ratio = pl.col("borrowed") / pl.col("supplied")
        bad = rows.filter((pl.col("borrowed") > 0) & (ratio > low) & (ratio <= high))
        return said(bad, asset(), pl.lit("borrowed / supplied = ") + figures(ratio))

    return broken


def utilisation(t: FinishedTables) -> pl.DataFrame:
    rate = pl.col("utilization_rate")
    bad = t.panel.filter((rate < 0) | (rate > BAD_DEBT))
    return said(bad, pl.col("csu"), pl.lit("utilisation ") + figures("utilization_rate"))


def accounting(t: FinishedTables) -> pl.DataFrame:
    rows = of_families(t, lambda one: one.cash_is_the_rest)
    gap = (pl.col("supplied") - pl.col("borrowed") - pl.col("cash")).abs() / pl.col("supplied")
    bad = rows.filter((pl.col("supplied") > 0) & (gap > 0.05))
    return said(bad, asset(), pl.lit("|supplied - borrowed - cash| / supplied = ") + figures(gap))


def window(t: FinishedTables, frame: pl.DataFrame) -> pl.DataFrame:
    days = frame["date"].unique().to_list()
    periods = [Period.of_day(day, t.boundary) for day in days]
    bounds = pl.DataFrame(
        {"date": days, "start": [one.start for one in periods], "end": [one.end for one in periods]},
        schema={"date": pl.Date, "start": pl.Datetime("us", str(UTC)), "end": pl.Datetime("us", str(UTC))},
    )
    return frame.join(bounds, on="date", how="left")


def block_in_day(t: FinishedTables) -> pl.DataFrame:
    rows = window(t, t.tvl.select("csu", "date", "block_time").unique())
    time = pl.col("block_time")
    bad = rows.filter((time < pl.col("start")) | (time >= pl.col("end")))
    return said(bad, pl.col("csu"), pl.lit("snapshot at ") + time.cast(pl.String))


def event_in_day(t: FinishedTables) -> pl.DataFrame:
    rows = window(t, t.liquidations.select("csu", "date", "block_time", "tx"))
    bad = rows.filter((pl.col("block_time") < pl.col("start")) | (pl.col("block_time") >= pl.col("end")))
    return said(bad, pl.col("csu"), pl.lit("event at ") + pl.col("block_time").cast(pl.String))


def early_snapshot(t: FinishedTables) -> pl.DataFrame:
    rows = window(t, t.tvl.select("chain", "date", "block_time").unique())
    late = pl.col("end") - pl.col("block_time")
    bad = rows.filter((late > pl.duration(minutes=10)) & (late < pl.duration(days=1)))
    return said(
        bad,
        pl.col("chain"),
        pl.lit("snapshot ") + late.dt.total_minutes().cast(pl.String) + " minutes before the day's end",
    )


def snapshots(t: FinishedTables) -> pl.DataFrame:
    return (
        t.tvl.group_by("chain", "date")
        .agg(pl.col("block").min().alias("low"), pl.col("block").max().alias("high"))
        .sort("chain", "date")
    )


def one_block(t: FinishedTables) -> pl.DataFrame:
    bad = snapshots(t).filter(pl.col("low") != pl.col("high"))
    return said(bad, pl.col("chain"), pl.format("snapshots at blocks {} and {}", "low", "high"))


def blocks_rise(t: FinishedTables) -> pl.DataFrame:
    rows = snapshots(t).with_columns(pl.col("high").shift(1).over("chain", order_by="date").alias("before"))
    bad = rows.filter(pl.col("low") <= pl.col("before"))
    return said(bad, pl.col("chain"), pl.format("block {} is not after the day before's {}", "low", "before"))


def event_window(t: FinishedTables) -> pl.DataFrame:
    """TVL and liquidations of a row cover the same day: events lie after yesterday's snapshot and not after today's."""
    rows = snapshots(t).with_columns(
        pl.when((pl.col("date") - pl.col("date").shift(1).over("chain", order_by="date")).dt.total_days() == 1)
        .then(pl.col("high").shift(1).over("chain", order_by="date"))
        .alias("before")
    )
    events = t.liquidations.join(rows, on=["chain", "date"], how="inner")
    bad = events.filter((pl.col("block") > pl.col("high")) | (pl.col("block") <= pl.col("before")))
    return said(bad, pl.col("csu"), pl.format("event in block {}, the day ends with block {}", "block", "high"))


def more_than_owed(t: FinishedTables) -> pl.DataFrame:
    """Liquidated of an asset in a day > owed at either end of it plus what was repaid in between."""
    owed = t.tvl.sort("csu", "asset", "date").select(
        "csu",
        "date",
        pl.col("asset").alias("debt_asset"),
        pl.max_horizontal("borrowed", pl.col("borrowed").shift(1).over("csu", "asset", order_by="date")).alias("owed"),
    )
    events = t.liquidations.join(owed, on=["csu", "date", "debt_asset"], how="inner")
    bad = events.filter((pl.col("debt_amount") > 2 * pl.col("owed")) & (pl.col("debt_usd").fill_null(1e9) > 1_000))
    return said(
        bad,
        pl.col("csu"),
        pl.lit("repaid ") + figures("debt_amount") + " " + pl.col("debt_symbol") + ", owed " + figures("owed"),
    )


def bonus(t: FinishedTables) -> pl.DataFrame:
    ratio = pl.col("collateral_usd") / pl.col("debt_usd")
    bad = t.liquidations.filter((pl.col("debt_usd") > _WORTH_A_LOOK_USD) & ((ratio < 0.5) | (ratio > 2.0)))
    return said(bad, pl.col("csu"), pl.lit("seized / repaid = ") + figures(ratio) + " in " + pl.col("tx"))


def steps(frame: pl.DataFrame, by: list[str], value: str, least: float) -> pl.DataFrame:
    """Day-on-day log changes beyond the robust z of their own history, with columns change and z."""
    log = pl.when(pl.col(value) > 0).then(pl.col(value).log())
    rows = frame.sort(*by, "date").with_columns(log.diff().over(by, order_by="date").alias("change"))
    off = (pl.col("change") - pl.col("change").median().over(by)).abs()
    rows = rows.with_columns(off.alias("off")).with_columns((pl.col("off").median().over(by) * _ROBUST).alias("spread"))
    return rows.with_columns((pl.col("off") / pl.col("spread")).alias("z")).filter(
        (pl.col("change").abs() > least) & ((pl.col("z") > _Z) | (pl.col("spread") == 0))
    )


def tvl_jump(t: FinishedTables) -> pl.DataFrame:
    bad = steps(t.panel, ["csu"], "total_supplied_usd", _TVL_STEP)
    return said(
        bad, pl.col("csu"), pl.lit("deposits x ") + figures(pl.col("change").exp()) + ", robust z " + figures("z")
    )


def price_jump(t: FinishedTables) -> pl.DataFrame:
    """Of the shared prices, and of what only a market's own oracle prices."""
    factor = pl.lit("price x ") + figures(pl.col("change").exp())
    shared = steps(t.prices, ["chain", "asset"], "price", _PRICE_STEP)
    own = steps(t.tvl.filter(pl.col("price_source") == ORACLE), ["csu", "asset"], "price", _PRICE_STEP)
    return pl.concat([said(shared, pl.col("chain") + "/" + pl.col("asset"), factor), said(own, asset(), factor)])


def vanished(t: FinishedTables) -> pl.DataFrame:
    rows = t.panel.sort("csu", "date").with_columns(
        pl.col("total_supplied_usd").shift(1).over("csu", order_by="date").alias("before")
    )
    bad = rows.filter((pl.col("total_supplied_usd") == 0) & (pl.col("before") > 10_000))
    return said(bad, pl.col("csu"), pl.lit("deposits fell from ") + figures("before") + " to 0")


def priced(t: FinishedTables, flag: str) -> pl.DataFrame:
    bad = t.prices.filter(pl.col("flag") == flag)
    detail = pl.lit("spread ") + figures("spread") if flag == "disagrees" else pl.lit(flag)
    return said(bad, pl.col("chain") + "/" + pl.col("asset"), detail)


def unpriced(t: FinishedTables) -> pl.DataFrame:
    bad = t.panel.filter(pl.col("status") == "missing_price")
    return said(bad, pl.col("csu"), pl.lit("share of assets priced ") + figures("priced_share"))


def flag(code: str) -> Callable[[FinishedTables], pl.DataFrame]:
    def broken(t: FinishedTables) -> pl.DataFrame:
        bad = t.panel.filter(pl.col("flags").str.split(";").list.contains(code))
        return said(bad, pl.col("csu"), pl.lit(code))

    return broken


def contradicted(t: FinishedTables) -> pl.DataFrame:
    bad = t.panel.filter(pl.any_horizontal(pl.col("reason", "liquidations_reason") == SUSPECT))
    return said(bad, pl.col("csu"), pl.lit("run `cryptolake collect`, which asks again, or `cryptolake verify`"))


def unanswered(*codes: str) -> Callable[[FinishedTables], pl.DataFrame]:
    def broken(t: FinishedTables) -> pl.DataFrame:
        sides = pl.col("status", "liquidations_status")
        bad = t.panel.filter(pl.any_horizontal(sides.is_in(codes)))
        return said(bad, pl.col("csu"), pl.concat_str(sides, separator=" / "))

    return broken
