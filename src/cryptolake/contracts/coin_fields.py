"""The columns of a coin, defined once for the silver and gold tables that share them. No table and no rule lives here."""

from __future__ import annotations

from cryptolake.contracts.table import Field

CATEGORIES = ("large_cap", "mid_cap", "small_cap", "unranked")
TRENDS = ("strong_gain", "moderate_gain", "moderate_loss", "strong_loss")
LIQUIDITY = ("high_liquidity", "medium_liquidity", "low_liquidity")

# NUMERIC without a size: the documented NUMERIC(20,8) turns a recorded price of 1.206e-09 into 0 and the documented
# NUMERIC(10,4) refuses a recorded percentage of 1.577e+37 (docs/decisions/0080).
NUMBER_SQL = "NUMERIC"


def number(name: str, doc: str, unit: str = "", minimum: float | None = None) -> Field:
    """A nullable number of any size and precision."""
    return Field(name, "float64", doc, unit=unit, null=True, minimum=minimum, sql=NUMBER_SQL)


VENDOR_FIELDS: tuple[Field, ...] = (
    Field("id", "text", "the vendor's coin id"),
    Field("symbol", "text", "ticker symbol, upper-cased; far from unique"),
    Field("name", "text", "name, trimmed"),
    Field("image", "text", "address of the logo", null=True),
    number("current_price", "price", "USD", 0),
    number("market_cap", "market capitalisation; the vendor writes 0 where it knows no supply", "USD", 0),
    Field(
        "market_cap_rank",
        "int32",
        "rank by market capitalisation; null (not 999) for an unranked coin",
        null=True,
        minimum=1,
    ),
    number("total_volume", "traded in the last 24 hours", "USD", 0),
    number("high_24h", "highest price of the last 24 hours", "USD", 0),
    number("low_24h", "lowest price of the last 24 hours", "USD", 0),
    number("price_change_24h", "price change over 24 hours", "USD"),
    number("price_change_percentage_24h", "the same in percent", "%"),
    number("market_cap_change_24h", "market capitalisation change over 24 hours", "USD"),
    number("market_cap_change_percentage_24h", "the same in percent", "%"),
    number("circulating_supply", "coins in circulation", "coins", 0),
    number("total_supply", "coins in existence; null where unknown (not 0)", "coins", 0),
    number("max_supply", "most coins there can ever be; null where unlimited or unknown (not 0)", "coins", 0),
    number("ath", "highest price ever", "USD", 0),
    number("atl", "lowest price ever", "USD", 0),
    number("ath_change_percentage", "change since the highest price, as the vendor says", "%"),
    number("atl_change_percentage", "change since the lowest price, as the vendor says", "%"),
    Field("ath_date", "timestamp", "when the highest price was", unit="UTC", null=True),
    Field("atl_date", "timestamp", "when the lowest price was", unit="UTC", null=True),
    Field("last_updated", "timestamp", "when the vendor last refreshed this coin", unit="UTC", null=True),
)
PROCESSED_AT = Field("processed_at", "timestamp", "when the run that brought this row asked the vendor", unit="UTC")
RECORD_HASH = Field("record_hash", "int64", "first 8 bytes of SHA-256 over the vendor's columns without `last_updated`")
FULLY_DILUTED_VALUATION = number(
    "fully_diluted_valuation", "price x max (or total) supply, as the vendor says", "USD", 0
)
MARKET_DOMINANCE = number(
    "market_dominance_pct", "share of the summed market capitalisation of this table's coins", "%", 0
)
MARKET_DOMINANCE_GLOBAL = number(
    "market_dominance_global_pct", "share of the whole market's capitalisation; null when that was not answered", "%", 0
)
PRICE_TREND = Field(
    "price_trend_category",
    "text",
    "24-hour change: above 10 % strong_gain, above 0 moderate_gain, above -10 % moderate_loss (0 too), else strong_loss",
    null=True,
    allowed=TRENDS,
)
MARKET_CAP_CATEGORY = Field(
    "market_cap_category",
    "text",
    "by rank: to 10 large_cap, to 50 mid_cap, beyond small_cap; no rank unranked",
    allowed=CATEGORIES,
)
LIQUIDITY_CATEGORY = Field(
    "liquidity_category",
    "text",
    "volume / capitalisation: above 0.5 high_liquidity, above 0.1 medium_liquidity, else low_liquidity",
    null=True,
    allowed=LIQUIDITY,
)

VOLATILITY = number("price_volatility_24h", "(high - low) / price over 24 hours", "%")
DISTANCE_FROM_ATH = number("distance_from_ath_pct", "(price - highest ever) / highest ever", "%")
VOLUME_TO_MCAP = number("volume_to_mcap_ratio", "24-hour volume / market capitalisation", "", 0)

COIN_FIELDS: tuple[Field, ...] = (
    *VENDOR_FIELDS,
    MARKET_CAP_CATEGORY,
    VOLATILITY,
    DISTANCE_FROM_ATH,
    VOLUME_TO_MCAP,
    PROCESSED_AT,
    RECORD_HASH,
    FULLY_DILUTED_VALUATION,
    PRICE_TREND,
    LIQUIDITY_CATEGORY,
    MARKET_DOMINANCE,
    MARKET_DOMINANCE_GLOBAL,
)
