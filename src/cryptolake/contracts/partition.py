"""`Period` (a UTC day or hour) and `Partition` (dataset, key, period): the one coordinate used everywhere.

The same text `"tvl/aave_v3_ethereum/2024-12-31"` is the bronze path, the CLI argument, the ledger key
and the log field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, Self
from zoneinfo import ZoneInfo

from cryptolake.errors import BadInput

Boundary = Literal["utc", "ny"]
Granularity = Literal["day", "hour"]

# Where a day begins. "ny" is New York midnight (DST-correct: such a day has 23, 24 or 25 hours).
ZONES: dict[Boundary, ZoneInfo] = {"utc": ZoneInfo("UTC"), "ny": ZoneInfo("America/New_York")}

MARKET_DATASETS = ("tvl", "liquidations")
"""What is asked of every lending market on every day."""

DAYS_OF: dict[Boundary, str] = {"utc": "days of UTC", "ny": "days of New York"}

_TEXT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}))?(@ny)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]*")
_HOUR = timedelta(hours=1)
NO_NAME = "cannot name a dataset or key; use letters, digits and . _ : + -"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A half-open span of time `[start, end)`, both aware and in UTC; a day of the named boundary, or one UTC hour."""

    start: datetime
    end: datetime
    boundary: Boundary = "utc"

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError("a period's bounds must be aware and in UTC")
        if self.start >= self.end:
            raise ValueError(f"a period must end after it starts: {self.start} .. {self.end}")

    @classmethod
    def of_day(cls, day: date, boundary: Boundary = "utc") -> Self:
        """The calendar day `day` in the boundary's own zone."""
        zone = ZONES[boundary]
        start = datetime.combine(day, time(), zone)
        end = datetime.combine(day + timedelta(days=1), time(), zone)
        return cls(start.astimezone(UTC), end.astimezone(UTC), boundary)

    @classmethod
    def of_hour(cls, hour: datetime) -> Self:
        """The UTC hour that contains the aware instant `hour`."""
        start = hour.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return cls(start, start + timedelta(hours=1))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2024-12-31`, `2024-12-31@ny` (New York day) or `2024-12-31T05` (UTC hour). Raises BadInput."""
        # A ledger names the same few hundred days tens of thousands of times.
        if (known := _PARSED.get(text)) is not None and type(known) is cls:
            return known
        period = cls._read(text)
        if len(_PARSED) < _PARSED_LIMIT:
            _PARSED[text] = period
        return period

    @classmethod
    def _read(cls, text: str) -> Self:
        match = _TEXT.fullmatch(text)
        if match is None:
            raise BadInput(
                f"{text!r} is no period; write a day as 2024-12-31 (or 2024-12-31@ny), an hour as 2024-12-31T05"
            )
        day_text, hour_text, ny = match.groups()
        try:
            day = date.fromisoformat(day_text)
            if hour_text is None:
                return cls.of_day(day, "ny" if ny else "utc")
            if ny:
                raise BadInput(f"{text!r}: hours are always UTC; leave out @ny")
            return cls.of_hour(datetime.combine(day, time(int(hour_text)), UTC))
        except ValueError as error:
            raise BadInput(f"{text!r} is no period: {error}") from None

    @property
    def granularity(self) -> Granularity:
        """`hour` for a one-hour period, else `day` (a New York day may have 23 or 25 hours)."""
        return "hour" if self.end - self.start == _HOUR else "day"

    @property
    def day(self) -> date:
        """The calendar day, in the boundary's zone, on which the period starts."""
        if self.boundary == "utc":  # asked of every partition there is
            return self.start.date()
        return self.start.astimezone(ZONES[self.boundary]).date()

    def __str__(self) -> str:
        if self.end - self.start == _HOUR:
            return self.start.strftime("%Y-%m-%dT%H")
        return self.day.isoformat() + ("@ny" if self.boundary == "ny" else "")


def days(first: date, last: date, boundary: Boundary = "utc") -> Iterator[Period]:
    """Every day from `first` to `last`, both included, in order."""
    for offset in range((last - first).days + 1):
        yield Period.of_day(first + timedelta(days=offset), boundary)


def hours(first: date, last: date) -> Iterator[Period]:
    """Every UTC hour of the days `first` to `last`, both included, in order."""
    start = datetime.combine(first, time(), UTC)
    for offset in range(((last - first).days + 1) * 24):
        yield Period.of_hour(start + timedelta(hours=offset))


_PARSED: dict[str, Period] = {}
_PARSED_LIMIT = 100_000


def can_name(name: str) -> bool:
    """Whether this can be the name of a dataset or a key, which become names of folders."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One answer worth keeping: `dataset` of `key` (a CSU or vendor entity) for `period`."""

    dataset: str
    key: str
    period: Period

    def __post_init__(self) -> None:
        for name in (self.dataset, self.key):
            if not can_name(name):
                raise BadInput(f"{name!r} {NO_NAME}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str(partition)`. Raises BadInput when the text is not `dataset/key/period`."""
        parts = text.split("/")
        if len(parts) != 3:
            raise BadInput(f"{text!r} is no partition; write dataset/key/period, e.g. tvl/aave_v3_ethereum/2024-12-31")
        return cls(parts[0], parts[1], Period.parse(parts[2]))

    def sharing(self, *, ends: bool) -> list[Partition]:
        """The other partitions of this series that share blocks with it: a day's hours, an hour's days; `ends`: its last block.

        Days of another boundary are of another lake.
        """
        period = self.period
        if period.granularity == "hour":
            around = (Period.of_day(period.start.astimezone(zone).date(), name) for name, zone in ZONES.items())
            found = [day for day in around if day.start <= period.start and period.end <= day.end]
        else:
            count = (period.end - period.start) // _HOUR
            found = [Period.of_hour(period.start + number * _HOUR) for number in range(count)]
        return [Partition(self.dataset, self.key, one) for one in found if not ends or one.end == period.end]

    def __str__(self) -> str:
        return f"{self.dataset}/{self.key}/{self.period}"
