"""Gold table `daily_panel`: every expected market and day exactly once, with a reason where there is no number. No I/O.

Where a sum is no total (`gold.totals`), every total of that side is null and the sum of the rest has a name of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.entry import NOT_YET
from cryptolake.contracts.grades import EVIDENCE
from cryptolake.contracts.states import DOUBTS, STATE_DOCS, STATES
from cryptolake.contracts.table import Field, Table
from cryptolake.gold.flagged_markets import TABLE as FLAGGED_MARKETS
from cryptolake.gold.left_out import doubts, left_out, named
from cryptolake.gold.suspect import LIQUIDATIONS_SUSPECT, TVL_SUSPECT, flagged
from cryptolake.gold.totals import OWN_SUMS, PARTIAL, SUMS, bounded, of_assets, of_events

# What the states mean for the numbers of a row. Zero, missing and not-deployed never share one.
STATUS_CODES: dict[str, str] = {
    **{state: STATE_DOCS[state] for state in STATES},
    "ok": "answered, and at most 0.1 % of its value lacks a price",
    "missing_price": "answered, but more than 0.1 % of its value may lack a price: totals are null, the `priced_` sums are not",
    "suspect": "answered, but contradicted by another endpoint or odd (see `flags`); the numbers are kept as they are",
    "not_deployed": "the market did not exist yet",
    "pending": "not answered yet, or the answers are not in the tables yet",
}

INPUTS = ("tvl", "liquidations", "market_days", "flagged_markets")
TABLE = Table(
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
            "net TVL: what lies in the market, cash + collateral that is not lent out",
            unit="USD",
            null=True,
            minimum=0,
        ),
        Field("total_supplied_usd", "float64", "all deposits that lenders can claim", unit="USD", null=True, minimum=0),
        Field(
            "total_borrowed_usd",
            "float64",
            "all debt, also of assets minted when they are borrowed",
            unit="USD",
            null=True,
            minimum=0,
        ),
        Field(
            "utilization_rate",
            "float64",
            "borrowed / supplied; null when nothing is supplied. Minted assets are borrowed without being supplied: with them "
            "the rate may exceed 1",
            null=True,
            minimum=0,
        ),
        Field("num_assets", "int32", "assets listed at the snapshot", null=True, minimum=0),
        Field("liquidations_usd", "float64", "debt repaid by liquidators that day", unit="USD", null=True, minimum=0),
        Field("liquidation_count", "int32", "liquidation events that day", null=True, minimum=0),
        Field(
            "liquidations_dust_count",
            "int32",
            "events that repaid less than 5 USD, within the count",
            null=True,
            minimum=0,
        ),
        Field("collateral_seized_usd", "float64", "collateral taken by liquidators", unit="USD", null=True, minimum=0),
        Field(
            "gross_tvl_usd",
            "float64",
            "gross TVL: deposits + collateral that is not lent out, whether lent on or not",
            unit="USD",
            null=True,
            minimum=0,
        ),
        Field("cash_usd", "float64", "deposits that are not lent out", unit="USD", null=True, minimum=0),
        Field("collateral_usd", "float64", "collateral that is not lent out", unit="USD", null=True, minimum=0),
        Field(
            "unfiltered_tvl_usd",
            "float64",
            "net TVL with what the other totals leave out (`excluded`)",
            unit="USD",
            null=True,
            minimum=0,
            added=True,
        ),
        Field(
            "excluded",
            "text",
            "what the totals leave out: reason and start of the id, joined by `;`, see `flagged_markets`; null: nothing",
            null=True,
            added=True,
        ),
        Field("priced_share", "float64", "assets with a price / assets", null=True, minimum=0, maximum=1),
        Field(
            "priced_value_share",
            "float64",
            "value with a price / all value; what has none counts at most what its last price gives, or 1,000,000 USD a token",
            null=True,
            minimum=0,
            maximum=1,
            added=True,
        ),
        *(
            Field(name, "float64", doc, unit="USD", null=True, minimum=0, added=True)
            for name, doc in (
                ("priced_tvl_usd", "net TVL of the assets that have a price; the total only where that is not null"),
                ("priced_supplied_usd", "deposits of the assets that have a price"),
                ("priced_borrowed_usd", "debt in the assets that have a price"),
                ("priced_liquidations_usd", "debt repaid by liquidators in the assets that have a price"),
            )
        ),
        Field("price_age_s_max", "float64", "age of the oldest price used", unit="s", null=True, minimum=0),
        Field("status", "text", "why the TVL columns are what they are", allowed=STATES),
        Field("liquidations_status", "text", "why the liquidation columns are what they are", allowed=STATES),
        Field("flags", "text", "what looks wrong, codes joined by `;`, empty when nothing does"),
        Field("reason", "text", "why `status` is not ok, a code; null where it is", null=True, added=True),
        Field(
            "liquidations_reason",
            "text",
            "why `liquidations_status` is not ok, a code; null where it is",
            null=True,
            added=True,
        ),
        Field(
            "tvl_evidence",
            "text",
            "how far the TVL answer is proven, and what the chain said of its prices; null where there is none",
            null=True,
            allowed=EVIDENCE,
            added=True,
        ),
        Field(
            "liquidations_evidence",
            "text",
            "how far it is proven that no liquidation is missing, and what the chain said of their prices; null where there is "
            "no answer",
            null=True,
            allowed=EVIDENCE,
            added=True,
        ),
        Field(
            "total_tvl_own_usd",
            "float64",
            "net TVL at the market's own oracle alone, to check `total_tvl_usd` by; null unless that prices every asset held",
            unit="USD",
            null=True,
            minimum=0,
            added=True,
        ),
        Field("block", "int64", "snapshot block", null=True, minimum=0),
        Field("block_time", "timestamp", "timestamp of that block", unit="UTC", null=True),
        Field("chain", "text", "chain of the market"),
        Field("family", "text", "protocol family"),
        Field("protocol", "text", "protocol"),
    ),
    doc="The balanced daily panel of lending markets.",
    methodology="A total is null (status `missing_price`) where what has no price may be more than 0.1 % of the market's value "
    "(of the day's liquidations), bounded by the asset's last price in this market, and by 1,000,000 USD a token for one that "
    "never had any; the sums of what has a price are the `priced_` columns. An asset is valued at the price that all markets "
    "share, else at the market's own oracle (silver `tvl`); `total_tvl_own_usd` is the same at the market's own oracle "
    "throughout. A market that holds nothing is 0, and so is a day that was asked and had no liquidation; a day that was not "
    "asked, or a market that did not exist, is null with its reason. Liquidations are valued at the day's snapshot price. TVL "
    "and liquidations of a row cover the same day: the snapshot block is the last block of the window that was scanned. "
    "Nothing is filled forward. Totals leave out what the table `exclusions` names and nothing else, an isolated market by its "
    "own deposits and debt; `unfiltered_tvl_usd` leaves out nothing, and liquidations are all counted.",
    publish_as="gold/daily_panel.parquet",
)

# What `build` needs of silver; the rest need not be read.
_TVL_COLUMNS = (
    *("csu", "date", "asset", "supplied", "borrowed", "cash", "collateral", "price", "price_source", "price_age_s"),
    *("price_flag", "own_price", "highest_price"),
    *("supplied_usd", "borrowed_usd", "cash_usd", "collateral_usd", "block", "block_time"),
    *("cash_own_usd", "collateral_own_usd"),
)
_LIQUIDATION_COLUMNS = (
    *("chain", "tx", "log_index", "csu", "date", "debt_asset", "debt_amount", "debt_usd", "debt_own_usd"),
    *(
        "collateral_asset",
        "collateral_amount",
        "collateral_usd",
        "collateral_own_usd",
        "price_source",
        "price_flag",
        "is_dust",
    ),
)

COLUMNS = {"tvl": _TVL_COLUMNS, "liquidations": _LIQUIDATION_COLUMNS}

# The expected key set (`market_days`) with what the ledger knows of it; states and reasons are null where nobody asked.
EXPECTED = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "chain": pl.String(),
        "family": pl.String(),
        "protocol": pl.String(),
        "tvl_state": pl.String(),
        "tvl_reason": pl.String(),
        "tvl_grade": pl.String(),
        "liq_state": pl.String(),
        "liq_reason": pl.String(),
        "liq_grade": pl.String(),
    }
)


def build(
    tvl: pl.DataFrame,
    liquidations: pl.DataFrame,
    expected: pl.DataFrame,
    flagged_markets: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Sum silver over the expected key set. Depends on the rows only, not on their order; sorted by csu and date.

    `flagged_markets` (its contract; None: nothing) says what totals leave out and what looks wrong.
    """
    doubted = FLAGGED_MARKETS.empty() if flagged_markets is None else flagged_markets
    counted = left_out(tvl, doubted)
    rows = bounded(counted)
    joined = expected
    for part in (of_assets(rows), of_events(liquidations, rows), named(doubted), doubts(counted, doubted)):
        joined = joined.join(part, on=["csu", "date"], how="left")
    scanned = pl.col("liq_state").is_in(["done", "empty"])
    answered = pl.col("tvl_state").is_in(["done", "empty"])
    nothing_held = pl.col("num_assets").is_null() & (pl.col("tvl_state") == "empty")
    nothing_happened = pl.col("liquidation_count").is_null()
    facts = ("excluded", "num_assets", "priced_share", "priced_value_share", "price_age_s_max", "block", "block_time")
    sums = (*SUMS, *OWN_SUMS)
    frame = (
        joined.with_columns(pl.when(nothing_held).then(0.0).otherwise(pl.col(name)).alias(name) for name in sums)
        .with_columns(
            pl.when(nothing_held).then(0.0).otherwise("unfiltered_tvl_usd").alias("unfiltered_tvl_usd"),
            pl.when(nothing_held).then(0).otherwise(pl.col("num_assets")).cast(pl.Int32).alias("num_assets"),
            pl.when(nothing_held).then(1.0).otherwise(pl.col("priced_value_share")).alias("priced_value_share"),
            pl.when(scanned & nothing_happened)
            .then(0.0)
            .otherwise(pl.col("liquidations_usd"))
            .alias("liquidations_usd"),
            pl.when(scanned & nothing_happened)
            .then(0.0)
            .otherwise("collateral_seized_usd")
            .alias("collateral_seized_usd"),
            pl.col("summable").fill_null(nothing_held),
            pl.col("unpriced", "unpriced_debt", "unpriced_collateral").fill_null(False),
        )
        .with_columns(
            *(pl.when(answered).then(pl.col(name)).alias(name) for name in (*facts, *OWN_SUMS)),
            *(
                pl.when(answered & pl.col("summable")).then(pl.col(total)).alias(partial)
                for partial, total in PARTIAL.items()
                if total in SUMS
            ),
            pl.when(answered & ~pl.col("unfiltered_unpriced").fill_null(False))
            .then("unfiltered_tvl_usd")
            .alias("unfiltered_tvl_usd"),
            pl.when(scanned).then("liquidations_usd").alias("priced_liquidations_usd"),
            *(
                pl.when(scanned).then(pl.col(name).fill_null(0)).alias(name)
                for name in ("liquidation_count", "liquidations_dust_count")
            ),
        )
        .with_columns(
            *(pl.when(answered & pl.col("summable") & ~pl.col("unpriced")).then(pl.col(n)).alias(n) for n in SUMS),
            pl.when(scanned & ~pl.col("unpriced_debt")).then("liquidations_usd").alias("liquidations_usd"),
            pl.when(scanned & ~pl.col("unpriced_collateral"))
            .then("collateral_seized_usd")
            .alias("collateral_seized_usd"),
        )
        .sort("csu", "date")
        .pipe(flagged)
        .with_columns(
            _status("tvl", pl.col("unpriced"), TVL_SUSPECT).alias("status"),
            _status("liq", pl.col("unpriced_debt") | pl.col("unpriced_collateral"), LIQUIDATIONS_SUSPECT).alias(
                "liquidations_status"
            ),
            pl.when(answered).then("tvl_grade").alias("tvl_evidence"),
            pl.when(scanned).then("liq_grade").alias("liquidations_evidence"),
        )
        .with_columns(
            _reason("tvl", "status", TVL_SUSPECT).alias("reason"),
            _reason("liq", "liquidations_status", LIQUIDATIONS_SUSPECT).alias("liquidations_reason"),
            pl.when(pl.col("total_supplied_usd") > 0)
            .then(pl.col("total_borrowed_usd") / pl.col("total_supplied_usd"))
            .alias("utilization_rate"),
        )
    )
    return frame.select(TABLE.columns).cast(TABLE.polars_schema()).sort("csu", "date")


