"""`MarketDays`: the markets and days that a step's questions, or what it says, are narrowed to.

For the steps whose tables are made whole, whoever asks. What does not belong here: what flags mean (cli), the partitions of a
selection (selection) and its panel (chosen_panel).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from cryptolake.contracts.partition import Partition

if TYPE_CHECKING:  # whoever only counts partitions reads no frame
    import polars as pl


@dataclass(frozen=True, slots=True)
class MarketDays:
    """Markets by name (None: every one) and the first and last day, both included (None: no bound)."""

    names: frozenset[str] | None = None
    first: date | None = None
    last: date | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing was chosen: every market on every day."""
        return self == EVERYTHING

    def holds(self, partition: Partition) -> bool:
        """Whether a market's partition is of one of these market-days."""
        day = partition.period.day
        return (
            (self.names is None or partition.key in self.names)
            and (self.first is None or day >= self.first)
            and (self.last is None or day <= self.last)
        )

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of these market-days; the frame has the columns `csu` and `date`."""
        import polars as pl

        if self.names is not None:
            frame = frame.filter(pl.col("csu").is_in(sorted(self.names)))
        return self.within(frame)

    def within(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of these days, whatever their market; the frame has the column `date`."""
        import polars as pl

        if self.first is not None:
            frame = frame.filter(pl.col("date") >= self.first)
        return frame if self.last is None else frame.filter(pl.col("date") <= self.last)


EVERYTHING = MarketDays()
