"""Whether silver's figures follow from each other: whole numbers -> amounts -> values, at prices taken from quotes. Pure.

What does not belong here: whether the whole numbers are those of the answers (`silver.refined`), and what a day whose
figures do not follow is called (evidence).
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.figures import other
from cryptolake.contracts.table import Table
from cryptolake.silver import liquidations, tvl
from cryptolake.silver.amounts import scaled
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.prices import Pricing, choose

AMOUNTS_DIFFER, PRICES_DIFFER, QUOTES_DIFFER = "amounts_differ", "prices_differ", "quotes_differ"

# Each amount of a table with the column of its token.
_AMOUNTS = {
    "tvl": dict.fromkeys(("supplied", "borrowed", "cash", "collateral"), "asset"),
    "liquidations": {f"{side}_amount": f"{side}_asset" for side in ("debt", "collateral")},
}
_TABLES: dict[str, Table] = {"tvl": tvl.TABLE, "liquidations": liquidations.TABLE}
_FOLLOWS = {"tvl": tvl.FOLLOWS, "liquidations": liquidations.FOLLOWS}

# What is read of silver for it: values are made again from all of it.
COLUMNS = {dataset: tuple(table.columns) for dataset, table in _TABLES.items()}
_TOKEN_DAY = ["date", "chain", "asset"]


def not_following(
    amounts: pl.DataFrame, events: pl.DataFrame, prices: pl.DataFrame, quotes: pl.DataFrame, how: Pricing
) -> pl.DataFrame:
    """The market-days with a row that does not follow from what stands beside it: dataset, csu, date, doubt.

    `doubt` is the first of `AMOUNTS_DIFFER` (an amount is not its whole number scaled by the token's decimals),
    `PRICES_DIFFER` (a price or a value is not what the table of prices and the market's own oracle give) and
    `QUOTES_DIFFER` (the price of the day is not the one that its quotes give). `how` is how the days were priced; days that
    were priced otherwise follow from nothing that is known here. The frames have all columns of their tables.
    """
    found = [pl.DataFrame(schema={"dataset": pl.String, "csu": pl.String, "date": pl.Date, "doubt": pl.String})]
    again = choose(quotes, prices.select(_TOKEN_DAY), how)
    untold = _differing(prices, again, PRICES, [name for name in PRICES.columns if name not in _TOKEN_DAY])
    frames = {"tvl": amounts, "liquidations": _with_decimals(events, amounts)}
    for dataset, frame in frames.items():
        for amount in _AMOUNTS[dataset]:
            decimals = "decimals" if dataset == "tvl" else f"{amount.removesuffix('_amount')}_asset_decimals"
            wrong = frame.filter(other(pl.col(amount), scaled(f"{amount}_raw", decimals)))
            found.append(_doubt(dataset, AMOUNTS_DIFFER, wrong))
        table = _TABLES[dataset]
        stored = frame.select(table.columns)
        values = (
            tvl.value(stored, prices, how) if dataset == "tvl" else liquidations.value(stored, prices, amounts, how)
        )
        follows = [name for name in _FOLLOWS[dataset] if name not in _AMOUNTS[dataset]]
        found.append(_doubt(dataset, PRICES_DIFFER, _differing(stored, values, table, follows)))
        for asset in dict.fromkeys(_AMOUNTS[dataset].values()):
            rows = stored.select("csu", "date", "chain", pl.col(asset).alias("asset"))
            found.append(_doubt(dataset, QUOTES_DIFFER, rows.join(untold, on=_TOKEN_DAY, how="semi")))
    # By name the doubts are in the order of the trip: amounts, prices, quotes.
    return pl.concat(found).group_by("dataset", "csu", "date").agg(pl.col("doubt").min())


def _differing(stored: pl.DataFrame, again: pl.DataFrame, table: Table, columns: list[str]) -> pl.DataFrame:
    """The rows of `stored` that have other values in these columns than the row of the same key in `again`."""
    floats = {field.name for field in table.fields if field.dtype == "float64"}
    made = again.select(*table.key, *(pl.col(name).alias(f"_{name}") for name in columns))
    keys = list(table.key)
    if stored.select(keys).equals(made.select(keys)):  # as good as always: a join of a year's rows costs a second
        both = pl.concat([stored, made.drop(keys)], how="horizontal")
    else:
        both = stored.join(made, on=keys, how="left")
    differs = [
        other(pl.col(name), pl.col(f"_{name}")) if name in floats else pl.col(name).ne_missing(pl.col(f"_{name}"))
        for name in columns
    ]
    return both.filter(pl.any_horizontal(differs))


def _doubt(dataset: str, doubt: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.lit(dataset).alias("dataset"), "csu", "date", pl.lit(doubt).alias("doubt")).unique()


def _with_decimals(events: pl.DataFrame, amounts: pl.DataFrame) -> pl.DataFrame:
    """Events with the decimal places of both tokens: those that snapshots of the chain name, else what most events say.

    An event's row does not hold them; how often its whole number is its amount tells a power of ten.
    """
    said = amounts.select("chain", "asset", "decimals").unique().group_by("chain", "asset")
    named = said.agg(pl.col("decimals").max(), pl.len().alias("different")).filter(pl.col("different") == 1)
    for amount, asset in _AMOUNTS["liquidations"].items():
        name = f"{asset}_decimals"
        power = (pl.col(f"{amount}_raw").cast(pl.Float64) / pl.col(amount)).log10().round()
        of_events = (
            events.select("chain", pl.col(asset).alias("asset"), power.alias("power"))
            .filter(pl.col("power").is_between(0, 255))
            .group_by("chain", "asset")
            .agg(pl.col("power").mode().min().cast(pl.Int32))
        )
        known = of_events.join(named, on=["chain", "asset"], how="full", coalesce=True).select(
            "chain", pl.col("asset").alias(asset), pl.coalesce("decimals", "power").alias(name)
        )
        # Nothing is known of a token of which nothing was ever seized: its 0 is 0 at any scale.
        events = events.join(known, on=["chain", asset], how="left").with_columns(pl.col(name).fill_null(0))
    return events
