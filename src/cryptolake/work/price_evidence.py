"""How far the prices of a market's day are proven, and who contradicts them: a total is no better proven than its prices.

Of those who price for all from the chain itself (Chainlink, governed oracles): their answers have certificates. What a vendor
or a file says is nobody's proof and no part of the grade; the price's source stands in the row. Pure. What does not belong
here: asking them (prices, beside) and which price is taken (silver).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import GRADES, Grade
from cryptolake.contracts.partition import MARKET_DATASETS, Period
from cryptolake.contracts.states import DOUBTS, PRICE_CONTRADICTED, PRICE_LOST
from cryptolake.contracts.table import Table
from cryptolake.lake.tables import Tables
from cryptolake.silver import liquidations, tvl
from cryptolake.silver import prices as prices_table
from cryptolake.silver.quotes import ORACLE
from cryptolake.silver.refined import PriceAnswers
from cryptolake.work.standing import ANSWERED, MarketDay, market_day

_HOPS = 3  # a price quoted in a token that is quoted in a token
_TOKEN, _PROOF = ["date", "chain", "asset"], ["proven", "doubted", "gone"]
_DAY, _ROW = ["dataset", "csu", "date"], ["csu", "date", "chain"]
# Of each token that a row is valued with: how its columns begin, and where its price's source stands.
_OWN, _SIDES = ("", "price_source"), (("debt_", "price_source"), ("collateral_", "collateral_price_source"))
_ENOUGH = GRADES.index("two_voices")  # two operators are the most that state can be proven: that lowers nothing


@dataclass(frozen=True, slots=True)
class PriceProof:
    """What the prices are worth that a market's day is valued with, all together.

    `grade` is that of the one which is proven least, None where that lowers nothing; `doubted` whether somebody contradicts one
    of them, `lost` whether the answer behind one is not there or is not the recorded one.
    """

    grade: Grade | None
    doubted: bool
    lost: bool


SOUND = PriceProof(None, doubted=False, lost=False)
LOST_WORDS = (
    "the answer behind a price of it is missing or not the recorded one; run `cryptolake verify --repair`, or `cryptolake "
    "prices collect --all` for a vendor's, or import the file again"
)
PRICES_WEAKER = "its prices are proven no further"
DOUBTED_WORDS = "a price that it is valued with is contradicted"


def prices_held(tables: Tables, told: PriceAnswers | None, day: date | None = None) -> dict[MarketDay, PriceProof]:
    """What the prices that silver values its market-days (of one day) with are worth now."""
    among = None if day is None else {"date": [day]}

    def rows(table: Table, *sides: tuple[str, str]) -> pl.DataFrame:
        read_of = (name for prefix, source in sides for name in (source, f"{prefix}asset", f"{prefix}oracle_quote"))
        return tables.read(table, among=among, columns=list(dict.fromkeys([*table.key, *_ROW, *read_of])))

    shared = tables.read(prices_table.TABLE, among=among)
    return prices_of_days(rows(tvl.TABLE, _OWN), rows(liquidations.TABLE, *_SIDES), shared, told)


def prices_behind(worth: Mapping[MarketDay, PriceProof], entry: Entry) -> PriceProof:
    """What the prices are worth that an answer is valued with: of an hour's where its rows are in silver's day."""
    period = entry.partition.period
    day = Period.of_day(period.day, period.boundary)
    snapshot = entry.partition.dataset == MARKET_DATASETS[0]
    valued = period.end == day.end if snapshot else entry.state == "done"
    return worth.get(market_day(entry.partition), SOUND) if valued else SOUND


def prices_of_days(
    amounts: pl.DataFrame, events: pl.DataFrame, prices: pl.DataFrame, told: PriceAnswers | None
) -> dict[MarketDay, PriceProof]:
    """What the prices of every market's day that has any are worth; `told` None: nobody looks."""
    if told is None:
        return {}
    proven = _proven(prices, told)
    days = pl.concat([_of_days("tvl", amounts, proven), _of_days("liquidations", events, proven)])
    return {
        (dataset, csu, day): PriceProof(
            GRADES[grade] if grade is not None and grade < _ENOUGH else None, doubted=doubted, lost=gone
        )
        for dataset, csu, day, grade, doubted, gone in days.select(*_DAY, *_PROOF).iter_rows()
    }


