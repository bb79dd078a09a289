"""`Output` and `Built`: what a step tells about what it made, and about what it could not make."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Built:
    """What was made, and the market-days (`evidence.EVIDENCE`) that were answered and have no number all the same."""

    outputs: list[Output]
    lacking: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Output:
    """One thing a step made: a table or file, how many rows it holds and where it is."""

    what: str
    rows: int
    where: str
