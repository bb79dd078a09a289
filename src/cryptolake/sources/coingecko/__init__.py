"""CoinGecko: coins page by page, the totals over all coins, and price history per coin.

`questions` says what is asked, `asking` by which way, `refusals` what is no answer, `reading` how answers are read; `source`
asks for the coins, `prices` for what single tokens cost. What does not belong here: cleaning and derived columns
(`silver.crypto_market`), tiers (`registry.coingecko`) and where answers are kept.
See docs/sources/coingecko.md for endpoints, fields and quirks.
"""

from cryptolake.registry.coingecko import DEFAULT_TOP
from cryptolake.sources.coingecko.asking import VENDOR, try_key
from cryptolake.sources.coingecko.prices import PRICES, open_prices
from cryptolake.sources.coingecko.questions import COINS_MARKETS, MARKET_CHART, MARKET_GLOBAL, top_of
from cryptolake.sources.coingecko.source import CoinGecko, open_source

__all__ = [
    "COINS_MARKETS",
    "DEFAULT_TOP",
    "MARKET_CHART",
    "MARKET_GLOBAL",
    "PRICES",
    "VENDOR",
    "CoinGecko",
    "open_prices",
    "open_source",
    "top_of",
    "try_key",
]
