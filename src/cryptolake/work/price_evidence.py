"""How far the prices of a market's day are proven, and who contradicts them: a total is no better proven than its prices.

Of those who price for all from the chain itself (Chainlink, governed oracles): their answers have certificates. What a vendor
or a file says is nobody's proof and no part of the grade; the price's source stands in the row. Pure. What does not belong
here: asking them (prices, beside) and which price is taken (silver).
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.grades import GRADES
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.contracts.states import PRICE_CONTRADICTED
from cryptolake.silver.quotes import ORACLE
from cryptolake.silver.refined import PriceAnswers
from cryptolake.work.standing import ANSWERED

_HOPS = 3  # a price quoted in a token that is quoted in a token
_TOKEN, _PROOF = ["date", "chain", "asset"], ["proven", "doubted"]
_ENOUGH = GRADES.index("two_voices")  # two operators are the most that state can be proven: that lowers nothing


def priced_evidence(
    found: pl.DataFrame, amounts: pl.DataFrame, events: pl.DataFrame, prices: pl.DataFrame, told: PriceAnswers | None
) -> pl.DataFrame:
    """The evidence of market-days (`evidence.EVIDENCE`) with what the prices of their rows are worth.

    The grade is the weaker of both, and a day with a contradicted price has the reason `PRICE_CONTRADICTED` unless it has
    another one. `told` None: nobody looks.
    """
    if told is None or found.is_empty():
        return found
    proven = _proven(prices, told)
    pieces = [_of_days("tvl", amounts, proven), _of_days("liquidations", events, proven)]
    rank = {grade: number for number, grade in enumerate(GRADES)}
    weaker = pl.min_horizontal(pl.col("grade").replace_strict(rank, default=None, return_dtype=pl.Int64), "proven")
    counts = pl.col("grade").is_not_null() & (pl.col("proven") < _ENOUGH)
    doubted = pl.col("doubted").fill_null(value=False) & pl.col("state").is_in(ANSWERED) & pl.col("reason").is_null()
    names = dict(enumerate(GRADES))
    return (
        found.join(pl.concat(pieces), on=["dataset", "csu", "date"], how="left", maintain_order="left")
        .with_columns(
            pl.when(counts)
            .then(weaker.replace_strict(names, default=None, return_dtype=pl.String))
            .otherwise("grade")
            .alias("grade"),
            pl.when(doubted).then(pl.lit(PRICE_CONTRADICTED)).otherwise("reason").alias("reason"),
        )
        .select(found.columns)
    )


def _proven(prices: pl.DataFrame, told: PriceAnswers) -> pl.DataFrame:
    """Of every shared price how far it is proven (place in GRADES; null: no certificate speaks of such) and whether doubted.

    Of a price that is quoted in another token, the weaker of both.
    """
    answers = pl.DataFrame(
        [
            (source, chain, day, GRADES.index(grade), doubt)
            for (source, chain, day), (grade, doubt) in told.proofs.items()
        ],
        schema={"price_source": pl.String, "on": pl.String, "date": pl.Date, "proven": pl.Int64, "doubted": pl.Boolean},
        orient="row",
    )
    # What another chain says of eth and btc bears that chain's name.
    on = pl.coalesce(pl.col("quoted_by").str.extract(r"^([^:]+):0x"), "chain")
    from_chain = pl.col("price_source").is_in(sorted(told.certified))
    found = (
        prices.filter(pl.col("price").is_not_null())
        .select(*_TOKEN, "quote", "price_source", on.alias("on"))
        .join(answers, on=["price_source", "on", "date"], how="left")
        .with_columns(pl.when(from_chain).then(pl.col("proven").fill_null(0)).alias("proven"))
        .with_columns(pl.col("doubted").fill_null(value=False))
    )
    for _ in range(_HOPS):
        through = found.select(
            "date", "chain", pl.col("asset").alias("quote"), *(pl.col(n).alias(f"q_{n}") for n in _PROOF)
        )
        found = (
            found.join(through, on=["date", "chain", "quote"], how="left")
            .with_columns(
                pl.min_horizontal("proven", "q_proven").alias("proven"),
                (pl.col("doubted") | pl.col("q_doubted").fill_null(value=False)).alias("doubted"),
            )
            .drop("q_proven", "q_doubted")
        )
    return found.select(*_TOKEN, *_PROOF)


def _of_days(dataset: str, rows: pl.DataFrame, proven: pl.DataFrame) -> pl.DataFrame:
    """Of each market's day the weakest of the prices that its rows are valued by: dataset, csu, date, proven, doubted."""
    sides = (("", "price_source"),) if dataset == MARKET_DATASETS[0] else _SIDES
    used = []
    for prefix, source in sides:
        own = pl.col(source) == ORACLE  # a market's own word in another token rests on that token's price
        asset = pl.when(own).then(f"{prefix}oracle_quote").otherwise(f"{prefix}asset")
        used.append(rows.filter(pl.col(source).is_not_null()).select("csu", "date", "chain", asset.alias("asset")))
    return (
        pl.concat(used)
        .unique()
        .join(proven, on=_TOKEN, how="inner")
        .group_by("csu", "date")
        .agg(pl.col("proven").min(), pl.col("doubted").any())
        .select(pl.lit(dataset).alias("dataset"), "csu", "date", *_PROOF)
    )


_SIDES = (("debt_", "price_source"), ("collateral_", "collateral_price_source"))
