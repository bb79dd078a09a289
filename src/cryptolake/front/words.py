"""The words that a program may use for markets, days and progress, and what they mean.

What does not belong here: the steps they are handed to (lake).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput
from cryptolake.sources.onchain.scans import Scanned
from cryptolake.watch.pace import Pace

Names = str | Sequence[str] | None
Day = date | str | None
Show = Callable[[int, int, str], None]  # answers that are there, of how many, and what the newest one is about


def names(given: Names) -> list[str]:
    """One name or several as a list; none for None."""
    if isinstance(given, str):
        return [given]
    if given is None:
        return []
    found = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(one, str) for one in found):
        raise BadInput(f"{given!r} is no name; give one as text, or several in a list")
    return found


def day(given: Day) -> date | None:
    """A day from a date or text. Raises BadInput for text that is none, and for an instant."""
    if isinstance(given, datetime):
        raise BadInput(f"{given} is an instant; give a day, e.g. {given:%Y-%m-%d}")
    if given is None or isinstance(given, date):
        return given
    if not isinstance(given, str):
        raise BadInput(f"{given!r} is no day; give a date, or text as 2024-12-31")
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise BadInput(f"{given!r} is no day; write it as 2024-12-31") from None


class Shown:
    """Hands a collection's progress on to a program's function."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def partition(self, pace: Pace, partition: Partition, state: str) -> None:
        """An answer has its final state."""
        self._show(pace.done, pace.total, f"{partition} {state}")

    def more(self, pace: Pace) -> None:
        """More work has turned up."""
        self._show(pace.done, pace.total, "more work")

    def scanned(self, pace: Pace, scanned: Scanned) -> None:
        """A log window of a chain was answered."""
        self._show(pace.done, pace.total, f"{scanned.chain} logs {scanned.done:,}/{counted(scanned.total, 'block')}")


def shown(show: Show | None) -> Shown | None:
    """What a collection tells its progress to; nobody when nobody wants to know."""
    return None if show is None else Shown(show)


class Counted:
    """The same for a vendor's answers, which nobody else counts."""

    def __init__(self, show: Show, total: int) -> None:
        self._show, self._total, self._done = show, total, 0

    def __call__(self, partition: Partition, state: str) -> None:
        """An answer has its final state."""
        self._done += 1
        self._show(self._done, max(self._total, self._done), f"{partition} {state}")
