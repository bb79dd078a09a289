"""`Granted`: what was let through in the latest seconds, so that no window of them holds more than a limit. No I/O.

What does not belong here: what the limit is (speed) and who shares it (limiter).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator


class Granted:
    """Units let through in the latest `seconds`, and as long before that as evidence is wanted (`kept_s`).

    Grants are added in the order of time. Those within a `grain` of time are counted as one at the latest of them, so
    that the record stays small however fast one asks; a window then holds a little less than it might, never more.
    """

    def __init__(self, seconds: float, *, kept_s: float, grain_s: float) -> None:
        self._seconds, self._kept_s, self._grain_s = seconds, kept_s, grain_s
        self._entries: deque[tuple[float, float]] = deque()

    def earliest(self, at: float, cost: float, limit: float) -> float:
        """The earliest instant, not before `at`, at which a window takes `cost` more; an empty one takes anything."""
        if not self._entries:
            return at
        at = max(at, self._entries[-1][0])
        inside = [one for one in self._entries if one[0] > at - self._seconds]
        total = sum(units for _, units in inside)
        for granted, units in inside:
            if total + cost <= limit * (1 + 1e-9):  # a sum of fractions
                break
            at, total = max(at, granted + self._seconds), total - units
        return at

    def add(self, at: float, cost: float, now: float) -> None:
        """Count `cost` units at `at`, which may lie after `now`."""
        if self._entries and int(self._entries[-1][0] / self._grain_s) == int(at / self._grain_s):
            cost += self._entries.pop()[1]
        self._entries.append((at, cost))
        while self._entries[0][0] < now - self._kept_s:
            self._entries.popleft()

    def move(self, at: float, cost: float, to: float) -> None:
        """What was granted for `at` was used at `to` only: whoever was to send it woke late."""
        entries = list(self._entries)
        for number, (granted, units) in enumerate(entries):
            if at <= granted < at + self._grain_s and units >= cost:
                entries[number : number + 1] = [(granted, units - cost)] if units > cost else []
                insort(entries, (to, cost))
                self._entries = deque(entries)
                return

    def between(self, first: float, last: float) -> float:
        """Units let through from `first` to before `last`."""
        return sum(units for at, units in self._entries if first <= at < last)

    def take_back(self, now: float) -> None:
        """Forget what was promised for later than `now`."""
        while self._entries and self._entries[-1][0] > now:
            self._entries.pop()

    def __iter__(self) -> Iterator[float]:
        """Times and units in turn, to be stored."""
        for entry in self._entries:
            yield from entry

    def restore(self, stored: Iterable[float]) -> None:
        """Take over what `__iter__` gave."""
        numbers = list(stored)
        self._entries = deque(zip(numbers[::2], numbers[1::2], strict=True))
