"""Whether silver's figures follow from each other: whole numbers -> amounts -> values, at prices taken from quotes. Pure.

What does not belong here: whether the whole numbers are those of the answers (`silver.refined`), and what a day whose
figures do not follow is called (evidence).
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.figures import other
from cryptolake.silver.amounts import scaled
from cryptolake.silver.liquidations import DUST_USD
from cryptolake.silver.quotes import ANY_CHAIN
from cryptolake.silver.quotes import TABLE as QUOTES

AMOUNTS_DIFFER, PRICES_DIFFER, QUOTES_DIFFER = "amounts_differ", "prices_differ", "quotes_differ"
_HOPS = 3  # numeraires between a quote and the dollar, at most (`silver.prices.choose`)

# Each amount of a table with the columns of its token and of that token's price.
_PRICED = {
    "tvl": dict.fromkeys(("supplied", "borrowed", "cash", "collateral"), ("asset", "price")),
    "liquidations": {f"{side}_amount": (f"{side}_asset", f"{side}_price") for side in ("debt", "collateral")},
}

# What a table's rows take over from the row of prices beside each price, and what it is called there.
_TAKEN = {
    "price": {"price": "price", "price_source": "price_source", "price_age_s": "price_age_s", "price_flag": "flag"},
    "debt_price": {"debt_price": "price", "price_source": "price_source", "price_age_s": "price_age_s"},
    "collateral_price": {"collateral_price": "price"},
}

# What is read of silver for it.
COLUMNS = {
    dataset: tuple(
        dict.fromkeys(
            name
            for amount, (asset, price) in of.items()
            for name in (
                *("chain", asset, *_TAKEN[price], amount, f"{amount}_raw", f"{amount.removesuffix('_amount')}_usd"),
            )
        )
    )
    + (("decimals",) if dataset == "tvl" else ("is_dust",))
    for dataset, of in _PRICED.items()
}
_TOLD_BY = QUOTES.key[-1]  # who says what a token costs, within its kind of source
_TOKEN_DAY = ["date", "chain", "asset"]


def not_following(
    amounts: pl.DataFrame, events: pl.DataFrame, prices: pl.DataFrame, quotes: pl.DataFrame
) -> pl.DataFrame:
    """The market-days with a row that does not follow from what stands beside it: dataset, csu, date, doubt.

    `doubt` is the first of `AMOUNTS_DIFFER` (an amount is not its whole number scaled by the token's decimals),
    `PRICES_DIFFER` (a price is not that of the table of prices, or a value is not the amount at that price) and
    `QUOTES_DIFFER` (the price of the day is not the quote it names, or there is none although one was to be taken).
    The frames have at least the columns named above, prices and quotes all of theirs.
    """
    events = _with_decimals(events, amounts)
    untold = _untold(prices, quotes)
    found = [pl.DataFrame(schema={"dataset": pl.String, "csu": pl.String, "date": pl.Date, "doubt": pl.String})]
    for dataset, frame in (("tvl", amounts), ("liquidations", events)):
        for amount, (asset, price) in _PRICED[dataset].items():
            decimals = "decimals" if dataset == "tvl" else f"{asset}_decimals"
            usd = pl.col(f"{amount.removesuffix('_amount')}_usd")
            found += [
                _doubt(dataset, AMOUNTS_DIFFER, frame.filter(other(pl.col(amount), scaled(f"{amount}_raw", decimals)))),
                _doubt(dataset, PRICES_DIFFER, frame.filter(other(usd, pl.col(amount) * pl.col(price)))),
            ]
        for asset, price in dict.fromkeys(_PRICED[dataset].values()):
            # A token that does not answer takes nobody's price.
            live = pl.col("price_flag").ne_missing(DEAD) | pl.col("price").is_not_null() if dataset == "tvl" else True
            rows = frame.filter(live).select("csu", "date", "chain", pl.col(asset).alias("asset"), *_TAKEN[price])
            of_day = prices.select(
                *_TOKEN_DAY, *(pl.col(there).alias(f"of_{here}") for here, there in _TAKEN[price].items())
            )
            differing = rows.join(of_day, on=_TOKEN_DAY, how="left").filter(
                pl.any_horizontal(pl.col(here).ne_missing(pl.col(f"of_{here}")) for here in _TAKEN[price])
            )
            found += [
                _doubt(dataset, PRICES_DIFFER, differing),
                _doubt(dataset, QUOTES_DIFFER, rows.join(untold, on=_TOKEN_DAY, how="semi")),
            ]
    dust = pl.col("debt_usd") < DUST_USD
    found.append(_doubt("liquidations", PRICES_DIFFER, events.filter(pl.col("is_dust").ne_missing(dust))))
    # By name the doubts are in the order of the trip: amounts, prices, quotes.
    return pl.concat(found).group_by("dataset", "csu", "date").agg(pl.col("doubt").min())


def _doubt(dataset: str, doubt: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.lit(dataset).alias("dataset"), "csu", "date", pl.lit(doubt).alias("doubt")).unique()


def _with_decimals(events: pl.DataFrame, amounts: pl.DataFrame) -> pl.DataFrame:
    """Events with the decimal places of both tokens: those that snapshots of the chain name, else what most events say.

    An event's row does not hold them; how often its whole number is its amount tells a power of ten.
    """
    said = amounts.select("chain", "asset", "decimals").unique().group_by("chain", "asset")
    named = said.agg(pl.col("decimals").max(), pl.len().alias("different")).filter(pl.col("different") == 1)
    for amount, (asset, _) in _PRICED["liquidations"].items():
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


def _untold(prices: pl.DataFrame, quotes: pl.DataFrame) -> pl.DataFrame:
    """The tokens and days (date, chain, asset) whose price is not the quote it names, or that have none although quoted."""
    quotes = quotes.rename({"source": "price_source"}).with_columns(_numeraire_chain())
    taken = (
        prices.filter(pl.col("price").is_not_null())
        .with_columns(_numeraire_chain())
        .join(
            quotes.select(*_TOKEN_DAY, "price_source", _TOLD_BY, "quote", "quote_price", "age_s"),
            on=[*_TOKEN_DAY, "price_source", _TOLD_BY, "quote"],
            how="left",
        )
    )
    direct = pl.col("quote") == "usd"
    untrue = other(pl.col("price"), pl.col("quote_price") * pl.col("numeraire_usd"))
    wrong = taken.filter(untrue | pl.col("quote").is_null() | (direct & (pl.col("numeraire_usd") != 1.0)))
    through = taken.filter(~direct)
    numeraires = through.select("date", pl.col("numeraire_chain").alias("chain"), pl.col("quote").alias("asset"))
    worth = _worth(quotes, numeraires.unique(), _HOPS).rename({"chain": "numeraire_chain", "asset": "quote"})
    backed = through.join(worth, on=["date", "numeraire_chain", "quote"], how="inner").filter(
        ~other(pl.col("numeraire_usd"), pl.col("usd"))
    )
    unbacked = through.join(backed, on=_TOKEN_DAY, how="anti")
    # All tokens of a day are priced alike: whom one of them was priced by, at that age, would have priced another.
    heard = taken.group_by("date", "price_source").agg(pl.col("age_s").abs().max().alias("age_heard"))
    left_out = (
        quotes.filter(direct)
        .join(heard, on=["date", "price_source"], how="inner")
        .filter(pl.col("age_s").abs() <= pl.col("age_heard"))
        .join(taken, on=_TOKEN_DAY, how="anti")
    )
    return pl.concat([one.select(_TOKEN_DAY) for one in (wrong, unbacked, left_out)]).unique()


def _worth(quotes: pl.DataFrame, tokens: pl.DataFrame, hops: int) -> pl.DataFrame:
    """Every price in USD (date, chain, asset, usd) that these tokens' quotes give, through at most so many numeraires."""
    mine = quotes.join(tokens, on=_TOKEN_DAY, how="semi")
    direct = mine.filter(pl.col("quote") == "usd").select(*_TOKEN_DAY, pl.col("quote_price").alias("usd"))
    through = mine.filter(pl.col("quote") != "usd")
    if through.is_empty() or hops == 1:
        return direct.unique()
    further = through.select("date", pl.col("numeraire_chain").alias("chain"), pl.col("quote").alias("asset")).unique()
    worth = _worth(quotes, further, hops - 1).rename({"chain": "numeraire_chain", "asset": "quote"})
    reached = through.join(worth, on=["date", "numeraire_chain", "quote"], how="inner")
    return pl.concat(
        [direct, reached.select(*_TOKEN_DAY, (pl.col("quote_price") * pl.col("usd")).alias("usd"))]
    ).unique()


def _numeraire_chain() -> pl.Expr:
    """The chain of what a quote is in: a token's is the quoted token's own, a plain name has none."""
    named = pl.col("quote").str.starts_with("0x")
    return pl.when(named).then("chain").otherwise(pl.lit(ANY_CHAIN)).alias("numeraire_chain")
