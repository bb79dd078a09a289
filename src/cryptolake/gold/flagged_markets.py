"""Gold table `flagged_markets`: the isolated markets and tokens that totals leave out, and those that look wrong. No I/O.

Left out is only what the table `exclusions` names. What looks wrong by the numbers of that day and the days before is
flagged and stays in the totals; much of it makes the market's day `suspect` (`gold.left_out`):

    self_dealt      the collateral has no price but the market's own, and market or collateral are notable
    stuck_debt      all is lent out and interest compounds, untouched for a week or at the end of every day of a week
    insolvent       all of the collateral token in the contract is worth less than the debt, by the own or an outside price
    frozen_oracle   the market's own price stood still for a week in which outside prices moved
    overpriced      its own price of the collateral is more than a tenth above the outside one: whoever lends there lends to
                    themselves, or is about to lose it
    own_price_only  a token held that only a market's own oracle prices

What does not belong here: taking amounts out of totals (`gold.left_out`).
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.market_flags import OF_TOKENS
from cryptolake.contracts.table import Field, Table

OWN = "protocol_oracle"  # the price source that is a market's own oracle

# Of the market's deposits and collateral. Less is not worth a row; thousands of such parts make no large one.
_NOTABLE = 1e-5
_TOP = 0.98  # utilization from which nothing is left to withdraw
_DAYS = 7  # so long nothing moved
_MOVED = 0.05  # an outside price that moved more than this did move
_OVER = 0.1  # so much more than the outside price no oracle says that lags, or leaves out a discount

INPUTS = ("tvl", "isolated_markets", "exclusions")
COLUMNS = {
    "tvl": (
        *("csu", "date", "asset", "symbol", "supplied", "borrowed", "collateral", "price", "price_source"),
        *("supplied_usd", "borrowed_usd", "cash_usd", "collateral_usd", "block_time"),
    )
}
TABLE = Table(
    name="flagged_markets",
    layer="gold",
    grain="one isolated market or token of one market on one day that is left out or looks wrong",
    key=("csu", "date", "kind", "id"),
    fields=(
        Field("date", "date", "day, by the day boundary of the run"),
        Field("csu", "text", "market"),
        Field("kind", "text", "what the row is about", allowed=("market", "token")),
        Field("id", "text", "id of the isolated market, or address of the token"),
        Field("loan_asset", "text", "token that is lent, or the token itself, address, EIP-55"),
        Field("loan_symbol", "text", "its symbol"),
        Field("collateral_asset", "text", "token that is pledged, address, EIP-55", null=True),
        Field("collateral_symbol", "text", "its symbol", null=True),
        Field("supplied", "float64", "deposits", unit="loan tokens", minimum=0),
        Field("borrowed", "float64", "debt", unit="loan tokens", minimum=0),
        Field("supplied_usd", "float64", "deposits at the day's price", unit="USD", null=True, minimum=0),
        Field("borrowed_usd", "float64", "debt at the day's price", unit="USD", null=True, minimum=0),
        Field(
            "pledged_own_usd",
            "float64",
            "all of the collateral token that the contract holds, by the isolated market's own price; of a token its worth",
            unit="USD",
            null=True,
            minimum=0,
        ),
        Field(
            "share", "float64", "the larger of both / all deposits and collateral of the market", null=True, minimum=0
        ),
        Field("flags", "text", "what looks wrong, codes joined by `;`, empty when nothing does"),
        Field("excluded", "text", "why it is left out of totals, see `exclusions.reason`; null: it is not", null=True),
        Field("excluded_by", "text", "what the list names: itself, its token or its oracle", null=True),
        Field(
            "collateral_excluded",
            "bool",
            "whether the pledged token is left out too: every isolated market that takes it is, so that it lies in none else",
        ),
        Field("why", "text", "the facts for which it is left out, as the list states them", null=True),
    ),
    doc="What totals leave out and what looks wrong inside permissionless lending markets.",
    methodology="Flags look at that day and the days before it, never at later ones, and never take anything out of a total. "
    "How much of a token is pledged in which isolated market is not known where several take it; then all of it is taken "
    "for the most that can lie in one. That one person lends to themselves cannot be seen in a snapshot: `self_dealt` says "
    "that nobody else's word stands behind the market's value, and `overpriced` that everybody else's stands against it.",
)

_KEY = ["csu", "date"]


def build(tvl: pl.DataFrame, isolated_markets: pl.DataFrame, exclusions: pl.DataFrame) -> pl.DataFrame:
    """The rows of the table, sorted by its key. Depends on the rows only, not on their order."""
    gross = (
        tvl.sort(*_KEY, "asset")
        .group_by(_KEY, maintain_order=True)
        .agg((pl.col("supplied_usd") + pl.col("collateral_usd")).sum().alias("gross_usd"), pl.col("block_time").max())
    )
    markets = _judged(_priced(isolated_markets, tvl).join(gross, on=_KEY, how="left"))
    rows = [_markets(_named(markets, exclusions)), _tokens(tvl, gross, isolated_markets, exclusions)]
    return pl.concat([one.select(TABLE.columns).cast(TABLE.polars_schema()) for one in rows]).sort(TABLE.key)


def _priced(isolated: pl.DataFrame, tvl: pl.DataFrame) -> pl.DataFrame:
    """With the day's price of both tokens, null where there is none, and which of it is somebody else's word."""
    prices = tvl.select(*_KEY, "asset", "price", pl.col("price_source").ne_missing(OWN).alias("outside"))
    for side in ("loan", "collateral"):
        of_side = prices.rename({"asset": f"{side}_asset", "price": f"{side}_price", "outside": f"{side}_outside"})
        isolated = isolated.join(of_side, on=[*_KEY, f"{side}_asset"], how="left")
    outside = [
        (pl.col(f"{side}_outside") & pl.col(f"{side}_price").is_not_null()).fill_null(False).alias(f"{side}_outside")
        for side in ("loan", "collateral")
    ]
    loan = pl.col("loan_price")
    return isolated.with_columns(
        *outside,
        (pl.col("supplied") * loan).alias("supplied_usd"),
        (pl.col("borrowed") * loan).alias("borrowed_usd"),
        (pl.col("pledged") * pl.col("own_price") * loan).alias("pledged_own_usd"),
    )


def _judged(markets: pl.DataFrame) -> pl.DataFrame:
    """With `share` and `flags`."""
    ratio = pl.col("collateral_price") / pl.col("loan_price")
    outside_ratio = pl.when(pl.col("collateral_outside") & pl.col("loan_outside")).then(ratio)
    week = (
        markets.with_columns(outside_ratio.alias("outside_ratio"))
        .sort("csu", "market", "date")
        .rolling("date", period=f"{_DAYS}d", group_by=["csu", "market"])
        .agg(
            pl.len().alias("days"),
            (pl.col("utilization") >= _TOP).all().alias("at_the_top"),
            ((pl.col("own_price").n_unique() == 1) & pl.col("own_price").is_not_null().all()).alias("stood_still"),
            (pl.col("outside_ratio").max() / pl.col("outside_ratio").min() - 1).alias("moved"),
        )
    )
    whole_week = pl.col("days") == _DAYS
    untouched = pl.col("block_time") - pl.col("touched_at") >= pl.duration(days=_DAYS)
    owed, pledged = pl.col("borrowed"), pl.col("pledged")
    outside_worth = pl.when(pl.col("collateral_outside")).then(pledged * pl.col("collateral_price"))
    share = pl.max_horizontal("supplied_usd", "pledged_own_usd") / pl.col("gross_usd")
    rules = {
        "self_dealt": (pledged > 0) & ~pl.col("collateral_outside") & (share > _NOTABLE),
        "stuck_debt": (owed > 0)
        & pl.col("rate_model").is_not_null()
        & (pl.col("utilization") >= _TOP)
        & (untouched | (whole_week & pl.col("at_the_top"))),
        "insolvent": (owed > 0)
        & pledged.is_not_null()
        & (
            (pledged == 0)
            | (pledged * pl.col("own_price") < owed).fill_null(False)
            | (outside_worth < pl.col("borrowed_usd")).fill_null(False)
        ),
        "frozen_oracle": whole_week & pl.col("stood_still") & (pl.col("moved") > _MOVED),
        "overpriced": (owed > 0) & (pl.col("own_price") > (1 + _OVER) * outside_ratio),
    }
    return markets.join(week, on=["csu", "market", "date"], how="left").with_columns(
        pl.when(pl.col("gross_usd") > 0).then(share).alias("share"),
        pl.concat_list(pl.when(rule.fill_null(False)).then(pl.lit(code)) for code, rule in rules.items())
        .list.drop_nulls()
        .list.join(";")
        .alias("flags"),
    )


def _in_force(exclusions: pl.DataFrame, kind: str, column: str) -> pl.DataFrame:
    """The named ones of a kind by market and `column`, with the days on which they are left out."""
    return exclusions.filter(pl.col("kind") == kind).select(
        "csu", pl.col("id").alias(column), "first_day", "last_day", pl.col("reason"), pl.col("why")
    )


def _dated(rows: pl.DataFrame, exclusions: pl.DataFrame, kind: str, column: str) -> pl.DataFrame:
    """Key, reason, why and what is named for the rows that a named one of this kind leaves out on their day."""
    key = [*_KEY, "market" if "market" in rows.columns else "asset"]
    return (
        rows.select(list(dict.fromkeys([*key, column])))
        .join(_in_force(exclusions, kind, column), on=["csu", column], how="inner")
        .filter(
            (pl.col("date") >= pl.col("first_day"))
            & (pl.col("last_day").is_null() | (pl.col("date") <= pl.col("last_day")))
        )
        .sort(*key, "first_day")
        .unique(key, keep="first", maintain_order=True)
        .select(
            *key,
            pl.col("reason").alias("excluded"),
            "why",
            (pl.lit(f"{kind} ") + pl.col(column)).alias("excluded_by"),
        )
    )


def _named(markets: pl.DataFrame, exclusions: pl.DataFrame) -> pl.DataFrame:
    """The markets with what the list says of them or of their oracle, and whether it leaves out every taker of the pledged."""
    said = pl.concat(
        [_dated(markets, exclusions, "market", "market"), _dated(markets, exclusions, "oracle", "oracle")]
    ).unique([*_KEY, "market"], keep="first", maintain_order=True)
    together = [*_KEY, "collateral_asset"]
    left_out = pl.col("excluded").is_not_null().sum().over(together)
    return markets.join(said, on=[*_KEY, "market"], how="left").with_columns(
        (
            pl.col("excluded").is_not_null() & pl.col("collateral_asset").is_not_null() & (left_out == pl.col("takers"))
        ).alias("collateral_excluded")
    )


def _markets(markets: pl.DataFrame) -> pl.DataFrame:
    return markets.filter((pl.col("flags") != "") | pl.col("excluded").is_not_null()).with_columns(
        pl.lit("market").alias("kind"), pl.col("market").alias("id")
    )


def _tokens(tvl: pl.DataFrame, gross: pl.DataFrame, isolated: pl.DataFrame, exclusions: pl.DataFrame) -> pl.DataFrame:
    """The tokens that the list names, and those in permissionless markets that only such a market's oracle prices."""
    anyone = isolated.select(_KEY).unique().with_columns(pl.lit(True).alias("anyone"))
    held = pl.col("supplied_usd") + pl.col("collateral_usd")
    rows = (
        tvl.join(_dated(tvl, exclusions, "token", "asset"), on=[*_KEY, "asset"], how="left")
        .join(anyone, on=_KEY, how="left")
        .join(gross.select(*_KEY, "gross_usd"), on=_KEY, how="left")
        .with_columns(pl.when(pl.col("gross_usd") > 0).then(held / pl.col("gross_usd")).alias("share"))
    )
    own = pl.col("anyone").fill_null(False) & (pl.col("price_source") == OWN) & (pl.col("share") > _NOTABLE)
    return rows.with_columns(
        pl.when(own.fill_null(False)).then(pl.lit(OF_TOKENS)).otherwise(pl.lit("")).alias("flags"),
        held.alias("pledged_own_usd"),
        pl.lit("token").alias("kind"),
        pl.col("asset").alias("id"),
        pl.col("asset").alias("loan_asset"),
        pl.col("symbol").alias("loan_symbol"),
        pl.lit(None, pl.String).alias("collateral_asset"),
        pl.lit(None, pl.String).alias("collateral_symbol"),
        pl.col("excluded").is_not_null().alias("collateral_excluded"),
    ).filter((pl.col("flags") != "") | pl.col("excluded").is_not_null())
