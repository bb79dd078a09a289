"""Silver table `refined`: which answers a market's day in silver was made of, how it was priced, what it held then. No I/O.

Written last, after the rows it vouches for: a kill in between leaves a day that nothing vouches for, never one that is
vouched for wrongly. What does not belong here: what the ledger knows, and comparing the two (`work.evidence`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from cryptolake.contracts.entry import DAMAGED as DAMAGED
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.table import Field, Table
from cryptolake.silver import bad_debt, isolated_markets, liquidations, prices, quotes, tvl

# Why a day's answers gave no rows: the kept answer is not the recorded one, the present reader cannot read it, or it was given
# to a question that did not ask for such rows.
UNREADABLE, NOT_ASKED = "unreadable", bad_debt.NOT_ASKED

INPUTS = ("tvl", "isolated_markets", "liquidations", "bad_debt", "quotes", "prices")
TABLE = Table(
    name="refined",
    layer="silver",
    grain="one dataset of one market on one day that was refined; the quotes and the prices of one day",
    key=("dataset", "csu", "date"),
    partition="date",
    fields=(
        Field("date", "date", "day, by the day boundary of the run"),
        Field(
            "dataset",
            "text",
            "which table",
            allowed=("tvl", "isolated_markets", "liquidations", "bad_debt", "quotes", "prices"),
        ),
        Field("csu", "text", "market; `all` for quotes and prices, which all markets share"),
        Field(
            "answers",
            "text",
            "what it was made of: a market's day, SHA-256 over period and digest of every answer; a day's prices, how they "
            "were chosen (rule, order, ladder with the largest ages in seconds, tolerance) as JSON",
        ),
        Field("answer_rows", "int64", "rows that were read from those answers", minimum=0),
        Field("rows", "int64", "rows of the day in the silver table", minimum=0),
        Field(
            "content", "text", "SHA-256 over those rows; of a market's, as the chain gave them, without their valuation"
        ),
        Field(
            "reason",
            "text",
            "why it has no rows although it was answered",
            null=True,
            allowed=(DAMAGED, UNREADABLE, NOT_ASKED),
        ),
    ),
    doc="What silver holds of each market's day and of each day's prices, and which answers it was made of.",
    methodology="A figure is `ok` only where this table agrees with the ledger (same answers, same number of rows) and with "
    "the rows that are in silver now (same content), its day's quotes and prices included, and where its prices were chosen "
    "as those of the other days were.",
    in_postgres=False,
)

EVERYBODY = "all"  # whose a day's quotes and prices are

# What is vouched for in a row: all of it but what follows from it and the prices of the day (`work.derivation`), which valuing
# anew changes. A column that is added is vouched for without being named here.
SAID = {
    one.TABLE.name: tuple(name for name in one.TABLE.columns if name not in {"csu", "date", *follows})
    for one, follows in (
        (tvl, tvl.FOLLOWS),
        (isolated_markets, ()),
        (liquidations, liquidations.FOLLOWS),
        (bad_debt, bad_debt.FOLLOWS),
        (quotes, ()),
        (prices, ()),
    )
}

NOTHING = hashlib.sha256(b"").hexdigest()  # the content of a day without rows


def digest_of(answers: Iterable[tuple[str, str | None]]) -> str:
    """One digest for the answers of a day, given as period and digest; in any order."""
    lines = [f"{period} {digest}" for period, digest in answers]
    if len(lines) > 1:
        lines.sort()
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def contents(dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Per market and day the number of rows and their content digest; `frame` has at least the columns of `SAID`.

    Columns: csu, date, rows, content. Valuing amounts anew changes nothing; quotes and prices are everybody's.
    """
    if "csu" not in frame.columns:
        frame = frame.with_columns(pl.lit(EVERYBODY).alias("csu"))
    line = pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in SAID[dataset]], separator="\t")
    grouped = (
        frame.select("csu", "date", line.alias("line"))
        .group_by("csu", "date")
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("line").sort().str.join("\n"))
    )
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in grouped["line"]]
    return grouped.select("csu", "date", "rows", pl.Series("content", digests, dtype=pl.String))


