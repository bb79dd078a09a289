"""The Chainlink price feeds by chain, typed and linted, and which tokens are the plain-name numeraires `eth` and `btc`.

What does not belong here: asking a feed. A feed is not the protocol's own price: see the families.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.loader import package_chains

_COLUMNS = [
    *("chain", "token_address", "token_symbol", "feed_address", "pair", "decimals"),
    *("decimals_source", "heartbeat_s", "status", "note", "source"),
]
_STATUSES = ("verified", "single-source", "unverified")
_FILE = "chainlink_feeds.csv"
_UNNAMED = "as configured in the Comet"  # a pair that the source of the row does not name


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed contract that prices a token. `base` and `quote` are its pair (`ETH`, `USD`); `verified` by two sources.

    `base` can be another name than the token's (`WETH` is priced as `ETH`): then `note` says so. `decimals` scale the
    answer; where not `decimals_certain` they follow the convention and must be read on the chain. `heartbeat_s` is the
    longest silence in seconds that is normal, None where it is not known. `token` and `address` are EIP-55.
    """

    chain: str
    token: str
    symbol: str
    address: str
    base: str
    quote: str
    verified: bool
    decimals: int = 8
    decimals_certain: bool = False
    heartbeat_s: int | None = None
    note: str = ""
    sources: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def feeds() -> tuple[Feed, ...]:
    """Every feed with a plain pair. Feeds wrapped for one market ("as configured in the Comet") have none: left out."""
    text = (files("cryptolake.registry") / "data" / _FILE).read_text("utf-8")
    return read_feeds(text, package_chains())


def named_tokens() -> pl.DataFrame:
    """Tokens that are a plain-name numeraire one to one (columns chain, asset, name): wrapped ether is `eth`.

    No token stands for `btc`: every wrapped bitcoin may lose its peg.
    """
    found = sorted({(one.chain, one.token) for one in feeds() if (one.base, one.quote) == ("ETH", "USD")})
    rows = [(chain, token, "eth") for chain, token in found]
    return pl.DataFrame(rows, schema={"chain": pl.String, "asset": pl.String, "name": pl.String}, orient="row")


def read_feeds(text: str, chains: Collection[str]) -> tuple[Feed, ...]:
    """Feeds from CSV text, those with a plain pair. Raises BadInput with every fault at once, each with its line."""
    reader = csv.DictReader(text.splitlines())
    if list(reader.fieldnames or ()) != _COLUMNS:
        raise BadInput(f"{_FILE}:1: the columns must be {','.join(_COLUMNS)}")
    faults: list[str] = []
    found: list[Feed] = []
    seen: dict[tuple[str, str, str], int] = {}
    for row in reader:
        where = f"{_FILE}:{reader.line_num}: {row['chain']} {row['token_symbol']}: "
        before = len(faults)
        faults += [where + fault for fault in _faults(row, chains)]
        pair = (row["chain"], row["token_address"], row["pair"])
        if (other := seen.setdefault(pair, reader.line_num)) != reader.line_num:
            faults.append(f"{where}the pair {row['pair']} of this token stands in line {other} already")
        if len(faults) == before and row["pair"] != _UNNAMED:
            found.append(_feed(row))
    if faults:
        raise BadInput(f"registry, {len(faults)} fault{'s' * (len(faults) > 1)}: " + "; ".join(faults))
    return tuple(found)


def _faults(row: Mapping[str, str], chains: Collection[str]) -> list[str]:
    if None in row.values() or None in row:
        return [f"the row needs {counted(len(_COLUMNS), 'cell')}"]
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


def _feed(row: Mapping[str, str]) -> Feed:
    base, quote = row["pair"].split(" / ")
    return Feed(
        chain=row["chain"],
        token=row["token_address"],
        symbol=row["token_symbol"],
        address=row["feed_address"],
        base=base,
        quote=quote,
        verified=row["status"] == "verified",
        decimals=int(row["decimals"]),
        decimals_certain=not row["decimals_source"].startswith("convention"),
        heartbeat_s=int(row["heartbeat_s"]) if row["heartbeat_s"] else None,
        note=row["note"],
        sources=tuple(row["source"].split(" | ")),
    )
