"""The price feeds worth asking for a day's prices, and which tokens are the plain-name numeraire `eth`.

What does not belong here: the rows themselves (`chainlink`) and asking a feed; its `decimals()` are read on the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from cryptolake.registry.chainlink import chainlink_feeds


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
    """Every feed with a named pair, in the file's order. Feeds wrapped for one market name none: left out."""
    return tuple(
        Feed(one.chain, one.token, one.symbol, one.feed, one.base, one.quote, one.status == "verified")
        for several in chainlink_feeds().values()
        for one in several
        if one.base is not None and one.quote is not None
    )


@lru_cache(maxsize=1)
def named_tokens() -> pl.DataFrame:
    """Tokens that are a plain-name numeraire one to one (columns chain, asset, name): wrapped ether is `eth`.

    No token stands for `btc`: every wrapped bitcoin may lose its peg.
    """
    found = sorted({(one.chain, one.token) for one in feeds() if (one.base, one.quote) == ("ETH", "USD")})
    rows = [(chain, token, "eth") for chain, token in found]
    return pl.DataFrame(rows, schema={"chain": pl.String, "asset": pl.String, "name": pl.String}, orient="row")