@dataclass(frozen=True, slots=True)
class PriceAnswers:
    """What those who price for all answered, by the ledger: of each day, and what counts for all days (a user's file).

    `certified` are the sources whose answers say how far they are proven, `proofs` the grade of each by source, chain and day,
    and whether somebody contradicts it. `lost` are those whose answer is not there or not the recorded one, as `proofs` names
    them; the day is None, and the chain empty, of what counts for all days.
    """

    of_days: Mapping[date, Sequence[tuple[str, str | None]]] = field(default_factory=dict)
    of_all: Sequence[tuple[str, str | None]] = ()
    certified: frozenset[str] = frozenset()
    proofs: Mapping[tuple[str, str, date], tuple[Grade, bool]] = field(default_factory=dict)
    lost: frozenset[tuple[str, str, date | None]] = frozenset()

    def digest(self, day: date) -> str:
        """One digest of all that was answered for a day, in whatever order."""
        return digest_of([*self.of_days.get(day, ()), *self.of_all])


def quoted(frame: pl.DataFrame, days: Collection[date], told: PriceAnswers) -> pl.DataFrame:
    """The rows of this table for the quotes of each of these days, also of those that have none: what they were made of."""
    dates = pl.Series("date", sorted(days), dtype=pl.Date)
    made_of = pl.Series("made_of", [told.digest(day) for day in dates], dtype=pl.String)
    rows = shared(quotes.TABLE.name, frame).drop("answers").join(pl.DataFrame([dates, made_of]), on="date", how="right")
    return rows.with_columns(
        pl.lit(EVERYBODY).alias("csu"),
        pl.lit(quotes.TABLE.name).alias("dataset"),
        pl.col("made_of").alias("answers"),
        pl.col("rows", "answer_rows").fill_null(0),
        pl.col("content").fill_null(NOTHING),
    ).select(TABLE.columns)


def shared(dataset: str, frame: pl.DataFrame, made_of: str = "") -> pl.DataFrame:
    """The rows of this table for all days of `frame`, which is everybody's (quotes, prices): they rest on no one answer.

    `made_of` says how the days' prices were chosen (`Pricing.text`).
    """
    return (
        contents(dataset, frame)
        .with_columns(
            pl.lit(dataset).alias("dataset"),
            pl.lit(made_of or digest_of([])).alias("answers"),
            pl.col("rows").alias("answer_rows"),
            pl.lit(None, pl.String).alias("reason"),
        )
        .select(TABLE.columns)
    )


def pricing_by_day(recorded: pl.DataFrame) -> dict[date, prices.Pricing | None]:
    """How each day's prices were chosen, by this table; None where it does not say so."""
    rows = recorded.filter(pl.col("dataset") == prices.TABLE.name).select("date", "answers")
    read = {text: prices.Pricing.read(text) for text in rows["answers"].unique()}
    return {day: read[text] for day, text in rows.iter_rows()}


def pricing_of_most(recorded: pl.DataFrame, *, rule: str | None = prices.RULE) -> prices.Pricing | None:
    """How the prices of most days were chosen (of as many, the latest day's), of those under `rule`; None where of no day.

    With no rule, of all days, whatever version valued them.
    """
    days: dict[str, list[date]] = {}
    for day, one in pricing_by_day(recorded).items():
        if one is not None and rule in (None, one.rule):
            days.setdefault(one.text(), []).append(day)
    return prices.Pricing.read(max(days, key=lambda text: (len(days[text]), max(days[text])))) if days else None


def pricing_document(recorded: pl.DataFrame) -> dict[str, object] | None:
    """How most days were priced, for a reader of the data; None where it is not known."""
    how = pricing_of_most(recorded) or pricing_of_most(recorded, rule=None)
    return None if how is None else how.document()


def priced_otherwise(recorded: pl.DataFrame, how: prices.Pricing) -> list[date]:
    """The days whose prices were not chosen like this, or of which it is not known, in order."""
    text = how.text()
    return sorted(day for day, one in pricing_by_day(recorded).items() if one is None or one.text() != text)


def priced_before(recorded: pl.DataFrame) -> list[date]:
    """The days that were priced by the rule of an earlier version, or of which it is not known, in order."""
    return sorted(day for day, one in pricing_by_day(recorded).items() if one is None or one.rule != prices.RULE)
