"""DefiLlama: `questions` says what is asked, `asking` by which way, `readers` how answers are read, `lookups` who is who.

`source` asks for series, `prices` for what tokens cost, `protocol` for whole protocols. What does not belong here: which
point of a series counts (`silver.metrics`) and where answers are kept. See docs/sources/defillama.md for endpoints, fields
and quirks.
"""

from cryptolake.sources.defillama.asking import VENDOR, try_key
from cryptolake.sources.defillama.prices import PRICES, open_prices
from cryptolake.sources.defillama.source import DefiLlama, open_source

__all__ = ["PRICES", "VENDOR", "DefiLlama", "open_prices", "open_source", "try_key"]