def _status(side: str, unpriced: pl.Expr, suspicious: Sequence[str]) -> pl.Expr:
    """The state of one side, the worst that holds: zero, missing and not-deployed never share one."""
    state, reason = pl.col(f"{side}_state"), pl.col(f"{side}_reason")
    answered = state.is_in(["done", "empty"])
    return (
        pl.when(state.is_null())
        .then(pl.lit("not_asked"))
        .when(answered & (reason.is_in(DOUBTS).fill_null(False) | _flagged(suspicious)))
        .then(pl.lit("suspect"))
        .when(answered & unpriced)
        .then(pl.lit("missing_price"))
        .when(answered)
        .then(pl.lit("ok"))
        .when((state == "gone") & (reason == "not_deployed"))
        .then(reason)
        .when((state == "gone") | ((state == "failed") & reason.ne_missing(NOT_YET)))
        .then(pl.lit("failed"))
        .otherwise(pl.lit("pending"))
    )


def _reason(side: str, status: str, suspicious: Sequence[str]) -> pl.Expr:
    """Why a side's state is not ok, a code; null where it is: the ledger's or evidence's, the flags that made it suspect."""
    state, said = pl.col(status), pl.col(f"{side}_reason")
    flags = pl.col("flags").str.split(";").list.set_intersection(list(suspicious)).list.sort().list.join(";")
    unpriced = (
        pl.when(pl.col("dead_token").fill_null(False)).then(pl.lit(DEAD)).otherwise(pl.lit("unpriced_asset"))
        if side == "tvl"
        else pl.lit("unpriced_event")
    )
    return (
        pl.when(state == "missing_price")
        .then(unpriced)
        .when((state == "suspect") & ~said.is_in(DOUBTS).fill_null(False))
        .then(flags)
        .when(state != "ok")
        .then(pl.coalesce(said, state))
    )


def _flagged(suspicious: Sequence[str]) -> pl.Expr:
    return pl.col("flags").str.split(";").list.eval(pl.element().is_in(suspicious)).list.any()
