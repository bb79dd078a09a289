"""Artemis: `source` asks in batches of symbols and windows of days, `readers` reads what came. See docs/sources/artemis.md."""

from cryptolake.sources.artemis.source import Artemis, open_source

__all__ = ["Artemis", "open_source"]
