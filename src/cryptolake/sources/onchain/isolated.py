"""Isolated markets: what a family says of each lending pair inside its contract, and its row. No I/O.

A family whose contract anyone may open a market in offers `isolated` beside `snapshot`; it asks nothing more, so that the
stored answers of every past day give it too. What does not belong here: any family's name, and values in USD (silver).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cryptolake.contracts.source import Row
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.rows import ReadBlock


@dataclass(frozen=True, slots=True)
class Isolated:
    """One isolated market at a block; amounts are unscaled integers in the token's own units, addresses EIP-55.

    `supplied_raw` and `borrowed_raw` include interest up to the block; `interest_raw` is the part of both that was only
    counted since `touched` (seconds since 1970, UTC), when somebody last used the market. `pledged_raw` is all of the
    collateral token that the contract holds and that is not lent, `takers` how many markets it may lie in; `collateral_raw`
    is what lies in this one, None where that is not known. `own_price` is what its oracle says one whole collateral token
    is worth in whole loan tokens, as numerator and denominator; None where it says nothing. None stands for a collateral,
    oracle or rate model that the market has not.
    """

    market: str
    loan: str
    loan_symbol: str
    loan_decimals: int
    collateral: str | None
    collateral_symbol: str | None
    collateral_decimals: int | None
    oracle: str | None
    rate_model: str | None
    lltv_raw: int
    supplied_raw: int
    borrowed_raw: int
    interest_raw: int
    touched: int
    collateral_raw: int | None
    pledged_raw: int | None
    takers: int
    own_price: tuple[int, int] | None


def isolated_row(csu: Csu, day: date, block: ReadBlock, one: Isolated) -> Row:
    """One isolated market of a snapshot of a day."""
    price, unit = one.own_price or (None, None)
    return {
        "csu": csu.name,
        "date": day,
        "chain": csu.chain,
        "block": block.number,
        "timestamp": block.timestamp,
        "market": one.market,
        "loan_asset": one.loan,
        "loan_symbol": one.loan_symbol,
        "loan_decimals": one.loan_decimals,
        "collateral_asset": one.collateral,
        "collateral_symbol": one.collateral_symbol,
        "collateral_decimals": one.collateral_decimals,
        "oracle": one.oracle,
        "rate_model": one.rate_model,
        "lltv_raw": str(one.lltv_raw),
        "supplied_raw": str(one.supplied_raw),
        "borrowed_raw": str(one.borrowed_raw),
        "interest_raw": str(one.interest_raw),
        "touched": one.touched,
        "collateral_raw": _text(one.collateral_raw),
        "pledged_raw": _text(one.pledged_raw),
        "takers": one.takers,
        "price_raw": _text(price),
        "price_unit": _text(unit),
    }


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
