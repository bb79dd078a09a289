"""What CoinGecko is asked: its datasets, and the keys that name how deep the market is read. Asks nothing itself."""

from __future__ import annotations

import re

from cryptolake.contracts.source import Dataset
from cryptolake.errors import Skip

COINS_MARKETS = Dataset(
    "coins_markets",
    feeds="staging_crypto_market",
    doc="the largest coins with price, capitalisation, volume and supply; key topN, the N largest",
    reach="as_of",
    every="hour",
    history=False,
)
MARKET_GLOBAL = Dataset(
    "market_global",
    feeds="crypto_market_global",
    doc="capitalisation and volume of the whole market, for true dominance",
    reach="as_of",
    every="hour",
    history=False,
)
MARKET_CHART = Dataset(
    "market_chart",
    feeds="metrics",
    doc="daily price, capitalisation and volume of a coin, 365 days back (all of it with a pro key), and live its supplies too",
    reach="whole_history",
)
PER_PAGE = 250  # the vendor's largest page
_TOP = re.compile(r"top([1-9][0-9]{0,5})(-[0-9]{6}Z)?")


def top_of(key: str) -> int:
    """How many coins a key (`top1000`, or a run's `top1000-072337Z`) asks for. Raises Skip for any other text."""
    match = _TOP.fullmatch(key)
    if match is None:
        raise Skip(f"coingecko: {key} is no key of {COINS_MARKETS.name}; write top1000", reason="unknown_entity")
    return int(match.group(1))
