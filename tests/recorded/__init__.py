"""Answers that others recorded from the real services, whole or shortened: what tests read back. README.md says whose."""

from __future__ import annotations

import gzip
from pathlib import Path

FOLDER = Path(__file__).parent


def recorded(name: str) -> bytes:
    """The body of this recording, e.g. `coingecko/global.json`."""
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes())
