"""Headers that operators agree on: what one endpoint stated is asked of others, until somebody bears it out or refutes it.

A header that hashes to its hash needs its hash alone borne out; of any other one all that is used. What does not belong here:
which headers a fact rests on (blocks), and chains of headers down to a block (proof).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from cryptolake.errors import CryptolakeError
from cryptolake.net.besides import among, others, why_none
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import Behind, Disputed, NotAwaited
from cryptolake.net.rpc import Pool
from cryptolake.net.stated_header import Header, stated_header
from cryptolake.net.voices import by_voice, same_voice, told_by, voice

HEADER = "eth_getBlockByNumber"


class Contradicted(Disputed):
    """Operators state different headers of a block, and nobody is left who could decide: no fact rests on it."""


@dataclass(frozen=True, slots=True)
class AgreedHeader:
    """A header and who bears it out, by its grade; `problem` says why nobody does ("" where somebody does).

    `wrong` is the endpoint whose header was refuted by a hash that it gave itself, or is another than two others give: `header`
    is theirs then. `contradicted` says who states another one while no proof says who is right, `stands` that the header is
    used all the same: two bear it out, or all who state another one are only asked besides, which fails nobody's day, or
    give one that does not hash; `own` that one of one's own is among them. `later` says that somebody silent is asked again.
    """

    header: Header
    problem: str = ""
    wrong: str = ""
    contradicted: str = ""
    stands: bool = False
    own: bool = False
    later: bool = False


class Agreement:
    """Asks other operators of a pool for headers, each once. Thread-safe.

    `provable` says whether it is known how the chain's headers hash: only then one that does not is the weaker one, `rivals`
    what others were already heard to say of a block, who may be no voice of their own.
    """

    def __init__(
        self,
        pool: Pool,
        provable: Callable[[], bool],
        rivals: Callable[[int], Sequence[Header]] = lambda _number: (),
    ) -> None:
        self._pool, self._provable, self._rivals, self._lock = pool, provable, rivals, threading.Lock()
        self._known: dict[Header, AgreedHeader] = {}
        self._later: set[Header] = set()  # of these, those about which somebody was not waited for
        self._silent = set[str]()  # voices that gave none, however often they were asked: once is enough for a run

    @property
    def possible(self) -> bool:
        """Whether there are two operators who may be asked."""
        able = [one for one in self._pool.everybody if self._able(one)]
        return any(not same_voice(one.endpoint, other.endpoint) for one, other in combinations(able, 2))

    def of(self, headers: Iterable[Header]) -> dict[int, AgreedHeader]:
        """How far each of these is borne out, by number; one request to one voice settles all where it states the same."""
        wanted = {one.number: one for one in headers}
        for name in {one.by for one in wanted.values()}:
            theirs = [one for one in wanted.values() if one.by == name]
            self._settle([one for one in theirs if one not in self._known or one in self._later], name)
        return {number: replace(self._known[one], later=one in self._later) for number, one in wanted.items()}

    def _settle(self, headers: Sequence[Header], name: str) -> None:
        left = {one.number: one for one in headers}
        rivals: dict[int, list[Header]] = {}
        heard, problem = {name}, ""
        with self._lock:
            self._later -= set(headers)
        while left and (able := [one for one in others(self._pool, heard) if self._able(one)]):
            group = by_voice(able, lambda one: one.endpoint)[0]
            heard |= {one.endpoint.name for one in group}
            told, failure = self._told(group, left)
            problem = failure or problem
            for theirs in told:
                ours, known = left[theirs.number], rivals.setdefault(theirs.number, [])
                if _bears_out(theirs, ours):
                    others_say = self._otherwise(ours, known)
                    odd = ""
                    if self._any_own(one for one in others_say if self._as_good(one, ours)):
                        odd = self._words(ours.number, [ours, theirs, *others_say])
                    agreed = AgreedHeader(self._borne(ours, theirs), contradicted=odd, stands=True)
                    self._note(left.pop(ours.number), agreed)
                elif not self._as_good(theirs, ours):
                    problem = f"{theirs.by} gives a header of block {theirs.number} that does not hash to its hash"
                    known.append(theirs)
                elif (
                    theirs.sealed and theirs.hash == ours.hash
                ):  # the hash that both give is of other content than ours
                    self._note(left.pop(ours.number), AgreedHeader(self._borne(theirs, ours), wrong=ours.by))
                elif (right := self._outvoting(ours, theirs, known)) is not None:
                    odd = self._words(ours.number, [ours, theirs, *known])
                    agreed = AgreedHeader(self._borne(right, theirs), wrong=ours.by, contradicted=odd, stands=True)
                    self._note(left.pop(ours.number), agreed)
                else:
                    known.append(theirs)
        for number, ours in left.items():
            known = self._otherwise(ours, rivals.get(number, []))
            if not known:
                self._note(ours, AgreedHeader(self._borne(ours), problem or why_none(self._pool, heard)))
                continue
            words = self._words(number, [ours, *known])
            fails = self._any_own(one for one in known if self._as_good(one, ours) or not self._any_own([ours]))
            said = AgreedHeader(self._borne(ours), words, contradicted=words, stands=not fails)
            self._note(ours, replace(said, own=self._any_own(known)))

    def _otherwise(self, ours: Header, heard: Sequence[Header]) -> list[Header]:
        """Who else says otherwise, besides those `heard` now."""
        names = {ours.by, *(one.by for one in heard)}
        more = [one for one in self._rivals(ours.number) if one.by not in names and not _bears_out(one, ours)]
        return [*heard, *more]

    def _as_good(self, theirs: Header, ours: Header) -> bool:
        """Whether a header is no weaker than another one: it hashes to its hash, where headers of the chain do."""
        return theirs.sealed or not ours.sealed or not self._provable()

    def _outvoting(self, ours: Header, theirs: Header, known: Sequence[Header]) -> Header | None:
        """The header that two others give, unless both are only asked besides and ours is the user's own."""
        able = [one for one in known if self._as_good(one, ours)]
        right = next((one for one in able if _bears_out(theirs, one)), None)
        return right if right is not None and (self._any_own([right, theirs]) or not self._any_own([ours])) else None

    def _words(self, number: int, told: Sequence[Header]) -> str:
        names = dict.fromkeys(one.by for one in told)
        return f"{self._pool.chain}: {' and '.join(names)} give different headers of block {number}"

    def alone(self, header: Header) -> Header:
        """The header as the word of who states it."""
        return self._borne(header)

    def _borne(self, header: Header, other: Header | None = None) -> Header:
        """The header with who states it and who bears it out."""
        names = {one.endpoint.name: told_by(one.endpoint) for one in self._pool.everybody}
        return replace(header, borne=((names.get(header.by, ""), "" if other is None else names.get(other.by, "")),))

    def _note(self, header: Header, borne: AgreedHeader) -> None:
        with self._lock:
            self._known[header] = borne

    def _told(self, group: Sequence[Station], ours: Mapping[int, Header]) -> tuple[list[Header], str]:
        """The headers of these blocks as one voice states them, or why it does not."""
        pool, of, numbers = among(self._pool, group), voice(group[0].endpoint), sorted(ours)
        try:
            answers = pool.batch([(HEADER, [hex(number), False]) for number in numbers])
            told = [
                stated_header(answer, number, pool.chain, by)
                for number, answer, by in zip(numbers, answers, pool.last_givers, strict=True)
            ]
        except CryptolakeError as error:
            if isinstance(error, NotAwaited):  # it is asked again when it is waited for again
                with self._lock:
                    self._later |= set(ours.values())
            elif not isinstance(error, Behind):
                self._silent.add(of)
            return [], f"a second operator gives no headers: {error}"
        return told, ""

    def _able(self, station: Station) -> bool:
        able = station.stopped is None and station.endpoint.answers(HEADER)
        return able and voice(station.endpoint) not in self._silent

    def _any_own(self, headers: Iterable[Header]) -> bool:
        """Whether any of these is stated by an endpoint that is not only asked besides."""
        besides = {one.endpoint.name for one in self._pool.besides}
        return any(one.by not in besides for one in headers)


def alike(one: Header, other: Header) -> bool:
    """Whether two headers are the same as far as is used of those that do not hash to their hashes."""
    return (one.hash, one.timestamp, one.parent) == (other.hash, other.timestamp, other.parent)


def _bears_out(theirs: Header, ours: Header) -> bool:
    """Whether a second header is the same as far as the first is used: its hash says all where it hashes to it."""
    return theirs.hash == ours.hash if ours.sealed else alike(theirs, ours)
