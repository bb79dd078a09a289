"""The headers of one chain as they were given, each asked for once; one that cannot be right is asked elsewhere.

Whoever is only asked besides is never heard instead of one's own: he may say what hashes to the hash that they give, and what
he says otherwise is kept beside theirs (`rivals`).

What does not belong here: which blocks are looked at (blocks), and who else must state the same (agreement).
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from cryptolake.errors import CryptolakeError
from cryptolake.net.agreement import HEADER, alike
from cryptolake.net.besides import among
from cryptolake.net.boundary import Bracket, telling
from cryptolake.net.endpoint import Station
from cryptolake.net.rpc import Pool
from cryptolake.net.stated_header import Header, stated_header
from cryptolake.net.voices import same_voice


class KnownHeaders:
    """Asks `pool`. `provable` says whether it is known how the chain's headers hash; it is taken back where nobody's do.

    Thread-safe.
    """

    def __init__(self, pool: Pool, *, provable: bool) -> None:
        self.pool, self.provable = pool, provable
        self._known: dict[int, Header] = {}
        self._seen: list[Header] = []  # the same, by number and so by time
        self._rivals: dict[int, tuple[Header, ...]] = {}  # what others say otherwise than an odd one of these
        self._lock = threading.Lock()

    def of(self, numbers: Sequence[int]) -> dict[int, Header]:
        """The headers of these blocks, by number. Raises Retry when nobody has them.

        One that does not hash to its hash is asked elsewhere; where nobody gives a better one, it stands as it is.
        """
        known = self._known
        found = {number: known[number] for number in numbers if number in known}
        if missing := [number for number in numbers if number not in found]:
            told = self._asked(self.pool, missing)
            if self.provable:
                told |= self._sealed({one.number: one for one in told.values() if not one.sealed})
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
        left = {number: one for number, one in found.items() if one.hash != hashes[number]}
        for station, told in self._each_elsewhere(left):
            good = [
                one for one in told if one.hash == hashes[one.number] and (one.sealed or not self._besides(station))
            ]
            found |= {one.number: one for one in good}
            for one in good:
                del left[one.number]
        return found

    def rivals(self, number: int) -> Sequence[Header]:
        """What others say otherwise of a block than the header that is used, where that one does not hash or one of these."""
        return self._rivals.get(number, ())

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
            self._rivals = {}
        return True

    def _asked(self, pool: Pool, numbers: Sequence[int]) -> dict[int, Header]:
        answers = pool.batch([(HEADER, [hex(number), False]) for number in numbers])
        told = zip(numbers, answers, pool.last_givers, strict=True)
        return {number: stated_header(answer, number, pool.chain, by) for number, answer, by in told}

    def _sealed(self, odd: Mapping[int, Header]) -> dict[int, Header]:
        """Headers to be used instead of these, which do not hash to their hashes.

        What hashes to the very hash is taken from anybody. Of one's own another one that hashes is, unless a second operator of
        one's own states the same as the odd one.
        """
        left, found, theirs, borne = dict(odd), dict[int, Header](), dict[int, list[Header]](), set[int]()
        answered = False
        for station, told in self._each_elsewhere(left):
            answered = True
            for one in told:
                ours = odd[one.number]
                if one.sealed and one.hash == ours.hash:
                    found[one.number] = replace(one, by=ours.by)
                    del left[one.number]
                elif one.sealed:
                    theirs.setdefault(one.number, []).append(one)
                elif alike(one, ours) and self._two_own(station, ours.by):
                    borne.add(one.number)
        besides = {one.endpoint.name for one in self.pool.besides}
        for number in left.keys() & theirs.keys():
            own = next((one for one in theirs[number] if one.by not in besides and number not in borne), None)
            if own is not None:
                found[number] = own
            with self._lock:
                self._rivals[number] = (
                    *(one for one in theirs[number] if one is not own),
                    *([odd[number]] if own else []),
                )
        if answered and not found and not theirs:
            self.provable = False  # nobody's headers hash: the chain follows other rules here than is known
        return found

    def _each_elsewhere(self, left: Mapping[int, Header]) -> Iterator[tuple[Station, list[Header]]]:
        """What everybody else states of the blocks that are left, while some are: one's own first."""
        for station in self.pool.everybody:
            numbers = [number for number, one in left.items() if one.by != station.endpoint.name]
            if not numbers or station.stopped is not None or not station.endpoint.answers(HEADER):
                continue
            with suppress(CryptolakeError):  # what is known stands, for what it is worth
                yield station, list(self._asked(among(self.pool, [station]), numbers).values())

    def _besides(self, station: Station) -> bool:
        return station not in self.pool.stations

    def _two_own(self, station: Station, by: str) -> bool:
        """Whether an endpoint of one's own bears out another one."""
        ours = [one.endpoint for one in self.pool.stations if one.endpoint.name == by]
        return not self._besides(station) and not any(same_voice(station.endpoint, one) for one in ours)


def _number(header: Header) -> int:
    return header.number
