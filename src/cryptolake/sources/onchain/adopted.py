"""Answers that were taken over from a folder somebody kept: the documented form of a day, whose numbers nobody was asked for.

They are read like answers, graded `unproven` and suspect until the chain itself is asked. What does not belong here: finding
the files and keeping them (work.adopt), and reading what the chain answered (the families).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Skip
from cryptolake.net.abi import checksum
from cryptolake.registry.markets import Csu

_MARK = "adopted"
SECTIONS = {"tvl": "tvl_raw", "liquidations": "liquidations"}
"""Where the rows of each dataset stand in its documented form."""

_HEX = frozenset("0123456789abcdefABCDEF")
_PRICE = ("price_raw", "price_unit")
# Of each dataset what every row has: addresses, whole numbers as decimal text, small whole numbers, text; and what it may lack.
_FIELDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "tvl": {
        "address": ("asset",),
        "number": ("total_supplied_raw", "total_borrowed_raw", "cash_raw", "collateral_raw"),
        "count": ("decimals",),
        "text": ("symbol",),
        "maybe": (*_PRICE, "price_quote", "price_source"),
    },
    "liquidations": {
        "address": ("collateral_asset", "debt_asset"),
        "number": ("collateral_amount_raw", "debt_amount_raw"),
        "count": ("collateral_decimals", "debt_decimals", "block", "timestamp", "log_index"),
        "text": ("collateral_symbol", "debt_symbol", "tx", "block_hash", "liquidator"),
        "maybe": (
            "borrower",
            "extra",
            *(f"{side}_{name}" for side in ("collateral", "debt") for name in (*_PRICE, "price_quote")),
        ),
    },
}


def adopted_raw(partition: Partition, chain: str, document: Mapping[str, Any], name: str, now: datetime) -> Raw:
    """A documented day as an answer for bronze; `name` is how its file is called, `now` when it was taken over (UTC).

    Raises Skip where it does not say of which block it is.
    """
    block, block_hash, stamp = (document.get(one) for one in ("block", "block_hash", "timestamp"))
    if not (isinstance(block, int) and isinstance(block_hash, str) and isinstance(stamp, int)):
        raise Skip(f"{name}: block, block_hash and timestamp must say of which block it is", reason="unreadable")
    payload = {"csu": partition.key, _MARK: name, "document": document}
    told = {"endpoint": f"taken over from {name}"} | ({"sandbox": "true"} if document.get("sandbox") else {})
    return Raw(
        partition=partition,
        source="onchain",
        fetched_at=now,
        observed_at=datetime.fromtimestamp(stamp, UTC),
        payload=orjson.dumps(payload, option=orjson.OPT_SORT_KEYS),
        request={"chain": chain, "dataset": partition.dataset},
        provenance=told,
        block=block,
        block_hash=block_hash,
    )


def taken_over(content: object) -> str | None:
    """What is to be said of an answer that was taken over; None of any other."""
    if not isinstance(content, Mapping) or _MARK not in content:
        return None
    return f"taken over from {content[_MARK]}, and nobody was asked; the next collection asks"


def adopted_rows(csu: Csu, raw: Raw, content: Mapping[str, Any]) -> list[Row]:
    """The rows of an answer that was taken over, as the chain's own would be read. Raises Skip naming what does not fit."""
    document, dataset = content["document"], raw.partition.dataset
    listed = document.get(SECTIONS[dataset])
    if not isinstance(listed, list):
        raise _unreadable(raw, f"no list {SECTIONS[dataset]!r}")
    if str(document.get("date", raw.partition.period)) != str(raw.partition.period):
        raise _unreadable(raw, f"it is of {document['date']}")
    if not _within(raw, document["timestamp"]):
        raise _unreadable(raw, f"its block is of {raw.observed_at:%Y-%m-%d %H:%M} UTC, which is not in the day")
    shared = {"csu": csu.name, "date": raw.partition.period.day, "chain": csu.chain}
    if dataset == "tvl":
        shared |= {"block": document["block"], "block_hash": document["block_hash"], "timestamp": document["timestamp"]}
    return [{**shared, **_row(raw, dataset, number, one)} for number, one in enumerate(listed, 1)]


def _row(raw: Raw, dataset: str, number: int, said: object) -> dict[str, object]:
    if not isinstance(said, Mapping):
        raise _unreadable(raw, f"row {number} is no object")
    found: dict[str, object] = {}
    for kind, names in _FIELDS[dataset].items():
        for name in names:
            try:
                found[name] = _READ[kind](said.get(name))
            except (TypeError, ValueError):
                raise _unreadable(
                    raw, f"row {number} says {name} {said.get(name)!r}, which is no {_WORDS[kind]}"
                ) from None
    for name in (one for one in names_of_prices(dataset) if found[one] is not None):
        found[name] = _number(found[name])
    if dataset == "liquidations" and not _within(raw, found["timestamp"]):
        raise _unreadable(raw, f"row {number} happened on another day")
    if dataset == "tvl":
        found["price_source"] = None if found["price_raw"] is None else "protocol_oracle"
    else:
        extra = found["extra"]
        found["extra"] = extra if isinstance(extra, str) else orjson.dumps(extra or {}).decode()
    return found


def names_of_prices(dataset: str) -> list[str]:
    """The fields of a row that are whole numbers where there is a price."""
    return [name for name in _FIELDS[dataset]["maybe"] if name.endswith(_PRICE)]


def _within(raw: Raw, stamp: object) -> bool:
    period = raw.partition.period
    return isinstance(stamp, int) and period.start.timestamp() <= stamp < period.end.timestamp()


def _address(value: object) -> str:
    if not (isinstance(value, str) and value.startswith("0x") and len(value) == 42 and _HEX.issuperset(value[2:])):
        raise ValueError(value)
    return checksum(value)


def _number(value: object) -> str:
    """A whole number of any size as decimal text. A JSON number above 2^53 would have lost digits."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) and value < 2**53 else value
    if not (isinstance(text, str) and text.isascii() and text.isdecimal()):
        raise ValueError(value)
    return text


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value


_READ: Mapping[str, Any] = {
    "address": _address, "number": _number, "count": _count, "text": _text, "maybe": lambda value: value,
}  # fmt: skip
_WORDS = {"address": "address", "number": "whole number as decimal text", "count": "whole number", "text": "text"}


def _unreadable(raw: Raw, why: str) -> Skip:
    return Skip(f"{raw.partition}: {why}; correct the file", reason="unreadable")
