"""Bronze rows of the on-chain datasets, in the documented fields: amounts as decimal text, nothing scaled. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import AssetFacts, BadDebt, Liquidation, Reserve


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """The block that state was read at, as the answer's own content says: what stands beside it nobody believes.

    `timestamp` is in seconds since 1970, UTC; `hash` is None where the content does not say it.
    """

    number: int
    hash: str | None
    timestamp: int

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> ReadBlock:
        """That of a snapshot's content. Raises KeyError where it names none."""
        return cls(content["block"], content.get("block_hash"), content["timestamp"])


def _number(value: int | None) -> str | None:
    """An integer of any size as decimal text: JSON and Parquet have no uint256."""
    return None if value is None else str(value)


def tvl_row(csu: Csu, day: date, block: ReadBlock, reserve: Reserve) -> Row:
    """One reserve of a snapshot of a day."""
    return {
        "csu": csu.name,
        "date": day,
        "chain": csu.chain,
        "block": block.number,
        "block_hash": block.hash,
        "timestamp": block.timestamp,
        "asset": reserve.asset,
        "symbol": reserve.symbol,
        "decimals": reserve.decimals,
        "total_supplied_raw": _number(reserve.supplied_raw),
        "total_borrowed_raw": _number(reserve.borrowed_raw),
        "cash_raw": _number(reserve.cash_raw),
        "collateral_raw": _number(reserve.collateral_raw),
        "price_raw": _number(reserve.price_raw),
        "price_unit": _number(reserve.price_unit),
        "price_quote": reserve.price_quote,
        "price_source": None if reserve.price_raw is None else "protocol_oracle",
    }


def liquidation_row(csu: Csu, raw: Raw, timestamp: int, event: Liquidation, facts: Mapping[str, AssetFacts]) -> Row:
    """One settled event; `timestamp` is its block's (seconds since 1970, UTC)."""
    row: dict[str, object] = {
        "csu": csu.name,
        "date": raw.partition.period.day,
        "chain": csu.chain,
        "block": event.block,
        "block_hash": event.block_hash,
        "timestamp": timestamp,
        "tx": event.tx,
        "log_index": event.log_index,
        "liquidator": event.liquidator,
        "borrower": event.borrower,
        "extra": orjson.dumps(dict(event.extra), option=orjson.OPT_SORT_KEYS).decode(),
    }
    for side, asset, amount in (
        ("collateral", event.collateral_asset, event.collateral_amount_raw),
        ("debt", event.debt_asset, event.debt_amount_raw),
    ):
        found = facts[asset]
        row |= {
            f"{side}_asset": asset,
            f"{side}_symbol": found.symbol,
            f"{side}_decimals": found.decimals,
            f"{side}_amount_raw": _number(amount),
            f"{side}_price_raw": _number(found.price_raw),
            f"{side}_price_unit": _number(found.price_unit),
            f"{side}_price_quote": found.price_quote,
        }
    return row


def bad_debt_row(csu: Csu, raw: Raw, timestamp: int, one: BadDebt, facts: AssetFacts) -> Row:
    """One event of bad debt in its token, whose facts these are; `timestamp` is its block's (seconds since 1970, UTC)."""
    return {
        "csu": csu.name,
        "date": raw.partition.period.day,
        "chain": csu.chain,
        "kind": one.kind,
        "block": one.block,
        "block_hash": one.block_hash,
        "timestamp": timestamp,
        "tx": one.tx,
        "log_index": one.log_index,
        "borrower": one.borrower,
        "asset": one.asset,
        "symbol": facts.symbol,
        "decimals": facts.decimals,
        "amount_raw": _number(one.amount_raw),
    }


def not_asked_row(csu: Csu, raw: Raw) -> Row:
    """Says that an answer was given to a question in which bad debt did not occur."""
    return {"csu": csu.name, "date": raw.partition.period.day, "chain": csu.chain, "kind": "not_asked"}
