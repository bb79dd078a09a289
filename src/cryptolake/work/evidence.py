"""What is known of every market's day once ledger and silver are compared: a number needs both to say the same. Pure.

What does not belong here: reading tables (journey) and making figures (gold).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.contracts.states import PRICE_LOST
from cryptolake.silver import isolated_markets, refined
from cryptolake.silver.prices import Pricing
from cryptolake.silver.refined import DAMAGED, UNREADABLE
from cryptolake.work import derivation
from cryptolake.work.derivation import AMOUNTS_DIFFER, PRICES_DIFFER, QUOTES_DIFFER
from cryptolake.work.price_evidence import LOST_WORDS
from cryptolake.work.standing import ANSWERED, MarketDay, Standing

LADDERS_DIFFER, EARLIER_RULE = "ladders_differ", "priced_by_earlier_rule"
TOLD_SINCE = "prices_told_since"

# Why a day that the ledger calls answered has no number, the state that makes of it, and what to do about it.
LACKING: Mapping[str, tuple[str, str]] = {
    "not_refined": ("pending", "silver was not made of these answers yet; run `cryptolake refine`"),
    "silver_differs": ("pending", "rows of it are missing from silver or were changed; run `cryptolake refine`"),
    AMOUNTS_DIFFER: (
        "pending",
        "its amounts are not the whole numbers of its answer in the token's decimals; run `cryptolake refine`",
    ),
    PRICES_DIFFER: (
        "pending",
        "its values are not its amounts at the prices of the day; run `cryptolake refine`",
    ),
    QUOTES_DIFFER: ("pending", "a price of the day is not that of the quote it names; run `cryptolake refine`"),
    LADDERS_DIFFER: (
        "pending",
        "its prices were chosen otherwise (ladder, ages or tolerance) than those of most days; run `cryptolake refine`, which "
        "values it like the others, or `cryptolake reprice`, which values every day anew",
    ),
    EARLIER_RULE: (
        "pending",
        "an earlier version priced it, by which one market's oracle could price other markets' rows; run `cryptolake refine`, "
        "which values it anew in the order it was told, or `cryptolake reprice`, by the settings",
    ),
    TOLD_SINCE: (
        "pending",
        "it was priced before all that is kept of its prices was answered; run `cryptolake refine`, which prices it anew",
    ),
    DAMAGED: (
        "failed",
        "its answer is missing or not the recorded one; run `cryptolake ledger repair`, then "
        "`cryptolake collect --retry-failed`",
    ),
    UNREADABLE: (
        "failed",
        "the present reader cannot read its answer, which is kept; update cryptolake and run `cryptolake refine`, or run "
        "`cryptolake ledger repair` and `cryptolake collect --retry-failed` to ask again",
    ),
    PRICE_LOST: ("failed", LOST_WORDS),
    "rows_differ": (
        "failed",
        "the present reader finds another number of rows than the ledger counted; run `cryptolake ledger repair`, then "
        "`cryptolake refine`",
    ),
}

# What valuing all of silver anew from every kept quote makes good by itself: only the valuation is not what it should be.
MENDED_BY_VALUING = frozenset({PRICES_DIFFER, QUOTES_DIFFER, LADDERS_DIFFER, EARLIER_RULE, TOLD_SINCE})

# What no reading of kept answers makes good: what they are valued by has to be asked, or brought, again.
MENDED_BY_ASKING = frozenset({PRICE_LOST})

EVIDENCE = pl.Schema(
    {
        "dataset": pl.String(),
        "csu": pl.String(),
        "date": pl.Date(),
        "state": pl.String(),
        "reason": pl.String(),
        "grade": pl.String(),  # how far the answer is proven (contracts.grades); null where there is none
        "answered": pl.Boolean(),  # whether the ledger says so; with a state that is not done or empty, silver lacks it
        "lost": pl.Boolean(),  # whether the ledger itself calls a day failed that was answered
    }
)

# What `evidence` needs of silver; the rest need not be read.
TVL_COLUMNS, LIQUIDATION_COLUMNS = derivation.COLUMNS["tvl"], derivation.COLUMNS["liquidations"]
_ISOLATED, _SUMMED = isolated_markets.TABLE.name, ("supplied", "borrowed")
_ROUNDING = 1e-9  # sums of scaled amounts and the scaled sum differ by no more


def evidence(
    days: Mapping[MarketDay, Standing],
    csus: Collection[str],
    *,
    recorded: pl.DataFrame,
    amounts: pl.DataFrame,
    events: pl.DataFrame,
    prices: pl.DataFrame,
    quotes: pl.DataFrame,
    lost: Collection[MarketDay],
    isolated: pl.DataFrame | None = None,
    isolating: Collection[str] = (),
    told_by: refined.PriceAnswers | None = None,
) -> pl.DataFrame:
    """One row (`EVIDENCE`) per day of these markets that the ledger knows; `recorded` is the table `refined`.

    `lost` are the days of which an answer is not there or not whole: whatever silver has of it, nothing can prove it.
    `isolating` are the markets whose snapshots also give rows of `isolated` (the table `isolated_markets`): what totals
    leave out is taken from those, so that such a day is only known where they were read from the same answers too.

    A day keeps the ledger's `done` or `empty` only if silver was made of those very answers, with as many rows as the
    ledger counted, still holds what it was made of, and every figure in it follows from that (`derivation`): amounts from
    whole numbers, values from amounts and the prices of the table of prices or the market's own oracle, those prices from the
    quotes. Prices and quotes of the day must be those that were written when it was priced, and chosen as those of the other
    days, by the rule of today, from all that was answered by then (`told_by`; None: nobody looks).
    """
    rows = [
        (
            dataset,
            csu,
            day,
            one.state,
            one.reason,
            one.grade,
            one.lost,
            (dataset, csu, day) in lost,
            refined.digest_of((str(entry.partition.period), entry.digest) for entry in one.entries),
            one.rows,
        )
        for (dataset, csu, day), one in days.items()
        if csu in csus
    ]
    schema = {name: EVIDENCE[name] for name in ("dataset", "csu", "date", "state", "reason", "grade", "lost")}
    known = pl.DataFrame(
        rows, schema={**schema, "gone": pl.Boolean, "answers": pl.String, "counted": pl.Int64}, orient="row"
    )
    record = recorded.rename({"answers": "made_of", "rows": "held", "content": "was", "reason": "no_rows_for"})
    frames = {"tvl": amounts, "liquidations": events}
    how = refined.pricing_of_most(recorded) or Pricing()
    doubts = derivation.not_following(amounts, events, prices, quotes, how)
    changed = _changed(recorded, {"quotes": quotes, "prices": prices}, told_by)
    apart = _apart(record, isolated_markets.TABLE.empty() if isolated is None else isolated, amounts)
    pieces = []
    for dataset in MARKET_DATASETS:
        of = pl.col("dataset") == dataset
        pieces.append(
            known.filter(of)
            .join(record.filter(of).drop("dataset"), on=["csu", "date"], how="left")
            .join(refined.contents(dataset, frames[dataset]), on=["csu", "date"], how="left")
            .join(doubts.filter(of).drop("dataset"), on=["csu", "date"], how="left")
            .join(changed, on="date", how="left")
            .join(apart, on=["csu", "date"], how="left")
            .with_columns((of & pl.col("csu").is_in(list(isolating))).alias("isolating"))
        )
    answered = pl.col("state").is_in(ANSWERED)
    holds = (pl.col("rows").fill_null(0) == pl.col("held")) & (
        pl.col("content").fill_null(refined.NOTHING) == pl.col("was")
    )
    lacks = (
        pl.when("gone")
        .then(pl.lit(DAMAGED))
        .when(pl.col("made_of").ne_missing(pl.col("answers")))
        .then(pl.lit("not_refined"))
        .when(pl.col("no_rows_for").is_not_null())
        .then(pl.col("no_rows_for"))
        .when(pl.col("answer_rows").ne_missing(pl.col("counted")))
        .then(pl.lit("rows_differ"))
        .when(~holds)
        .then(pl.lit("silver_differs"))
        .when(pl.col("isolating") & pl.col("apart_of").ne_missing(pl.col("answers")))
        .then(pl.lit("not_refined"))
        .when(pl.col("isolating") & pl.col("no_apart_for").is_not_null())
        .then(pl.col("no_apart_for"))
        .when(pl.col("isolating") & ~pl.col("apart_holds"))
        .then(pl.lit("silver_differs"))
        # What was priced otherwise does not follow by today's rule either: the first is the reason of the second.
        .when((pl.col("rows") > 0) & pl.col("priced_by").is_in([EARLIER_RULE, LADDERS_DIFFER, TOLD_SINCE]))
        .then(pl.col("priced_by"))
        .otherwise(pl.coalesce("doubt", pl.when(pl.col("rows") > 0).then(pl.col("priced_by"))))
    )
    states = {reason: state for reason, (state, _) in LACKING.items()}
    return (
        pl.concat(pieces)
        .with_columns(answered.alias("answered"), pl.when(answered).then(lacks).alias("lacks"))
        .with_columns(
            pl.coalesce(pl.col("lacks").replace_strict(states, return_dtype=pl.String), pl.col("state")).alias("state"),
            pl.coalesce("lacks", "reason").alias("reason"),
        )
        .select(EVIDENCE.names())
        .sort("dataset", "csu", "date")
    )


def _apart(record: pl.DataFrame, isolated: pl.DataFrame, amounts: pl.DataFrame) -> pl.DataFrame:
    """Of each market's day whose isolated markets were read: the answers, why there are no rows, and whether all are there.

    All are there when they are what was written and their sums are the market's deposits and debt of each token.
    """
    now = refined.contents(_ISOLATED, isolated).rename({"content": "is"})
    sums = isolated.group_by("csu", "date", pl.col("loan_asset").alias("asset")).agg(
        pl.col(name).sum().alias(f"sum_{name}") for name in _SUMMED
    )
    totals = amounts.select("csu", "date", "asset", *_SUMMED).join(
        isolated.select("csu", "date").unique(), on=["csu", "date"], how="semi"
    )
    differing = (
        totals.join(sums, on=["csu", "date", "asset"], how="full", coalesce=True)
        .filter(
            pl.any_horizontal(
                (pl.col(name).fill_null(0.0) - pl.col(f"sum_{name}").fill_null(0.0)).abs()
                > _ROUNDING * pl.max_horizontal(name, f"sum_{name}")
                for name in _SUMMED
            )
        )
        .select("csu", "date", pl.lit(True).alias("differs"))
        .unique()
    )
    return (
        record.filter(pl.col("dataset") == _ISOLATED)
        .join(now, on=["csu", "date"], how="left")
        .join(differing, on=["csu", "date"], how="left")
        .select(
            "csu",
            "date",
            pl.col("made_of").alias("apart_of"),
            pl.col("no_rows_for").alias("no_apart_for"),
            ((pl.col("is").fill_null(refined.NOTHING) == pl.col("was")) & ~pl.col("differs").fill_null(False)).alias(
                "apart_holds"
            ),
        )
    )


def _changed(
    recorded: pl.DataFrame, shared: Mapping[str, pl.DataFrame], told_by: refined.PriceAnswers | None
) -> pl.DataFrame:
    """The days (date, priced_by) that were priced by other quotes or prices than there are, or otherwise, with the doubt."""
    how = refined.pricing_of_most(recorded)
    before = refined.priced_before(recorded)
    strangers = [] if how is None else refined.priced_otherwise(recorded, how)
    days = {EARLIER_RULE: before, LADDERS_DIFFER: sorted({*strangers} - {*before})}
    if told_by is not None:
        quoted = recorded.filter(pl.col("dataset") == "quotes").select("date", "answers")
        days[TOLD_SINCE] = sorted(day for day, made_of in quoted.iter_rows() if made_of != told_by.digest(day))
    schema = {"date": pl.Date, "priced_by": pl.String}
    found = [pl.DataFrame({"date": those, "priced_by": reason}, schema=schema) for reason, those in days.items()]
    for dataset, doubt in (("quotes", QUOTES_DIFFER), ("prices", PRICES_DIFFER)):  # on the quotes the prices rest
        was = recorded.filter(pl.col("dataset") == dataset).select("date", pl.col("content").alias("was"))
        both = refined.contents(dataset, shared[dataset]).join(was, on="date", how="full", coalesce=True)
        found.append(
            both.filter(
                pl.col("content").fill_null(refined.NOTHING) != pl.col("was").fill_null(refined.NOTHING)
            ).select("date", pl.lit(doubt).alias("priced_by"))
        )
    return pl.concat(found).unique(subset="date", keep="first", maintain_order=True)


def lacking(found: pl.DataFrame) -> pl.DataFrame:
    """The days of `evidence` that were answered and that have no number all the same: silver lacks it, or it is lost."""
    return found.filter((pl.col("answered") & ~pl.col("state").is_in(ANSWERED)) | pl.col("lost"))


def lines(lacks: pl.DataFrame) -> list[str]:
    """What `lacking` found, one line per reason: how many market-days, the first of them, and what to do."""
    said = []
    for (reason,), rows in sorted(lacks.partition_by("reason", as_dict=True, maintain_order=True).items(), key=str):
        dataset, csu, day = rows.select("dataset", "csu", "date").row(0)
        state, remedy = LACKING.get(str(reason), LACKING[UNREADABLE])  # the ledger's own word for why it cannot be read
        said.append(
            f"{counted(rows.height, 'answered market-day is', 'answered market-days are')} {state} ({reason}, "
            f"first {dataset}/{csu}/{day}): {remedy}"
        )
    return said
