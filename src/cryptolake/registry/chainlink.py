"""The Chainlink price feeds by chain, and which tokens are the plain-name numeraires `eth` and `btc`.

What does not belong here: asking a feed. Its `decimals()` are read on the chain, never taken from here.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import polars as pl


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed contract that prices a token. `base` and `quote` are its pair (`ETH`, `USD`); `verified` by two sources."""

    chain: str
    token: str
    symbol: str
    address: str
    base: str
    quote: str
    verified: bool


@lru_cache(maxsize=1)
def feeds() -> tuple[Feed, ...]:
    """Every feed with a plain pair. Feeds wrapped for one market ("as configured in the Comet") have none: left out."""
    text = (files("cryptolake.registry") / "data" / "chainlink_feeds.csv").read_text("utf-8")
    found = []
    for row in csv.DictReader(text.splitlines()):
        base, slash, quote = row["pair"].partition(" / ")
        if slash:
            found.append(
                Feed(
                    row["chain"],
                    row["token_address"],
                    row["token_symbol"],
                    row["feed_address"],
                    base.strip(),
                    quote.strip(),
                    row["status"] == "verified",
                )
            )
    return tuple(found)


def named_tokens() -> pl.DataFrame:
    """Tokens that are a plain-name numeraire one to one (columns chain, asset, name): wrapped ether is `eth`.

    No token stands for `btc`: every wrapped bitcoin may lose its peg.
    """
    found = sorted({(one.chain, one.token) for one in feeds() if (one.base, one.quote) == ("ETH", "USD")})
    rows = [(chain, token, "eth") for chain, token in found]
    return pl.DataFrame(rows, schema={"chain": pl.String, "asset": pl.String, "name": pl.String}, orient="row")
