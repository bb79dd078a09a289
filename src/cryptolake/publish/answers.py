"""A query's rows as a frame: repeated column names told apart, NUMERIC as plain numbers. Asks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import polars as pl


def answer_frame(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """The frame of an answer; types are inferred from all of its values."""
    if any(isinstance(cell, Decimal) for row in rows for cell in row):
        rows = [tuple(_plain(cell) for cell in row) for row in rows]
    return pl.DataFrame(rows, schema=_distinct(names), orient="row", infer_schema_length=None, strict=False)


def _distinct(names: Sequence[str]) -> list[str]:
    """Column names with a number after each repetition: `count, count` becomes `count, count_2`."""
    taken: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.append(candidate)
    return taken


def _plain(cell: object) -> object:
    """A NUMERIC as a float, or as an integer where it has no decimals and fits 64 bits.

    A fixed-point column holds 38 digits at most and would lose the extremes of a market (1.2e-09 next to 1.6e+37).
    """
    if not isinstance(cell, Decimal):
        return cell
    if cell.is_finite() and int(cell.as_tuple().exponent) >= 0 and abs(cell) < 2**63:
        return int(cell)
    return float(cell)
