"""When a source is due: jobs and their slots, from the datasets' own cadence. Pure arithmetic on UTC instants.

A slot is the instant a job is due. Slots lie on a fixed grid of UTC, so they neither drift nor move with summer time.
What does not belong here: what was run (state.slots), the loop (flow.scheduler) and what a job does (work).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptolake.contracts.source import Dataset, Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PERIOD = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """The datasets of one source that share a cadence: due `at_minute` past every UTC hour or day."""

    name: str
    source: str
    datasets: tuple[str, ...]
    every: Literal["day", "hour"]
    at_minute: int

    @property
    def cron(self) -> str:
        """The same cadence as a cron line in UTC."""
        hour, minute = divmod(self.at_minute, 60)
        return f"{minute} * * * *" if self.every == "hour" else f"{minute} {hour} * * *"

    def after(self, instant: datetime) -> datetime:
        """The first slot later than the aware instant."""
        period, offset = _PERIOD[self.every], timedelta(minutes=self.at_minute)
        return _EPOCH + ((instant - _EPOCH - offset) // period + 1) * period + offset

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        """Every slot in the half-open span `(after, until]`, in order."""
        found, slot = [], self.after(after)
        while slot <= until:
            found.append(slot)
            slot += _PERIOD[self.every]
        return found


def jobs_of(source: Source, datasets: Iterable[Dataset]) -> list[ScheduledJob]:
    """One job per cadence among `datasets`, named `<source>_hourly` or `<source>_daily` (and the minute if two differ)."""
    groups: dict[tuple[Literal["day", "hour"], int], list[str]] = {}
    for dataset in datasets:
        groups.setdefault((dataset.every, dataset.at_minute), []).append(dataset.name)
    return [
        ScheduledJob(_name(source.name, every, minute, list(groups)), source.name, tuple(sorted(names)), every, minute)
        for (every, minute), names in sorted(groups.items())
    ]


def _name(source: str, every: str, minute: int, cadences: Sequence[tuple[str, int]]) -> str:
    name = f"{source}_{'hourly' if every == 'hour' else 'daily'}"
    return name if sum(1 for other, _ in cadences if other == every) == 1 else f"{name}_{minute:02d}"
