"""Which days of the panel look wrong although they were answered: flags, never deletions. No I/O.

    price_disagrees           assets whose price sources disagree are more than 5 % of the market's deposits
    tvl_spike                 deposits are more than twice, or less than half, of the days around (three before, three after)
    borrowed_over_supplied    more than 105 % of the deposits are lent out
    liquidations_exceed_debt  more was liquidated than was owed on that day and the day before together
    dust_storm                a thousand liquidations or more, at least half of them dust

and the flags of `flagged_markets` where what they are about is a large part of the totals. The first two and those make a
day's TVL `suspect`, `liquidations_exceed_debt` its liquidations.
What bad debt explains is no spike, and was not liquidated: a day is not `suspect` for deposits or debt that are really lost.
"""

from __future__ import annotations

import math

import polars as pl

from cryptolake.contracts.market_flags import FLAGS

TVL_SUSPECT = ("price_disagrees", "tvl_spike", *FLAGS)
LIQUIDATIONS_SUSPECT = ("liquidations_exceed_debt",)

_DISAGREEING_SHARE = 0.05
_SPIKE = math.log(2)
_AROUND = 3  # days on each side; fewer than three known neighbours give no verdict
_OVER_LENT = 1.05
_STORM, _DUST_SHARE = 1_000, 0.5


def flagged(panel: pl.DataFrame) -> pl.DataFrame:
    """`panel` (sorted by csu and date, with `disagreeing_usd` and `dust_count`) with a column `flags`: codes joined by `;`.

    A column named as a flag of `flagged_markets` says whether that holds of a large part of the day's totals.
    A null in a rule's inputs means that the rule says nothing. `bad_debt_usd` may be there: what
    was lost on each day.
    """
    if "bad_debt_usd" not in panel.columns:
        panel = panel.with_columns(pl.lit(0.0).alias("bad_debt_usd"))
    supplied, borrowed = pl.col("total_supplied_usd"), pl.col("total_borrowed_usd")
    liquidated = pl.col("liquidations_usd")
    lost = pl.col("bad_debt_usd").fill_null(0.0)
    gone = lost.cum_sum().over("csu", order_by="date")
    level = pl.when(supplied > 0).then(supplied.log())
    steps = [step for step in range(-_AROUND, _AROUND + 1) if step]

    def around(value: pl.Expr) -> list[pl.Expr]:
        return [value.shift(step).over("csu", order_by="date") for step in steps]

    # The days around without what was lost between them and this day, so that a loss is a step in both or in neither.
    unlost = [before + since - gone for before, since in zip(around(supplied), around(gone), strict=True)]
    panel = panel.with_columns(
        pl.concat_list(around(level)).alias("_around"),
        pl.concat_list([pl.when(one > 0).then(one.log()) for one in unlost]).alias("_unlost"),
        level.alias("_level"),
    )

    def spike(values: str) -> pl.Expr:
        known = pl.col(values).list.drop_nulls()
        return (known.list.len() >= _AROUND) & ((pl.col("_level") - known.list.median()).abs() > _SPIKE)

    before = borrowed.shift(1).over("csu", order_by="date").fill_null(0.0)
    rules = {
        "price_disagrees": (pl.col("disagreeing_usd") > _DISAGREEING_SHARE * supplied) & (supplied > 0),
        "tvl_spike": spike("_around") & spike("_unlost"),
        "borrowed_over_supplied": borrowed > _OVER_LENT * supplied,
        "liquidations_exceed_debt": borrowed.is_not_null()
        & (liquidated - lost > borrowed + before)
        & (liquidated > 1.0),
        "dust_storm": (pl.col("liquidation_count") >= _STORM)
        & (pl.col("liquidations_dust_count") >= _DUST_SHARE * pl.col("liquidation_count")),
        **{code: pl.col(code) for code in FLAGS if code in panel.columns},
    }
    codes = [pl.when(rule.fill_null(False)).then(pl.lit(code)) for code, rule in rules.items()]
    flags = pl.concat_list(codes).list.drop_nulls().list.join(";")
    return panel.with_columns(flags.alias("flags")).drop("_around", "_unlost", "_level")
