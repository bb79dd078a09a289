"""Whose turn it is: trips that ask different parties share the workers, and none waits behind a party that is silent.

What does not belong here: threads and what becomes of a trip (collect), and who is silent (the source).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from cryptolake.contracts.source import Trip

LOOK_S = 0.5  # how often it is looked whether somebody has fallen silent, while trips wait


class Turns:
    """Hands out trips: first those of who has fewest under way, each party's in the order given. Not thread-safe.

    At most `workers` are under way, not counting those that wait for a party that is `silent`: another one takes their place,
    and no more of that party's begin meanwhile.
    """

    def __init__(self, trips: Sequence[Trip], workers: int, silent: Callable[[str], bool]) -> None:
        self._waiting: dict[str, deque[Trip]] = {}
        for trip in trips:
            self._waiting.setdefault(trip.asked, deque()).append(trip)
        self._workers, self._silent = workers, silent
        self._under_way, self._begun = Counter[str](), Counter[str]()
        self.most = max(1, workers * len(self._waiting))  # under way at once, however many are silent

    @property
    def left(self) -> bool:
        """Whether a trip waits for its turn."""
        return any(self._waiting.values())

    def next(self) -> Trip | None:
        """The trip that begins now; None: none does, until another one ends or somebody falls silent."""
        if not self.left:
            return None
        silent = {party for party, count in self._under_way.items() if count and self._silent(party)}
        able = [party for party, trips in self._waiting.items() if trips and party not in silent]
        if not able or sum(self._under_way[party] for party in self._under_way.keys() - silent) >= self._workers:
            return None
        party = min(able, key=lambda one: (self._under_way[one], self._begun[one]))
        self._under_way[party] += 1
        self._begun[party] += 1
        return self._waiting[party].popleft()

    def ended(self, trip: Trip) -> None:
        """A trip is over."""
        self._under_way[trip.asked] -= 1