def priced_evidence(found: pl.DataFrame, worth: Mapping[MarketDay, PriceProof]) -> pl.DataFrame:
    """The evidence of market-days (`evidence.EVIDENCE`) with what the prices of their rows are worth.

    The grade is the weaker of both; an answered day with a contradicted price has the reason `PRICE_CONTRADICTED` unless it is
    contradicted itself, and one whose price has lost its answer is failed.
    """
    if not worth or found.is_empty():
        return found
    known = pl.DataFrame(
        [(*day, one.grade, one.doubted, one.lost) for day, one in worth.items()],
        schema={
            **{name: found.schema[name] for name in _DAY},
            "least": pl.String,
            **dict.fromkeys(("doubted", "gone"), pl.Boolean),
        },
        orient="row",
    )
    rank = {grade: number for number, grade in enumerate(GRADES)}
    weaker = pl.col("least").replace_strict(rank, default=None, return_dtype=pl.Int64) < pl.col("grade").replace_strict(
        rank, default=None, return_dtype=pl.Int64
    )
    answered = pl.col("state").is_in(ANSWERED)
    lost = answered & pl.col("gone").fill_null(value=False)
    said = pl.col("reason").is_in(list(DOUBTS)).fill_null(value=False)
    doubted = answered & pl.col("doubted").fill_null(value=False) & ~said
    return (
        found.join(known, on=_DAY, how="left", maintain_order="left")
        .with_columns(
            pl.when(weaker).then("least").otherwise("grade").alias("grade"),
            pl.when(lost).then(pl.lit("failed")).otherwise("state").alias("state"),
            pl.when(lost)
            .then(pl.lit(PRICE_LOST))
            .when(doubted)
            .then(pl.lit(PRICE_CONTRADICTED))
            .otherwise("reason")
            .alias("reason"),
        )
        .select(found.columns)
    )


def _proven(prices: pl.DataFrame, told: PriceAnswers) -> pl.DataFrame:
    """Of every shared price how far it is proven (place in GRADES; null: no certificate speaks of such), whether it is doubted,
    and whether its answer is gone.

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
    lost = pl.DataFrame(
        [one for one in told.lost if one[-1] is not None],
        schema={"price_source": pl.String, "on": pl.String, "date": pl.Date},
        orient="row",
    ).with_columns(pl.lit(value=True).alias("gone"))
    of_all = pl.col("price_source").is_in(sorted(name for name, _, day in told.lost if day is None))
    found = (
        prices.filter(pl.col("price").is_not_null())
        .select(*_TOKEN, "quote", "price_source", on.alias("on"))
        .join(answers, on=["price_source", "on", "date"], how="left")
        .with_columns(pl.when(from_chain).then(pl.col("proven").fill_null(0)).alias("proven"))
        .join(lost, on=["price_source", "on", "date"], how="left")
        .with_columns(pl.col("doubted").fill_null(value=False), pl.col("gone").fill_null(value=False) | of_all)
    )
    for _ in range(_HOPS):
        through = found.select(
            "date", "chain", pl.col("asset").alias("quote"), *(pl.col(n).alias(f"q_{n}") for n in _PROOF)
        )
        found = (
            found.join(through, on=["date", "chain", "quote"], how="left")
            .with_columns(
                pl.min_horizontal("proven", "q_proven").alias("proven"),
                *(pl.col(n) | pl.col(f"q_{n}").fill_null(value=False) for n in _PROOF[1:]),
            )
            .drop(f"q_{n}" for n in _PROOF)
        )
    return found.select(*_TOKEN, *_PROOF)


def _of_days(dataset: str, rows: pl.DataFrame, proven: pl.DataFrame) -> pl.DataFrame:
    """Of each market's day the weakest of the prices that its rows are valued by: dataset, csu, date and `_PROOF`."""
    sides = (_OWN,) if dataset == MARKET_DATASETS[0] else _SIDES
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
        .agg(pl.col("proven").min(), *(pl.col(n).any() for n in _PROOF[1:]))
        .select(pl.lit(dataset).alias("dataset"), "csu", "date", *_PROOF)
    )
