"""`Made`: what a step tells about one thing it made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Made:
    """One thing a step made: a table or file, how many rows it holds and where it is."""

    what: str
    rows: int
    where: str
