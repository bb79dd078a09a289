"""Which days of the panel look wrong although they were answered: flags, never deletions. No I/O.

    price_disagrees           more than 5 % of what is deposited, pledged or owed hangs on prices that somebody contradicts:
                              other sources, or the market's own oracle, or on a number that its feed calls too old
    price_frozen              the same of prices that stood still for five days or more while the other valuation (the
                              market's own oracle, or the shared price) moved by more than 5 %
    price_unproven            more than 0.1 % of the same hangs on prices of a file that was taken over: nobody was asked
    tvl_spike                 deposits, or deposits and collateral, are more than twice, or less than half, of the days around
                              (three before, three after)
    borrowed_over_supplied    more than 105 % of the deposits are lent out
    liquidations_exceed_debt  more was liquidated than was owed on that day and the day before together
    seizure_disagrees         more than 5 % of what was liquidated is at contradicted prices, or more than twice as much
                              was seized as was repaid, or was repaid as was seized and is no bad debt
    event_price_unproven      more than 0.1 % of what was liquidated is at such prices
    repaid_own_price_only     where anyone may open markets, more than 5 % of what was repaid is in tokens that nobody but the
                              market prices
    dust_storm                a thousand liquidations or more, at least half of them dust

and the flags of `flagged_markets` where what they are about is a large part of the totals. The first four and those make a
day's TVL `suspect`; `liquidations_exceed_debt`, `seizure_disagrees`, `event_price_unproven` and `repaid_own_price_only` its
liquidations. What is
contradicted is weighed by the highest of its valuations, never by the price in doubt alone. What bad debt explains is no
spike, and was not liquidated: a day is not `suspect` for deposits or debt that are really lost.
"""

from __future__ import annotations

import math

import polars as pl

from cryptolake.contracts.market_flags import FLAGS
from cryptolake.contracts.prices import ORACLE

TVL_SUSPECT = ("price_disagrees", "price_frozen", "price_unproven", "tvl_spike", *FLAGS)
LIQUIDATIONS_SUSPECT = (
    "liquidations_exceed_debt",
    "seizure_disagrees",
    "event_price_unproven",
    "repaid_own_price_only",
)

_DISAGREEING_SHARE = 0.05
_UNPROVEN_SHARE = 0.001  # as much may lack a price
_FROZEN_DAYS, _MOVED = 5, 0.05
# Liquidation bonuses are below 50 %, and nobody repays more than he gets; of small sums nothing is said.
_SEIZED_AND_REPAID_APART, _SMALL_USD = 2.0, 1_000.0
_SPIKE = math.log(2)
_AROUND = 3  # days on each side; fewer than three known neighbours give no verdict
_OVER_LENT = 1.05
_STORM, _DUST_SHARE = 1_000, 0.5


def with_frozen(assets: pl.DataFrame) -> pl.DataFrame:
    """Silver `tvl` with a column `frozen`: whether `price` or `own_price` stood still for days while the other moved.

    The days are those up to the row's own. Where the market's own oracle is the only price, there is no other.
    """
    order = ["csu", "asset", "date"]
    frame = assets.select(*order, "price", "price_source", "own_price").with_row_index("_row").sort(order)
    same_asset = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in order[:2])
    stands = {
        "price": (pl.col("price") == pl.col("price").shift(1))
        & (pl.col("price_source") == pl.col("price_source").shift(1)),
        "own_price": pl.col("own_price") == pl.col("own_price").shift(1),
    }
    starts = {name: ~(same_asset & still).fill_null(value=False) for name, still in stands.items()}
    row = pl.int_range(pl.len())
    days = {name: row - pl.when(first).then(row).forward_fill() + 1 for name, first in starts.items()}
    # Within so many days that stand still all rows are of one asset, whatever the rows before it are.
    moved = {
        name: pl.col(name).rolling_max(_FROZEN_DAYS, min_samples=1)
        / pl.col(name).rolling_min(_FROZEN_DAYS, min_samples=1)
        for name in stands
    }
    found = [
        (days[one] >= _FROZEN_DAYS) & (moved[beside] > 1 + _MOVED)
        for one, beside in (("price", "own_price"), ("own_price", "price"))
    ]
    is_frozen = pl.any_horizontal(found) & (pl.col("price_source") != ORACLE)
    found_again = frame.select("_row", is_frozen.fill_null(value=False).alias("frozen")).sort("_row")
    return assets.with_columns(found_again["frozen"])


