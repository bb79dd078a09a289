"""A query's rows as a frame: repeated column names told apart, NUMERIC as numbers, odd types as text. Asks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import orjson
import polars as pl

from cryptolake.contracts.quoting import distinct

_PLAIN = {type(None), bool, int, float, str, bytes, date, datetime, time, timedelta}


def answer_frame(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """The frame of an answer; types are inferred from all of its values."""
    if not all(type(cell) in _PLAIN for row in rows for cell in row):
        rows = [tuple(_plain(cell) for cell in row) for row in rows]
    try:
        return _frame(names, rows)
    except (TypeError, pl.exceptions.PolarsError):  # JSON whose elements are of several types
        return _frame(names, [tuple(_flat(cell) for cell in row) for row in rows])


def _frame(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=distinct(names), orient="row", infer_schema_length=None, strict=False)


def _plain(cell: object) -> object:
    """A NUMERIC as a float, or as an integer where it has no decimals and fits 64 bits; what a frame has no type for as text.

    A fixed-point column holds 38 digits at most and would lose the extremes of a market (1.2e-09 next to 1.6e+37).
    """
    if type(cell) in _PLAIN:
        return cell
    if isinstance(cell, list):
        return [_plain(one) for one in cell]
    if isinstance(cell, dict):
        return {name: _plain(one) for name, one in cell.items()}
    if isinstance(cell, tuple):
        return _flat(list(cell))
    if not isinstance(cell, Decimal):
        return str(cell)
    if cell.is_finite() and int(cell.as_tuple().exponent) >= 0 and abs(cell) < 2**63:
        return int(cell)
    return float(cell)


def _flat(cell: object) -> object:
    """What holds other values as JSON text."""
    return orjson.dumps(cell, default=str).decode() if isinstance(cell, list | dict) else cell
