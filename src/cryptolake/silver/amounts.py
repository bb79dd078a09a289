"""Unscaled integers as numbers, for whole columns at once: the only place where raw integers are scaled. No I/O."""

from __future__ import annotations

import polars as pl


def scaled(raw: str, decimals: str) -> pl.Expr:
    """Column `raw` (a whole number of any size as decimal text) divided by 10^`decimals`, rounded once.

    The text gets an exponent and is parsed, so that the nearest float is found directly: 2^255 / 10^18 loses nothing
    on the way, and the result equals Python's own integer division to the last bit.
    """
    return (pl.col(raw) + pl.lit("e-") + pl.col(decimals).cast(pl.String)).cast(pl.Float64)


def ratio(raw: str, unit: str) -> pl.Expr:
    """Column `raw` divided by column `unit`, both whole numbers as decimal text; null where either is, or unit is 0.

    Exact rounding where the unit is a power of ten, as every oracle's is so far; else one more rounding.
    """
    power = pl.col(unit).str.contains(r"^10*$")
    by_power = (pl.col(raw) + pl.lit("e-") + (pl.col(unit).str.len_bytes() - 1).cast(pl.String)).cast(pl.Float64)
    by_division = pl.col(raw).cast(pl.Float64) / pl.col(unit).cast(pl.Float64)
    positive = pl.col(unit).cast(pl.Float64) > 0
    return pl.when(power).then(by_power).when(positive).then(by_division)
