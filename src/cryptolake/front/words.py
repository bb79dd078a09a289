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
_LARGEST = 2**63 - 1
Show = Callable[[int, int, str], None]  # answers that are there, of how many, and what the newest one is about


def names(given: Names) -> list[str]:
    """One name or several as a list; none for None. Raises BadInput for no name, and for a list of none."""
    if isinstance(given, str) and given:
        return [given]
    if given is None:
        return []
    found = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    if not found:  # what a program left over of a list is not everything
        raise BadInput("an empty list names nothing; leave it out (None) where everything is meant")
    if not all(isinstance(one, str) and one for one in found):
        raise BadInput(f"{_told(given)} is no name; give one as text, or several in a list")
    return found


def text(what: str, given: str) -> str:
    """A text. Raises BadInput for anything else."""
    if not isinstance(given, str):
        raise BadInput(f"{what} is a text, not {_told(given)}")
    return given


def number(what: str, given: int | None, *, least: int) -> int | None:
    """A whole number from `least` on, or None where none is given. Raises BadInput for anything else."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= _LARGEST:
        raise BadInput(f"{what} is a whole number from {least} on, not {_told(given)}")
    return given


def flag(what: str, given: bool) -> bool:
    """True or False: what is taken for consent must be meant so. Raises BadInput for anything else."""
    if not isinstance(given, bool):
        raise BadInput(f"{what} is True or False, not {_told(given)}")
    return given


def _told(given: object) -> str:
    """What was given, on one short line."""
    return " ".join(repr(given).split())[:80]


def day(given: Day) -> date | None:
    """A day from a date or text. Raises BadInput for text that is none, and for an instant."""
    if isinstance(given, datetime):
        raise BadInput(f"{given} is an instant; give a day, e.g. {given:%Y-%m-%d}")
    if given is None or isinstance(given, date):
        return given
    if not isinstance(given, str):
        raise BadInput(f"{_told(given)} is no day; give a date, or text as 2024-12-31")
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise BadInput(f"{_told(given)} is no day; write it as 2024-12-31") from None


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
    """What a collection tells its progress to; nobody when nobody wants to know. Raises BadInput for what cannot be told."""
    if show is not None and not callable(show):
        raise BadInput(f"show is a function of done, total and what, not {_told(show)}")
    return None if show is None else Shown(show)


class Counted:
    """The same for a vendor's answers, which nobody else counts."""

    def __init__(self, show: Show, total: int) -> None:
        self._show, self._total, self._done = show, total, 0

    def __call__(self, partition: Partition, state: str) -> None:
        """An answer has its final state."""
        self._done += 1
        self._show(self._done, max(self._total, self._done), f"{partition} {state}")
