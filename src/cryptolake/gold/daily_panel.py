"""Gold table `daily_panel`: every expected market and day exactly once, with a reason where there is no number. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.entry import NOT_YET, SUSPECT
from cryptolake.contracts.grades import GRADES
from cryptolake.contracts.states import STATE_DOCS, STATES
from cryptolake.contracts.table import Field, Table
from cryptolake.gold.suspect import LIQUIDATIONS_SUSPECT, TVL_SUSPECT, flagged, with_frozen

# What the states mean for the numbers of a row. Zero, missing and not-deployed never share one.
STATUS_CODES: dict[str, str] = {
    **{state: STATE_DOCS[state] for state in STATES},
    "ok": "answered, and every asset that is held has a price",
    "missing_price": "answered, but some asset that is held has no price: sums run over the others",
    "suspect": "answered, but contradicted by another endpoint or odd (see `flags`); the numbers are kept as they are",
    "not_deployed": "the market did not exist yet",
    "pending": "not answered yet, or the answers are not in the tables yet",
}

INPUTS = ("tvl", "liquidations", "market_days")
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
        Field("total_borrowed_usd", "float64", "all debt", unit="USD", null=True, minimum=0),
        Field(
            "utilization_rate", "float64", "borrowed / supplied; null when nothing is supplied", null=True, minimum=0
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
        Field("priced_share", "float64", "assets with a price / assets", null=True, minimum=0, maximum=1),
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
            "how far the TVL answer is proven; null where there is none",
            null=True,
            allowed=GRADES,
            added=True,
        ),
        Field(
            "liquidations_evidence",
            "text",
            "how far it is proven that no liquidation is missing; null where there is no answer",
            null=True,
            allowed=GRADES,
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
    methodology="Sums run over the assets that have a price; `priced_share` and status `missing_price` say when some have "
    "none. An asset is valued at the price that all markets share, else at the market's own oracle (silver `tvl`); "
    "`total_tvl_own_usd` is the same at the market's own oracle throughout. A day that was asked and had no liquidation is 0; "
    "a day that was not asked, or a market that did not exist, is null with its reason. Liquidations are valued at the day's "
    "snapshot price. TVL and liquidations of a row cover the same day: the snapshot block is the last block of the window that "
    "was scanned. Nothing is filled forward.",
    publish_as="gold/daily_panel.parquet",
)

# What `build` needs of silver; the rest need not be read.
_TVL_COLUMNS = (
    *("csu", "date", "asset", "supplied", "borrowed", "cash", "collateral", "price", "price_age_s", "price_flag"),
    *("supplied_usd", "borrowed_usd", "cash_usd", "collateral_usd", "block", "block_time", "price_source", "own_price"),
    *("cash_own_usd", "collateral_own_usd", "highest_price"),
)
_LIQUIDATION_COLUMNS = (
    *("chain", "tx", "log_index", "csu", "date", "debt_usd", "collateral_usd", "is_dust"),
    *("price_flag", "debt_own_usd", "collateral_own_usd"),
)

_DOUBTED = ("disagrees", "stale")  # of a price that was taken all the same; where there is none nothing is weighed

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


def build(tvl: pl.DataFrame, liquidations: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """Sum silver over the expected key set. Depends on the rows only, not on their order; sorted by csu and date."""
    held = pl.max_horizontal("supplied", "borrowed", "cash", "collateral") > 0
    doubted = pl.col("price_flag").is_in(_DOUBTED).fill_null(value=False)
    assets = (
        with_frozen(tvl)
        .sort("csu", "date", "asset")
        .with_columns((_exposure() * pl.col("price")).alias("exposure_usd"), _exposure().alias("exposure"))
        .with_columns(
            (pl.col("exposure") * pl.max_horizontal("price", "own_price", "highest_price")).alias("larger_usd")
        )
        .group_by("csu", "date", maintain_order=True)
        .agg(
            (pl.col("cash_usd") + pl.col("collateral_usd")).sum().alias("total_tvl_usd"),
            pl.col("supplied_usd").sum().alias("total_supplied_usd"),
            pl.col("borrowed_usd").sum().alias("total_borrowed_usd"),
            (pl.col("supplied_usd") + pl.col("collateral_usd")).sum().alias("gross_tvl_usd"),
            pl.col("cash_usd").sum(),
            pl.col("collateral_usd").sum(),
            pl.len().cast(pl.Int32).alias("num_assets"),
            pl.col("price").is_not_null().mean().alias("priced_share"),
            pl.col("price_age_s").filter(pl.col("price").is_not_null()).abs().max().alias("price_age_s_max"),
            (pl.col("price").is_null() & held).any().alias("unpriced"),
            (pl.col("price").is_not_null() | ~held).any().alias("summable"),
            pl.col("exposure_usd").sum(),
            pl.col("larger_usd").filter(doubted).sum().alias("disagreeing_usd"),
            pl.col("larger_usd").filter("frozen").sum().alias("frozen_usd"),
            pl.when((pl.col("own_price").is_not_null() | ~held).all())
            .then((pl.col("cash_own_usd") + pl.col("collateral_own_usd")).sum())
            .alias("total_tvl_own_usd"),
            pl.col("block").max(),
            pl.col("block_time").max(),
        )
    )
    events = (
        liquidations.sort("csu", "date", "tx", "log_index")
        .with_columns(
            pl.max_horizontal(
                [f"{side}_{name}" for side in ("debt", "collateral") for name in ("usd", "own_usd")]
            ).alias("size_usd")
        )
        .group_by("csu", "date", maintain_order=True)
        .agg(
            pl.when(pl.col("debt_usd").is_not_null().any()).then(pl.col("debt_usd").sum()).alias("liquidations_usd"),
            pl.when(pl.col("collateral_usd").is_not_null().any())
            .then(pl.col("collateral_usd").sum())
            .alias("collateral_seized_usd"),
            pl.len().cast(pl.Int32).alias("liquidation_count"),
            pl.col("is_dust").fill_null(False).sum().cast(pl.Int32).alias("liquidations_dust_count"),
            pl.col("debt_usd").is_null().any().alias("unpriced_event"),
            pl.col("size_usd").sum().alias("events_usd"),
            pl.col("size_usd").filter(pl.col("price_flag").is_in(_DOUBTED)).sum().alias("disagreeing_events_usd"),
            *(
                pl.col(f"{side}_usd").filter(pl.col(f"{other}_usd").is_not_null()).sum().alias(f"{name}_of_priced_usd")
                for name, side, other in (("repaid", "debt", "collateral"), ("seized", "collateral", "debt"))
            ),
        )
    )
    joined = expected.join(assets, on=["csu", "date"], how="left").join(events, on=["csu", "date"], how="left")
    scanned = pl.col("liq_state").is_in(["done", "empty"])
    answered = pl.col("tvl_state").is_in(["done", "empty"])
    nothing = pl.col("liquidation_count").is_null()
    weights = ("disagreeing_usd", "frozen_usd", "exposure_usd")
    sums = [name for name in assets.columns if name.endswith("_usd") and name not in weights]
    facts = ["num_assets", "priced_share", "price_age_s_max", "block", "block_time"]
    frame = (
        joined.with_columns(
            *(pl.when(answered & pl.col("summable")).then(pl.col(name)).alias(name) for name in sums),
            *(pl.when(answered).then(pl.col(name)).alias(name) for name in facts),
            # asked, and nothing happened: zero; null when no event of the day has a price
            *(
                pl.when(scanned & nothing).then(0.0).when(scanned).then(pl.col(name)).alias(name)
                for name in ("liquidations_usd", "collateral_seized_usd")
            ),
            *(
                pl.when(scanned).then(pl.col(name).fill_null(0)).alias(name)
                for name in ("liquidation_count", "liquidations_dust_count")
            ),
        )
        .sort("csu", "date")
        .pipe(flagged)
        .with_columns(
            _status("tvl", pl.col("unpriced").fill_null(False), TVL_SUSPECT).alias("status"),
            _status("liq", pl.col("unpriced_event").fill_null(False), LIQUIDATIONS_SUSPECT).alias(
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


def _exposure() -> pl.Expr:
    """Tokens whose price matters: what was deposited or pledged, or what is owed where that is more (minted coins)."""
    return pl.max_horizontal(pl.col("supplied") + pl.col("collateral"), "borrowed")


def _status(side: str, unpriced: pl.Expr, suspicious: Sequence[str]) -> pl.Expr:
    """The state of one side, the worst that holds: zero, missing and not-deployed never share one."""
    state, reason = pl.col(f"{side}_state"), pl.col(f"{side}_reason")
    answered = state.is_in(["done", "empty"])
    return (
        pl.when(state.is_null())
        .then(pl.lit("not_asked"))
        .when(answered & ((reason == SUSPECT).fill_null(False) | _flagged(suspicious)))
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
    return (
        pl.when(state == "missing_price")
        .then(pl.lit("unpriced_asset" if side == "tvl" else "unpriced_event"))
        .when((state == "suspect") & said.ne_missing(SUSPECT))
        .then(flags)
        .when(state != "ok")
        .then(pl.coalesce(said, state))
    )


def _flagged(suspicious: Sequence[str]) -> pl.Expr:
    return pl.col("flags").str.split(";").list.eval(pl.element().is_in(suspicious)).list.any()
