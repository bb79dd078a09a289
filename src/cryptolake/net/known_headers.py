"""The headers of one chain as they were given, each asked for once; one that cannot be right is asked elsewhere.

What does not belong here: which blocks are looked at (blocks), and who else must state the same (agreement).
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from cryptolake.errors import CryptolakeError
from cryptolake.net.agreement import HEADER
from cryptolake.net.besides import among
from cryptolake.net.boundary import Bracket, telling
from cryptolake.net.rpc import Pool
from cryptolake.net.stated_header import Header, stated_header


class KnownHeaders:
    """Asks `pool`. `provable` says whether it is known how the chain's headers hash; it is taken back where nobody's do.

    Thread-safe.
    """

    def __init__(self, pool: Pool, *, provable: bool) -> None:
        self.pool, self.provable = pool, provable
        self._known: dict[int, Header] = {}
        self._seen: list[Header] = []  # the same, by number and so by time
        self._lock = threading.Lock()

    def of(self, numbers: Sequence[int]) -> dict[int, Header]:
        """The headers of these blocks, by number. Raises Retry when nobody has them.

        One that does not hash to its hash is asked elsewhere; where nobody gives another one, it stands as it is.
        """
        known = self._known
        found = {number: known[number] for number in numbers if number in known}
        if missing := [number for number in numbers if number not in found]:
            told = self._asked(self.pool, missing)
            if self.provable:
                told |= self._elsewhere({one.number: one for one in told.values() if not one.sealed}, _is_sealed)
            with self._lock:
                for number, header in told.items():
                    if number not in self._known:
                        insort(self._seen, header, key=_number)
                    self._known[number] = header
            found |= told
        return {number: found[number] for number in numbers}

    def named(self, hashes: Mapping[int, str]) -> dict[int, Header]:
        """The same for the blocks of these hashes, from whoever gives them; another header where nobody does."""
        found = self.of(list(hashes))
        odd = {number: one for number, one in found.items() if one.hash != hashes[number]}
        return found | self._elsewhere(odd, lambda one: one.hash == hashes[one.number])

    def fresh(self, number: int) -> Header:
        """The header of a block, asked again even if it is known."""
        return self._asked(self.pool, [number])[number]

    def bracket(self, at: int, low: Header, high: Header) -> Bracket[Header]:
        """The closest headers seen on both sides of a time (seconds since 1970, UTC), `low` and `high` at the furthest."""
        with self._lock:
            place = bisect_left(self._seen, at, key=lambda header: header.timestamp)
            below, above = (
                self._seen[place - 1] if place else low,
                self._seen[place] if place < len(self._seen) else high,
            )
            found = Bracket(max(low, below, key=_number), min(high, above, key=_number))
            return replace(found, beyond=telling(at, found.nearest(at), self._seen))

    def leave_out(self, names: Collection[str]) -> bool:
        """Ask these endpoints nothing more and forget what they gave, where somebody else is; whether that is so."""
        others = [one for one in self.pool.stations if one.endpoint.name not in names] or [
            one for one in self.pool.besides if one.endpoint.name not in names
        ]
        if not names or not others:
            return False
        with self._lock:
            self.pool = among(self.pool, others)
            self._known = {number: one for number, one in self._known.items() if one.by not in names}
            self._seen = sorted(self._known.values(), key=_number)
        return True

    def _asked(self, pool: Pool, numbers: Sequence[int]) -> dict[int, Header]:
        answers = pool.batch([(HEADER, [hex(number), False]) for number in numbers])
        told = zip(numbers, answers, pool.last_givers, strict=True)
        return {number: stated_header(answer, number, pool.chain, by) for number, answer, by in told}

    def _elsewhere(self, odd: Mapping[int, Header], good: Callable[[Header], bool]) -> dict[int, Header]:
        """Better headers than these, from whoever gives them."""
        left, found, answered = dict(odd), dict[int, Header](), False
        for station in self.pool.everybody if odd else ():
            numbers = [number for number, one in left.items() if one.by != station.endpoint.name]
            if not numbers or station.stopped is not None or not station.endpoint.answers(HEADER):
                continue
            try:
                told = self._asked(among(self.pool, [station]), numbers)
            except CryptolakeError:
                continue  # what is known stands, for what it is worth
            answered = True
            found |= {number: one for number, one in told.items() if good(one)}
            left = {number: one for number, one in left.items() if number not in found}
        if answered and not found and good is _is_sealed:
            self.provable = False  # nobody's headers hash: the chain follows other rules here than is known
        return found


def _is_sealed(header: Header) -> bool:
    return header.sealed


def _number(header: Header) -> int:
    return header.number
