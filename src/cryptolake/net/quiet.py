"""Headers of blocks that are said to have no wanted log, as two voices give them: only what both give proves anything.

A header counts that hashes to its hash, and whose hash two operators give; any other one is a hint. What does not belong here:
which blocks are looked at, and what a promise of one means (audit).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from cryptolake.errors import CryptolakeError
from cryptolake.net.agreement import HEADER
from cryptolake.net.answers import data
from cryptolake.net.besides import among, others
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import Malformed
from cryptolake.net.headers import proven_header
from cryptolake.net.questions import Question
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import surely_one

TOGETHER = 50  # headers in one request


@dataclass(frozen=True, slots=True)
class QuietHeader:
    """A block as voices give it: every hash with its bloom filter that anybody gave, and whether two agree on a proven one."""

    number: int
    given: tuple[tuple[str, bytes], ...]
    agreed: bool


class QuietHeaders:
    """Asks for headers of one chain, each once. `provable` says whether it is known by which rules they hash. Thread-safe."""

    def __init__(self, pool: Pool, *, provable: bool) -> None:
        self._pool, self._provable, self._lock = pool, provable, threading.Lock()
        self._known: dict[int, QuietHeader] = {}
        self._problem = "" if provable else "headers of this chain follow rules that are not known here"

    @property
    def problem(self) -> str:
        """Why the latest headers that no two voices agree on are none; empty where it is that they gave different ones."""
        return self._problem

    def ask(self, numbers: Sequence[int]) -> None:
        """Ask for what is not known yet, in a request to each of two voices. Raises where nobody answers."""
        wanted = sorted({number for number in numbers if number not in self._known})
        if not wanted:
            return
        first, second = self._given([(HEADER, [hex(number), False]) for number in wanted], wanted[0])
        found = [_header(*one) for one in zip(wanted, first, second, strict=True)]
        with self._lock:
            self._known |= {one.number: one for one in found}

    def of(self, numbers: Sequence[int]) -> list[QuietHeader]:
        """The headers of these blocks. Raises where nobody answers."""
        self.ask(numbers)
        return [self._known[number] for number in numbers]

    def _given(self, calls: Sequence[Question], block: int) -> tuple[Sequence[object], Sequence[object]]:
        """What one voice answers, and what a second one does: nothing where there is none. A second one never fails a day."""
        if not self._provable:  # two could agree on nothing: whoever is soonest gives each
            return self._pool.batch(calls), [None] * len(calls)
        given: list[Sequence[object]] = []
        heard, failure = set[str](), ""
        able = [self._pool.pick(HEADER, block, calls=len(calls))]
        while able and len(given) < 2:
            group = [one for one in self._pool.everybody if one.stopped is None and _same(one, able[0])]
            heard |= {one.endpoint.name for one in group}
            able = [one for one in others(self._pool, heard) if one.endpoint.answers(HEADER)]
            try:
                given.append(among(self._pool, group).batch(calls))
            except CryptolakeError as error:
                if not given and not able:
                    raise
                failure = f"a second voice gives no headers: {error}"
        if len(given) < 2:
            self._problem = failure or f"nobody but {' and '.join(sorted(heard))} gives headers"
        return given[0], given[1] if len(given) > 1 else [None] * len(calls)


def _same(one: Station, other: Station) -> bool:
    return one is other or (one.endpoint.answers(HEADER) and surely_one(one.endpoint, other.endpoint))


def _header(number: int, first: object, second: object) -> QuietHeader:
    given = dict.fromkeys(told for one in (first, second) if (told := _told(one)) is not None)
    proven = [hash_of for one in (first, second) if (hash_of := _proven(one, number)) is not None]
    return QuietHeader(number, tuple(given), agreed=len(proven) == 2 and proven[0] == proven[1])


def _told(answer: object) -> tuple[str, bytes] | None:
    """Hash and bloom filter as they are given; None where there are none."""
    if not isinstance(answer, dict):
        return None
    own, bloom = data(answer.get("hash")), data(answer.get("logsBloom"))
    return None if own is None or bloom is None else ("0x" + own.hex(), bloom)


def _proven(answer: object, number: int) -> str | None:
    """The hash of a header that hashes to it and is of this block."""
    try:
        found = proven_header(answer)
    except Malformed:
        return None
    return found.hash if found.number == number else None
