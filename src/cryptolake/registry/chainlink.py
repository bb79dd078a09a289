"""Chainlink price feeds by chain and token, typed and linted. A feed is not the protocol's own price: see families.

What does not belong here: reading a feed from the chain.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.loader import load_registry

_COLUMNS = [
    *("chain", "token_address", "token_symbol", "feed_address", "pair", "decimals"),
    *("decimals_source", "heartbeat_s", "status", "note", "source"),
]
_STATUSES = ("verified", "single-source", "unverified")
_FILE = "chainlink_feeds.csv"
_UNNAMED = "as configured in the Comet"  # a pair that the source of the row does not name


@dataclass(frozen=True, slots=True)
class ChainlinkFeed:
    """The price of one whole `base` in `quote` (as in the pair, e.g. `AAVE`, `USD`); both None where no source names them.

    `base` can be another name than the token's (`WETH` is priced as `ETH`): then `note` says so. `decimals` scale the
    answer; where `decimals_certain` is False they follow the convention and must be read from the feed. `heartbeat_s` is
    the longest silence in seconds that is normal, None where it is not known. `token` and `feed` are EIP-55 addresses.
    """

    chain: str
    token: str
    symbol: str
    feed: str
    base: str | None
    quote: str | None
    decimals: int
    decimals_certain: bool
    heartbeat_s: int | None
    status: str
    note: str
    sources: tuple[str, ...]


@lru_cache(maxsize=1)
def chainlink_feeds() -> Mapping[tuple[str, str], tuple[ChainlinkFeed, ...]]:
    """The package's feeds by (chain, token address); several where a token is priced in several quotes."""
    text = (files("cryptolake.registry") / "data" / _FILE).read_text("utf-8")
    return read_feeds(text, load_registry().chains)


def read_feeds(text: str, chains: Collection[str]) -> Mapping[tuple[str, str], tuple[ChainlinkFeed, ...]]:
    """Feeds from CSV text. Raises BadInput with every fault at once, each with its line."""
    reader = csv.DictReader(text.splitlines())
    if list(reader.fieldnames or ()) != _COLUMNS:
        raise BadInput(f"{_FILE}:1: the columns must be {','.join(_COLUMNS)}")
    faults: list[str] = []
    found: dict[tuple[str, str], list[ChainlinkFeed]] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for row in reader:
        where = f"{_FILE}:{reader.line_num}: {row['chain']} {row['token_symbol']}: "
        before = len(faults)
        faults += [where + fault for fault in _faults(row, chains)]
        pair = (row["chain"], row["token_address"], row["pair"])
        if (other := seen.setdefault(pair, reader.line_num)) != reader.line_num:
            faults.append(f"{where}the pair {row['pair']} of this token stands in line {other} already")
        if len(faults) == before:
            found.setdefault(pair[:2], []).append(_feed(row))
    if faults:
        raise BadInput(f"registry, {len(faults)} fault{'s' * (len(faults) > 1)}: " + "; ".join(faults))
    return {key: tuple(feeds) for key, feeds in found.items()}


def _faults(row: Mapping[str, str], chains: Collection[str]) -> list[str]:
    if None in row.values() or None in row:
        return [f"the row needs {len(_COLUMNS)} cells"]
    found = []
    if row["chain"] not in chains:
        found.append(f"unknown chain {row['chain']!r}")
    for column in ("token_address", "feed_address"):
        try:
            right = checksum(row[column])
        except ValueError:
            found.append(f"{column} {row[column]!r} is no address")
        else:
            if right != row[column]:
                found.append(f"{column} {row[column]!r} fails EIP-55; if every digit is right it reads {right}")
    if row["pair"] != _UNNAMED and len(row["pair"].split(" / ")) != 2:
        found.append(f"pair {row['pair']!r} must read like 'ETH / USD'")
    if not row["decimals"].isdigit() or int(row["decimals"]) > 36:
        found.append(f"decimals {row['decimals']!r} must be a whole number up to 36")
    if row["heartbeat_s"] and not row["heartbeat_s"].isdigit():
        found.append(f"heartbeat_s {row['heartbeat_s']!r} must be whole seconds or empty")
    if row["status"] not in _STATUSES:
        found.append(f"status {row['status']!r} must be one of {', '.join(_STATUSES)}")
    if not row["source"]:
        found.append("a source must be named")
    return found


def _feed(row: Mapping[str, str]) -> ChainlinkFeed:
    base, quote = row["pair"].split(" / ") if row["pair"] != _UNNAMED else (None, None)
    return ChainlinkFeed(
        chain=row["chain"],
        token=row["token_address"],
        symbol=row["token_symbol"],
        feed=row["feed_address"],
        base=base,
        quote=quote,
        decimals=int(row["decimals"]),
        decimals_certain=not row["decimals_source"].startswith("convention"),
        heartbeat_s=int(row["heartbeat_s"]) if row["heartbeat_s"] else None,
        status=row["status"],
        note=row["note"],
        sources=tuple(row["source"].split(" | ")),
    )