def flagged(panel: pl.DataFrame) -> pl.DataFrame:
    """`panel` with a column `flags`: codes joined by `;`. It is sorted by csu and date and says what is in doubt.

    That is `disagreeing_usd` and `frozen_usd` of `exposure_usd`, and of liquidations `disagreeing_events_usd` of `events_usd`
    and `repaid_by_own_usd` of `liquidations_usd` (weighed where a column `anyone` says that anyone may open markets there);
    `seized_of_priced_usd` and `repaid_of_priced_usd` are of those with both prices. A column named as a flag of
    `flagged_markets` says whether that holds of a large part of the day's totals. A null in a rule's inputs means that the
    rule says nothing. `bad_debt_usd` may be there: what was lost on each day.
    """
    unsaid = {"bad_debt_usd": 0.0, "anyone": False, "unproven_usd": 0.0, "unproven_events_usd": 0.0}
    panel = panel.with_columns(pl.lit(value).alias(name) for name, value in unsaid.items() if name not in panel.columns)
    supplied, borrowed = pl.col("total_supplied_usd"), pl.col("total_borrowed_usd")
    liquidated = pl.col("liquidations_usd")
    lost = pl.col("bad_debt_usd").fill_null(0.0)
    gone = lost.cum_sum().over("csu", order_by="date")

    def around(value: pl.Expr) -> list[pl.Expr]:
        return [value.shift(step).over("csu", order_by="date") for step in range(-_AROUND, _AROUND + 1) if step]

    # The days around without what was lost between them and this day, so that a loss is a step in both or in neither.
    unlost = {
        name: [before + since - gone for before, since in zip(around(pl.col(name)), around(gone), strict=True)]
        for name in _LEVELS
    }
    levels = {name: _log(pl.col(name)) for name in _LEVELS}
    panel = panel.with_columns(
        *(pl.concat_list(around(level)).alias(f"_around_{name}") for name, level in levels.items()),
        *(pl.concat_list(map(_log, values)).alias(f"_unlost_{name}") for name, values in unlost.items()),
    )

    def spike(level: pl.Expr, values: str) -> pl.Expr:
        known = pl.col(values).list.drop_nulls()
        return (known.list.len() >= _AROUND) & ((level - known.list.median()).abs() > _SPIKE)

    def apart(more: pl.Expr, less: pl.Expr) -> pl.Expr:
        return ((more > _SEIZED_AND_REPAID_APART * less) & (more > _SMALL_USD)).fill_null(value=False)

    spikes = [spike(level, f"_around_{name}") & spike(level, f"_unlost_{name}") for name, level in levels.items()]
    before = borrowed.shift(1).over("csu", order_by="date").fill_null(0.0)
    exposed = pl.col("exposure_usd")
    rules = {
        "price_disagrees": (pl.col("disagreeing_usd") > _DISAGREEING_SHARE * exposed) & (exposed > 0),
        "price_frozen": (pl.col("frozen_usd") > _DISAGREEING_SHARE * exposed) & (exposed > 0),
        "price_unproven": (pl.col("unproven_usd") > _UNPROVEN_SHARE * exposed) & (exposed > 0),
        "tvl_spike": pl.any_horizontal([one.fill_null(value=False) for one in spikes]),
        "borrowed_over_supplied": borrowed > _OVER_LENT * supplied,
        "liquidations_exceed_debt": borrowed.is_not_null()
        & (liquidated - lost > borrowed + before)
        & (liquidated > 1.0),
        "seizure_disagrees": (pl.col("disagreeing_events_usd") > _DISAGREEING_SHARE * pl.col("events_usd")).fill_null(
            value=False
        )
        | apart(pl.col("seized_of_priced_usd"), pl.col("repaid_of_priced_usd"))
        | apart(pl.col("repaid_of_priced_usd") - lost, pl.col("seized_of_priced_usd")),
        "event_price_unproven": pl.col("unproven_events_usd") > _UNPROVEN_SHARE * pl.col("events_usd"),
        "repaid_own_price_only": pl.col("anyone") & (pl.col("repaid_by_own_usd") > _DISAGREEING_SHARE * liquidated),
        "dust_storm": (pl.col("liquidation_count") >= _STORM)
        & (pl.col("liquidations_dust_count") >= _DUST_SHARE * pl.col("liquidation_count")),
        **{code: pl.col(code) for code in FLAGS if code in panel.columns},
    }
    codes = [pl.when(rule.fill_null(False)).then(pl.lit(code)) for code, rule in rules.items()]
    flags = pl.concat_list(codes).list.drop_nulls().list.join(";")
    return panel.with_columns(flags.alias("flags")).drop(
        f"_{kind}_{name}" for kind in ("around", "unlost") for name in levels
    )


_LEVELS = ("total_supplied_usd", "gross_tvl_usd")


def _log(value: pl.Expr) -> pl.Expr:
    return pl.when(value > 0).then(value.log())
