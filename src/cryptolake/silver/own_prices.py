"""What a market's own oracle says in dollars, and which price a row of that market gets: the shared one or its own. Pure.

A market's oracle prices the rows of that market and nothing else, where the shared table `prices` has no price of the
token (or where the ladder names `protocol_oracle` before the source that was taken). So no market can move another's
figures, and a market's figures are the same whatever other markets are in the lake. What does not belong here: which
shared price a token has (`prices`), and the columns that the tables make of it (`tvl`, `liquidations`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.silver.prices import SAME, Pricing
from cryptolake.silver.quotes import ORACLE

_LARGEST = 1e150  # an absurd price, times the largest amount that a chain can state, must still be a number
_HOPS = 3  # tokens of one market that its oracle quotes in each other; what goes in circles ends without a price
_USE = ["csu", "date", "quote"]
_WORTH = ("numeraire_usd", "numeraire_age_s")


def uses(frames: Iterable[tuple[pl.DataFrame, str]]) -> pl.DataFrame:
    """What markets' oracles quote in, but for dollars (csu, date, chain, quote), given each frame and its quote's column."""
    found = [
        frame.filter(pl.col(quote) != "usd").select("csu", "date", "chain", pl.col(quote).alias("quote")).unique()
        for frame, quote in frames
    ]
    return pl.concat(found).unique()


def worth(used: pl.DataFrame, held: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """What each of `used` is in dollars: csu, date, quote, numeraire_usd, numeraire_age_s; those without a price are not there.

    By the shared price, else through what the same market's oracle says of that token in its snapshot (`held`).
    """
    shared = prices.filter(pl.col("price").is_not_null()).select(
        "date",
        "chain",
        pl.col("asset").alias("in"),
        pl.col("price").alias("in_usd"),
        pl.col("price_age_s").abs().alias("numeraire_age_s"),
    )
    left = used.with_columns(pl.col("quote").alias("in"), pl.lit(1.0).alias("rate"))
    said = held.select("csu", "date", pl.col("asset").alias("in"), "oracle_price", "oracle_quote").filter(
        pl.col("oracle_price").is_not_null()
    )
    found = [pl.DataFrame(schema={**{name: used.schema[name] for name in _USE}, **dict.fromkeys(_WORTH, pl.Float64)})]
    for hop in range(_HOPS + 1):
        dollars = pl.col("in") == "usd"
        priced = left.join(shared, on=["date", "chain", "in"], how="left").with_columns(
            pl.when(dollars).then(1.0).otherwise("in_usd").alias("in_usd"),
            pl.when(dollars).then(0.0).otherwise("numeraire_age_s").alias("numeraire_age_s"),
        )
        known = priced.filter(pl.col("in_usd").is_not_null())
        found.append(known.select(*_USE, (pl.col("rate") * pl.col("in_usd")).alias("numeraire_usd"), "numeraire_age_s"))
        left = priced.filter(pl.col("in_usd").is_null()).drop("in_usd", "numeraire_age_s")
        if left.is_empty() or hop == _HOPS:
            break
        left = left.join(said, on=["csu", "date", "in"], how="inner").select(
            *_USE, "chain", pl.col("oracle_quote").alias("in"), (pl.col("rate") * pl.col("oracle_price")).alias("rate")
        )
    return pl.concat(found)


PRICED = ("price", "price_source", "price_age_s", "price_flag", "own_price", "highest_price")


def priced(
    rows: pl.DataFrame,
    prices: pl.DataFrame,
    worth_of: pl.DataFrame,
    how: Pricing,
    *,
    asset: str = "asset",
    prefix: str = "",
) -> pl.DataFrame:
    """`rows` of markets with the columns `PRICED` (each after `prefix`) for the token in `asset`; others are untouched.

    The oracle's words are in the columns `oracle_price` and `oracle_quote` after the prefix; `worth_of` is `worth` for them.
    `price_flag` is `disagrees` where the shared sources disagree, or the market's own oracle with them, by more than the
    tolerance, and `stale` where that oracle repeats what a feed said too long ago: the price is kept and the flag is this
    row's alone. `highest_price` is null where nobody disagrees. A row of which `dead` (after the prefix) holds is of a token
    that does not answer: it gets nobody's price, neither a shared one nor its own.
    """
    shared = prices.select(
        "chain",
        pl.col("asset").alias(asset),
        "date",
        *(
            pl.col(name).alias(f"_{name}")
            for name in ("price", "price_source", "price_age_s", "flag", "highest_usd", "stale_usd")
        ),
    )
    numeraires = worth_of.rename({"quote": f"{prefix}oracle_quote"})
    oracle, quoted = pl.col(f"{prefix}oracle_price"), pl.col(f"{prefix}oracle_quote")
    own = pl.when(quoted == "usd").then(oracle).otherwise(oracle * pl.col("numeraire_usd"))
    frame = rows.join(shared, on=["chain", asset, "date"], how="left", maintain_order="left")
    if numeraires.is_empty():
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in _WORTH)
    else:
        frame = frame.join(numeraires, on=["csu", "date", f"{prefix}oracle_quote"], how="left", maintain_order="left")
    frame = frame.with_columns(pl.when((own > 0) & (own < _LARGEST)).then(own).alias("_own"))
    later = list(how.ladder[how.ladder.index(ORACLE) :]) if ORACLE in how.ladder else []
    taken = pl.col("_own").is_not_null() & (pl.col("_price").is_null() | pl.col("_price_source").is_in(later))
    taken = taken if later else pl.lit(value=False)
    apart = pl.max_horizontal("_own", "_price") > (1 + how.tolerance) * pl.min_horizontal("_own", "_price")
    apart = apart & pl.col("_own").is_not_null() & pl.col("_price").is_not_null()
    quoted_only = pl.lit(bool(later)) & oracle.is_not_null()
    flag = (
        pl.when(apart | (taken & (pl.col("_flag") == "disagrees").fill_null(value=False)))
        .then(pl.lit("disagrees"))
        .when(taken & ((pl.col("_own") / pl.col("_stale_usd") - 1).abs() < SAME).fill_null(value=False))
        .then(pl.lit("stale"))
        .when(taken)
        .then(pl.lit("ok"))
        .when(pl.col("_flag").fill_null("no_source").ne("no_source"))
        .then("_flag")
        .otherwise(pl.when(quoted_only).then(pl.lit("no_numeraire")).otherwise(pl.lit("no_source")))
    )
    source = pl.when(taken).then(pl.lit(ORACLE)).otherwise("_price_source")
    age = pl.when(taken).then(pl.col("numeraire_age_s").fill_null(0.0)).otherwise("_price_age_s")
    made = {
        "price": pl.when(taken).then("_own").otherwise("_price"),
        "price_source": source,
        "price_age_s": age,
        "price_flag": flag,
        "own_price": pl.col("_own"),
        "highest_price": pl.when(flag == "disagrees").then(pl.max_horizontal("_own", "_highest_usd")),
    }
    dead = pl.col(f"{prefix}dead").fill_null(value=False)
    said: dict[str, pl.Expr] = {name: pl.when(~dead).then(one) for name, one in made.items()}
    said["price_flag"] = pl.when(dead).then(pl.lit(DEAD)).otherwise(flag)
    return frame.with_columns(one.alias(f"{prefix}{name}") for name, one in said.items()).drop(
        f"{prefix}dead",
        "_own",
        "_price",
        "_price_source",
        "_price_age_s",
        "_flag",
        "_highest_usd",
        "_stale_usd",
        *_WORTH,
    )
