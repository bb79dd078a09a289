"""Gold table `daily_panel`: every expected market and day exactly once, with a reason where there is no number. No I/O."""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.table import Field, Table

STATUSES = ("ok", "missing_price", "not_deployed", "unsupported_family", "no_archive", "failed", "pending", "suspect")

DAILY_PANEL = Table(
    name="daily_panel",
    layer="gold",
    grain="one market on one day, over the expected key set (balanced)",
    key=("csu", "date"),
    fields=(
        Field("date", "date", "day, by the day boundary of the run"),
        Field("csu", "text", "market"),
        Field(
            "total_tvl_usd",
            "float64",
            "net TVL: cash + collateral that is not lent out",
            unit="USD",
            null=True,
            minimum=0,
        ),
        Field("total_supplied_usd", "float64", "gross TVL: all deposits", unit="USD", null=True, minimum=0),
        Field("total_borrowed_usd", "float64", "all debt", unit="USD", null=True, minimum=0),
        Field(
            "utilization_rate", "float64", "borrowed / supplied; null when nothing is supplied", null=True, minimum=0
        ),
        Field("num_assets", "int32", "assets listed at the snapshot", null=True, minimum=0),
        Field("liquidations_usd", "float64", "debt repaid by liquidators that day", unit="USD", null=True, minimum=0),
        Field("liquidation_count", "int32", "liquidation events that day", null=True, minimum=0),
        Field("collateral_usd", "float64", "collateral that is not lent out", unit="USD", null=True, minimum=0),
        Field("priced_share", "float64", "assets with a price / assets", null=True, minimum=0, maximum=1),
        Field("status", "text", "why the TVL columns are what they are", allowed=STATUSES),
        Field("liquidations_status", "text", "why the liquidation columns are what they are", allowed=STATUSES),
        Field("chain", "text", "chain of the market"),
        Field("family", "text", "protocol family"),
        Field("protocol", "text", "protocol"),
    ),
    doc="The balanced daily panel of lending markets.",
    methodology="Sums run over the assets that have a price; `priced_share` and status `missing_price` say when some have "
    "none. A day that was asked and had no liquidation is 0; a day that was not asked, or a market that did not exist, is "
    "null with its reason. Liquidations are valued at the day's snapshot price.",
    publish_as="gold/daily_panel.parquet",
)

# The expected key set with what the ledger knows of it; states and reasons are null where nobody asked.
EXPECTED = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "chain": pl.String(),
        "family": pl.String(),
        "protocol": pl.String(),
        "tvl_state": pl.String(),
        "tvl_reason": pl.String(),
        "liq_state": pl.String(),
        "liq_reason": pl.String(),
    }
)


def build(tvl: pl.DataFrame, liquidations: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """Sum silver over the expected key set. Depends on the rows only, not on their order; sorted by csu and date."""
    assets = (
        tvl.sort("csu", "date", "asset")
        .group_by("csu", "date", maintain_order=True)
        .agg(
            (pl.col("cash_usd") + pl.col("collateral_usd")).sum().alias("total_tvl_usd"),
            pl.col("supplied_usd").sum().alias("total_supplied_usd"),
            pl.col("borrowed_usd").sum().alias("total_borrowed_usd"),
            pl.col("collateral_usd").sum(),
            pl.len().cast(pl.Int32).alias("num_assets"),
            pl.col("price").is_not_null().mean().alias("priced_share"),
        )
    )
    events = (
        liquidations.sort("csu", "date", "tx", "log_index")
        .group_by("csu", "date", maintain_order=True)
        .agg(
            pl.when(pl.col("debt_usd").is_not_null().any()).then(pl.col("debt_usd").sum()).alias("liquidations_usd"),
            pl.len().cast(pl.Int32).alias("liquidation_count"),
            pl.col("debt_usd").is_null().any().alias("unpriced_event"),
        )
    )
    joined = expected.join(assets, on=["csu", "date"], how="left").join(events, on=["csu", "date"], how="left")
    scanned = pl.col("liq_state").is_in(["done", "empty"])
    answered = pl.col("tvl_state").is_in(["done", "empty"])
    sums = ["total_tvl_usd", "total_supplied_usd", "total_borrowed_usd", "collateral_usd", "num_assets", "priced_share"]
    some_price = pl.col("priced_share") > 0
    frame = joined.with_columns(
        _status("tvl", pl.col("priced_share").fill_null(1.0) < 1).alias("status"),
        _status("liq", pl.col("unpriced_event").fill_null(False)).alias("liquidations_status"),
        *(pl.when(answered).then(pl.col(name)).alias(name) for name in sums),
        pl.when(scanned).then(pl.col("liquidation_count").fill_null(0)).alias("liquidation_count"),
        pl.when(scanned & pl.col("liquidation_count").is_null())
        .then(0.0)  # asked, and nothing happened
        .when(scanned)
        .then(pl.col("liquidations_usd"))  # null when no event of the day has a price
        .alias("liquidations_usd"),
    ).with_columns(
        *(pl.when(some_price).then(pl.col(name)).alias(name) for name in sums if name.endswith("_usd")),
    )
    supplied = pl.col("total_supplied_usd")
    frame = frame.with_columns(
        pl.when(supplied > 0).then(pl.col("total_borrowed_usd") / supplied).alias("utilization_rate")
    )
    return frame.select(DAILY_PANEL.columns).cast(DAILY_PANEL.polars_schema()).sort("csu", "date")


def _status(side: str, unpriced: pl.Expr) -> pl.Expr:
    """The reason code of one side: zero, missing and not-deployed never share one."""
    state, reason = pl.col(f"{side}_state"), pl.col(f"{side}_reason")
    return (
        pl.when(state.is_in(["done", "empty"]) & unpriced)
        .then(pl.lit("missing_price"))
        .when(state.is_in(["done", "empty"]))
        .then(pl.lit("ok"))
        .when((state == "gone") & reason.is_in(["not_deployed", "unsupported_family", "no_archive"]))
        .then(reason)
        .when((state == "gone") | ((state == "failed") & (reason != "not_yet")))
        .then(pl.lit("failed"))
        .otherwise(pl.lit("pending"))
    )
