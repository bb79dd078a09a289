"""Opens a figure of the panel into what it is the sum, the quotient or the number of, with the panel's own rules. No I/O.

What does not belong here: who told the prices, and which answers the amounts come from (`work.why`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from cryptolake.gold.left_out import left_out
from cryptolake.gold.totals import EVENT_SUMS, OWN_SUMS, PARTIAL, SUMS, at_most, bounded

UNFILTERED = "unfiltered_tvl_usd"  # net TVL of which nothing is left out
NEEDS_HISTORY = "priced_value_share"  # the one figure that looks at the days before: what has no price had one then
_RATIOS = {"utilization_rate": ("total_borrowed_usd", "total_supplied_usd")}
_COUNTS = {
    "num_assets": "assets listed at the snapshot",
    "liquidation_count": "liquidations of the day",
    "liquidations_dust_count": "liquidations of the day that repaid less than 5 USD",
}
_FACTS = {
    "priced_share": "assets with a price / assets listed",
    NEEDS_HISTORY: "value that has a price / all value; what has none counts at its last price, or 1,000,000 USD a token",
    "price_age_s_max": "the age of the oldest price used",
    "block": "the block of the snapshot",
}


@dataclass(frozen=True, slots=True)
class Term:
    """One product in the sum: `amount` (tokens) x `price` (USD) = `usd`.

    `what` is the side of silver (cash, collateral, supplied, borrowed, debt), `where` the asset, or the event as transaction
    and log index. `raw` is all that the contract says there is, unscaled, with `decimals`; `left_out` is what the registry's
    exclusions take out of that (tokens), so that `amount` is the rest. `price` and `usd` are null where nobody told a price.
    """

    what: str
    where: str
    asset: str
    symbol: str
    amount: float
    raw: str
    decimals: int | None
    price: float | None
    usd: float | None
    left_out: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenedFigure:
    """What a figure is made of: `formula` in words, its `terms` or the `inputs` of a quotient, and what these come to."""

    formula: str
    terms: Sequence[Term] = ()
    inputs: Mapping[str, float | None] = field(default_factory=dict)
    adds_up: float | None = None


def opened(
    column: str, row: Mapping[str, Any], tvl: pl.DataFrame, happened: pl.DataFrame, flagged: pl.DataFrame
) -> OpenedFigure:
    """Open a figure of the panel's `row` by the rows of silver that it is made of.

    `tvl`, `happened` (liquidations) and `flagged` (`flagged_markets`) are those of the market's day; `tvl` of the days up to
    it for `NEEDS_HISTORY`.
    """
    today = tvl.filter(pl.col("date") == row["date"])
    total = "total_tvl_usd" if column == UNFILTERED else PARTIAL.get(column, column)
    if total in SUMS or total in OWN_SUMS:
        held = today if column == UNFILTERED else left_out(today, flagged).select(today.columns)
        return _of_assets(total, today, held)
    if total in EVENT_SUMS:
        return _of_events(EVENT_SUMS[total].removesuffix("_usd"), happened)
    if column in _RATIOS:
        inputs = {name: row[name] for name in _RATIOS[column]}
        above, below = inputs.values()
        return OpenedFigure(
            " / ".join(inputs), inputs=inputs, adds_up=above / below if above is not None and below else None
        )
    if column in _COUNTS:
        number = {
            "num_assets": today.height,
            "liquidation_count": happened.height,
            "liquidations_dust_count": happened.filter("is_dust").height,
        }[column]
        return OpenedFigure(f"the number of {_COUNTS[column]}", adds_up=float(number))
    found = _fact(column, tvl, today, flagged) if row[column] is not None else {}
    return OpenedFigure(_FACTS[column], inputs=found, adds_up=_quotient(found))


def _of_assets(total: str, today: pl.DataFrame, held: pl.DataFrame) -> OpenedFigure:
    own = total in OWN_SUMS
    ending, price = ("_own_usd", "own_price") if own else ("_usd", "price")
    sides = [part.removesuffix(ending) for part in (OWN_SUMS if own else SUMS)[total]]
    before = {one["asset"]: one for one in today.iter_rows(named=True)}
    terms = [
        Term(
            what=side,
            where=one["asset"],
            asset=one["asset"],
            symbol=one["symbol"],
            amount=one[side],
            raw=one[f"{side}_raw"],
            decimals=one["decimals"],
            price=one[price],
            usd=one[f"{side}{ending}"],
            left_out=before[one["asset"]][side] - one[side],
        )
        for one in held.iter_rows(named=True)
        for side in sides
    ]
    by = "what the market's own oracle says" if own else "price"
    formula = "the sum over all assets of " + " + ".join(f"{side} x {by}" for side in sides)
    return _summed(formula, terms)


def _of_events(side: str, happened: pl.DataFrame) -> OpenedFigure:
    terms = [
        Term(
            what=side,
            where=f"{one['tx']}:{one['log_index']}",
            asset=one[f"{side}_asset"],
            symbol=one[f"{side}_symbol"],
            amount=one[f"{side}_amount"],
            raw=one[f"{side}_amount_raw"],
            decimals=None,
            price=one[f"{side}_price"],
            usd=one[f"{side}_usd"],
        )
        for one in happened.sort("tx", "log_index").iter_rows(named=True)
    ]
    return _summed(f"the sum over all liquidations of {'repaid' if side == 'debt' else 'seized'} x price", terms)


def _summed(formula: str, terms: Sequence[Term]) -> OpenedFigure:
    return OpenedFigure(formula, terms, adds_up=math.fsum(term.usd for term in terms if term.usd is not None))


def _fact(column: str, tvl: pl.DataFrame, today: pl.DataFrame, flagged: pl.DataFrame) -> dict[str, float | None]:
    """What a figure about the row is read from or divided by; of two the first by the second."""
    priced = today.filter(pl.col("price").is_not_null())
    if column == "priced_share":
        return {"assets with a price": float(priced.height), "assets listed": float(today.height)}
    if column == "block":
        return {"block": float(today["block"].max())}  # type: ignore[arg-type]
    if column == "price_age_s_max":
        oldest = priced.sort(pl.col("price_age_s").abs(), "asset", descending=[True, False]).head(1)
        return {
            f"age of the price of {one['symbol']} {one['asset'][:10]}…": abs(one["price_age_s"])
            for one in oldest.iter_rows(named=True)
        }
    worth = bounded(left_out(tvl, flagged)).join(today, on=["csu", "date", "asset"], how="semi")
    with_price, without = (
        float(worth.filter(has).select(at_most().sum()).item())
        for has in (pl.col("price").is_not_null(), pl.col("price").is_null())
    )
    return {"value that has a price": with_price, "all value, at most": with_price + without}


def _quotient(found: Mapping[str, float | None]) -> float | None:
    """The one number, or the first by the second; 1 where nothing is of any value."""
    if not found:
        return None
    first, second = (*found.values(), 1.0)[:2]
    return None if first is None or second is None else first / second if second else 1.0
