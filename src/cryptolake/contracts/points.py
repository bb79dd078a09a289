"""`Points`: a vendor's answer as columns, which is also a sequence of rows. No I/O and no rule about which point counts.

A backfill reads two million points; as one dictionary each they cost minutes and gigabytes, as columns a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import polars as pl

from cryptolake.contracts.source import Row

COLUMNS = pl.Schema(
    {
        "pulled_at": pl.Datetime("us", "UTC"),
        "source": pl.String(),
        "asset": pl.String(),
        "metric_name": pl.String(),
        "value": pl.Float64(),
    }
)
_EARLIEST_S, _LATEST_S = 0, 4_102_444_800  # 1970 to 2100: anything else is no date but a wrong unit


@dataclass(frozen=True, slots=True, eq=False)
class Points(Sequence[Row]):
    """Rows of `metrics` held as a frame with exactly `COLUMNS`; `pulled_at` is aware UTC with the vendor's own time."""

    frame: pl.DataFrame

    @classmethod
    def series(
        cls,
        source: str,
        asset: str,
        metric_name: str,
        seconds: Sequence[int],
        values: Sequence[float | int | None],
    ) -> Points:
        """One series from parallel columns; points whose value is null, NaN or infinite are left out, zero is kept.

        `seconds` counts from 1970 (UTC). Raises ValueError when an instant lies outside 1970 to 2100 or a value is no number.
        """
        if len(seconds) != len(values):
            raise ValueError("a series needs as many instants as values")
        try:
            at = pl.Series("pulled_at", seconds, dtype=pl.Int64, strict=True)
            numbers = pl.Series("value", values, dtype=pl.Float64, strict=True)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            raise ValueError("an instant or a value is no number") from None
        if len(at) and not (at.null_count() == 0 and _EARLIEST_S <= _bound(at.min()) <= _bound(at.max()) < _LATEST_S):
            raise ValueError("an instant lies outside 1970 to 2100")
        if numbers.null_count() or not math.isfinite(numbers.sum()):  # one sum is cheaper than looking at every value
            keep = numbers.is_finite().fill_null(value=False)
            at, numbers = at.filter(keep), numbers.filter(keep)
        names = {"source": source, "asset": asset, "metric_name": metric_name}
        columns = [pl.Series(name, [text], dtype=pl.String).new_from_index(0, len(at)) for name, text in names.items()]
        return cls(pl.DataFrame([(at * 1_000_000).cast(pl.Datetime("us", "UTC")), *columns, numbers]))

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Points:
        """The same rows as columns; rows that are columns already are not copied."""
        if isinstance(rows, Points):
            return rows
        columns = {name: [row[name] for row in rows] for name in COLUMNS.names()}
        return cls(pl.DataFrame(columns, schema=COLUMNS, strict=False))

    @classmethod
    def join(cls, parts: Iterable[Points]) -> Points:
        """All parts one after the other."""
        frames = [part.frame for part in parts if part.frame.height]
        return cls(pl.concat(frames) if frames else pl.DataFrame(schema=COLUMNS))

    def __len__(self) -> int:
        return self.frame.height

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Points: ...
    def __getitem__(self, index: int | slice) -> Row | Points:
        if isinstance(index, slice):
            return Points(self.frame[index])
        return self.frame.row(index, named=True)

    def __iter__(self) -> Iterator[Row]:
        return self.frame.iter_rows(named=True)


def _bound(value: object) -> int:
    assert isinstance(value, int)
    return value
