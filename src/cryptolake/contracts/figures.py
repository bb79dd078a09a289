"""When two figures are the same number. What does not belong here: which figures should be (`work.derivation`, quality)."""

from __future__ import annotations

import polars as pl

_SAME = 1e-9  # relative; a sum's last digits may differ between versions of the arithmetic


def other(stated: pl.Expr, computed: pl.Expr) -> pl.Expr:
    """Whether two columns of floats differ by more than a float's last digits; nothing equals only nothing.

    It asks for what is near, so that what no comparison holds for (infinity, NaN) is other, whatever stands beside it.
    """
    near = (stated - computed).abs() <= _SAME * pl.max_horizontal(stated.abs(), computed.abs())
    same = (near & stated.is_finite() & computed.is_finite()) | (stated.is_null() & computed.is_null())
    return ~same.fill_null(value=False)
