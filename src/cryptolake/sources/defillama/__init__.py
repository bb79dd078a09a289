"""DefiLlama: `questions` says what is asked, `readers` how answers are read, `lookups` who is who, `source` asks.

What does not belong here: which point of a series counts (`silver.metrics`) and where answers are kept. See
docs/sources/defillama.md for endpoints, fields and quirks.
"""

from cryptolake.sources.defillama.source import DefiLlama, open_source

__all__ = ["DefiLlama", "open_source"]
