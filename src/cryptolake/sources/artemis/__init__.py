"""Artemis: `source` asks in batches of symbols and windows of days, `readers` reads what came. See docs/sources/artemis.md."""

from cryptolake.sources.artemis.source import VENDOR, Artemis, open_source, try_key

__all__ = ["VENDOR", "Artemis", "open_source", "try_key"]
