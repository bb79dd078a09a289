"""CSV, for everything that reads text. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

SUFFIX = ".csv"


def render(frame: pl.DataFrame, codebook: Mapping[str, object]) -> bytes:
    """The rows under a header line; a missing value is an empty cell, true and false are 1 and 0."""
    del codebook
    return frame.with_columns(pl.col(pl.Boolean).cast(pl.Int8)).write_csv().encode()
