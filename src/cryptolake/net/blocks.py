"""Instants to blocks: the last block before a boundary, proven by its neighbour, and borne out. Knows no dataset.

One function, `Blocks.range_of`, gives the half-open block range of a period and its snapshot block, so that snapshots and
events of a day can never disagree about where the day ends. What does not belong here: who bears a header out (agreement).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cryptolake.contracts.block_clock import BlockClock
from cryptolake.contracts.grades import UNPROVEN
from cryptolake.contracts.partition import Period
from cryptolake.errors import Skip
from cryptolake.net.agreement import AgreedHeader, Agreement, Contradicted
from cryptolake.net.besides import why_none
from cryptolake.net.block_identity import BlockIdentity, KnownBlock
from cryptolake.net.boundary import closer, contradicted, pilots, probes
from cryptolake.net.faults import Behind
from cryptolake.net.header_standing import HeaderStanding as HeaderStanding
from cryptolake.net.known_headers import KnownHeaders
from cryptolake.net.rpc import Pool
from cryptolake.net.stated_header import Header as Header
from cryptolake.net.voices import BY_TWO


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Blocks `[start, end)`."""

    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)


class KeepsBoundaries(Protocol):
    """Where boundaries are kept (block_cache)."""

    def get(self, chain: str, timestamp: int) -> Header | None: ...

    def put(self, chain: str, proven: Mapping[int, Header]) -> None: ...


class Blocks:
    """The block finder of one chain; `clock` tells where to look first. Thread-safe.

    `provable` says whether it is known how the chain's headers hash: one that does not hash to its hash is asked elsewhere.
    `again` says that a second operator is asked too, so that somebody bears out what a fact rests on.
    """

    def __init__(
        self,
        pool: Pool,
        cache: KeepsBoundaries | None = None,
        clock: BlockClock | None = None,
        *,
        provable: bool = False,
        again: bool = False,
    ) -> None:
        self._pool, self._cache, self._clock, self._again = pool, cache, clock, again
        self._headers = headers = KnownHeaders(pool, provable=provable)
        self._agreement = Agreement(pool, lambda: headers.provable, headers.rivals)
        self._found: dict[int, Header] = {}  # boundaries, by timestamp
        # Of the same; that of the chain's first block for those before it.
        self._standing: dict[int, HeaderStanding] = {}
        self._later: set[int] = set()  # boundaries about which somebody was not waited for
        self._contradicted: dict[int, str] = {}  # boundaries about which operators differ, and who says what
        self._outvoted: dict[int, str] = {}  # the same where two of them agree, so that theirs is used

    @property
    def silent(self) -> bool:
        """Whether the chain has answered nothing for some seconds, though it is being asked."""
        return self._pool.silent

    def header(self, number: int) -> Header:
        """The header of block `number`. Raises Retry when the endpoint does not have it."""
        return self._headers.of([number])[number]

    def headers(self, numbers: Sequence[int]) -> dict[int, Header]:
        """Many headers at once, by number."""
        return self._headers.of(numbers)

    def fresh_header(self, number: int) -> Header:
        """The header of block `number`, asked again even if it is known: tells whether the chain was reorganised."""
        return self._headers.fresh(number)

    def identity(self, header: Header, kind: KnownBlock) -> BlockIdentity:
        """What the state of a block must say of itself; a boundary kept without its parent hash is asked for again.

        Raises Skip(reason="reorganised") when the block has another hash by now.
        """
        if not header.parent:
            now = self.header(header.number)
            if now.hash != header.hash:
                raise Skip(f"{self._pool.chain}: block {header.number} changed; run again", reason="reorganised")
            header = now
        return BlockIdentity(header.number, header.timestamp, header.hash, header.parent, kind)

    def named(self, hashes: Mapping[int, str]) -> tuple[dict[int, Header], HeaderStanding]:
        """The headers of the blocks of these hashes, by number, and who bears out the weakest of them.

        One that hashes to its hash is as certain as that hash is; of any other one a second operator is asked. Raises
        Contradicted where operators state different ones.
        """
        found, problem, doubt = self._headers.named(hashes), "", ""
        loose = [one for number, one in found.items() if not one.sealed and one.hash == hashes[number]]
        for number, borne in (self._agreement.of(loose) if self._again else {}).items():
            if borne.contradicted and not borne.stands:
                raise _undecided(borne)
            found[number] = borne.header
            problem, doubt = problem or borne.problem, doubt or borne.contradicted
        for number, one in found.items():
            if one.hash != hashes[number]:
                problem = f"{self._pool.chain}: block {number} has another hash in its header than in its logs"
                found[number] = replace(one, borne=())
            elif not one.borne:
                found[number] = self._agreement.alone(one)
        hashed = frozenset(number for number, one in found.items() if one.sealed and one.hash == hashes[number])
        return found, HeaderStanding((), tuple(found.values()), hashed, problem, doubt)

    def range_of(self, period: Period) -> tuple[BlockRange, Header]:
        """The blocks with timestamps in `[start, end)` and the period's snapshot block, the last one before its end.

        Raises Skip: `not_yet` when the end is not final yet, `not_deployed` when the chain starts after the end; Contradicted
        when operators differ about it.
        """
        snapshot = self.last_before(period.end)
        try:
            first = self.last_before(period.start).number + 1
        except Skip as error:
            if error.reason != "not_deployed":
                raise
            first = 0
        return BlockRange(first, snapshot.number + 1), snapshot

    def standing(self, *instants: datetime) -> HeaderStanding:
        """Who bears out the blocks that were found for these instants, the weakest of them."""
        found = HeaderStanding()
        for at in (int(one.timestamp()) for one in instants):
            found = found.joined(self._standing.get(at, HeaderStanding((Header(-1, at, ""),))))
        return found

    def last_before(self, instant: datetime) -> Header:
        """The last block whose timestamp is before `instant`, proven by the next block's timestamp."""
        wanted = int(instant.timestamp())
        for _ in self._pool.everybody:
            found = self.prefetch([instant])
            if wanted in found:
                return found[wanted]
            if wanted in self._contradicted:
                raise Contradicted(self._contradicted[wanted])
            first = self.header(0)
            if first.timestamp >= wanted and self._began(first, wanted):
                borne = self._standing.get(wanted, HeaderStanding((first,))).grade != "one_voice"
                said_by = f", {BY_TWO}" if borne else ""
                words = f"{self._pool.chain} did not exist before {instant:%Y-%m-%d}{said_by}"
                raise Skip(words, reason="not_deployed")
            if first.timestamp < wanted:
                break
        raise Skip(
            f"{self._pool.chain}: {instant:%Y-%m-%d %H:%M} UTC is not final yet; run again later", reason="not_yet"
        )

    def prefetch(self, instants: Iterable[datetime]) -> dict[int, Header]:
        """The last blocks before many instants, by timestamp, found together in a few batched rounds.

        Left out are instants before the chain's first block or after its final head, and those about which operators differ.
        """
        wanted = sorted({int(instant.timestamp()) for instant in instants})
        kept = {at: known for at in wanted if (known := self._known(at)) is not None}
        found = {
            at: self._found.get(at) or kept[at] for at in wanted if at in self._found or self._suffices(kept.get(at))
        }
        for at in found.keys() - self._standing.keys():
            weak = self._again and found[at].grade == "one_voice"
            self._standing[at] = HeaderStanding((found[at],), problem=why_none(self._pool, ()) if weak else "")
        if left := [at for at in wanted if at not in found]:
            self._look_at({number for at in left if at in kept for number in (kept[at].number, kept[at].number + 1)})
            proven = self._proven(left)
            # Where somebody was silent who is waited for again later, it is looked at again then.
            self._found |= {at: one for at, one in proven.items() if at not in self._later}
            if proven and self._cache is not None:
                sure = {at: one for at, one in proven.items() if at not in self._outvoted}
                self._cache.put(self._pool.chain, sure)
            found |= proven
        return dict(sorted(found.items()))

    def _suffices(self, kept: Header | None) -> bool:
        """Whether a kept boundary need not be looked at again."""
        if kept is None or kept.grade == UNPROVEN:  # somebody's file: where to look, not what is so
            return False
        return not self._again or kept.grade != "one_voice" or not self._agreement.possible

    def _look_at(self, numbers: set[int]) -> None:
        """Ask for the headers of kept boundaries and of their neighbours: the search begins where it ends if they are right."""
        try:
            self._headers.of(sorted(numbers))
        except Behind:
            return  # a kept number that no chain has yet says nothing

    def _proven(self, wanted: Sequence[int]) -> dict[int, Header]:
        """The last blocks before these times, searched for until nobody's word that was refuted is among them."""
        for _ in self._pool.everybody:
            pairs = self._search(wanted)
            if not self._again:
                alone = {at: self._agreement.alone(low) for at, (low, _) in pairs.items()}
                self._standing |= {at: HeaderStanding((one,)) for at, one in alone.items()}
                return alone
            heard = self._agreement.of(one for pair in pairs.values() for one in _to_bear_out(*pair))
            for at, pair in pairs.items():
                for part in (heard[one.number] for one in _to_bear_out(*pair)):
                    if part.wrong and part.contradicted:
                        self._outvoted[at] = part.contradicted
            if not self._headers.leave_out({one.wrong for one in heard.values() if one.wrong}):
                break
        found = {}
        for at, pair in pairs.items():
            parts = [heard[one.number] for one in _to_bear_out(*pair)]
            (self._later.add if any(one.later for one in parts) else self._later.discard)(at)
            odd = next((one for one in parts if one.wrong or (one.contradicted and not one.stands)), None)
            if odd is not None:
                self._contradicted[at] = str(_undecided(odd))
                continue
            self._contradicted.pop(at, None)
            found[at] = replace(pair[0], borne=tuple(two for one in parts for two in one.header.borne))
            self._standing[at] = _standing_of(found[at], parts, self._outvoted.get(at, ""))
        return found

    def _search(self, wanted: Sequence[int]) -> dict[int, tuple[Header, Header]]:
        """The blocks before and after each of these times that touch each other, as headers say."""
        first, head = self._ends(max(wanted))
        search = {at: self._headers.bracket(at, first, head) for at in wanted if first.timestamp < at <= head.timestamp}
        found: dict[int, tuple[Header, Header]] = {}
        misled: dict[int, int] = {}
        clock = self._clock
        while search:
            asked = {at: probes(at, search[at], clock, misled=misled.get(at, 0)) for at in pilots(search)}
            self._headers.of(sorted({number for some in asked.values() for number in some}))
            for at, before in list(search.items()):
                now = search[at] = self._headers.bracket(at, before.low, before.high)
                if now.blocks <= 1:
                    found[at] = (now.low, now.high)
                    del search[at]
                elif at in asked:
                    misled[at] = 0 if closer(at, before, now) else misled.get(at, 0) + 1
                    clock = None if contradicted(at, before, now, clock) else clock
        return found

    def _began(self, first: Header, wanted: int) -> bool:
        """Whether the chain's first block is borne out; what its time rules out is for ever. Raises Contradicted.

        The block after it must follow it, in time and by its parent.
        """
        if not self._again:
            self._require_second(first)
            return True
        borne = self._agreement.of([first])[first.number]
        if borne.contradicted and (borne.own or not borne.stands):
            raise _undecided(borne)
        if borne.wrong:
            self._headers.leave_out([borne.wrong])
            self._outvoted |= {wanted: borne.contradicted} if borne.contradicted else {}
            return False
        self._require_second(first)
        began = Header(-1, 0, "", borne=borne.header.borne)
        self._standing[wanted] = _standing_of(began, [borne], self._outvoted.get(wanted, ""))
        return True

    def _require_second(self, first: Header) -> None:
        """Raise Contradicted where the block after the chain's first one is said to be older, or to follow another."""
        second = self.header(1)
        other_parent = first.sealed and second.sealed and second.parent != first.hash
        if second.timestamp < first.timestamp or other_parent:
            raise Contradicted(f"{self._pool.chain}: block 1 is said to be before block 0; set another endpoint")

    def _ends(self, until: int) -> tuple[Header, Header]:
        """The first block, and the newest final one that can be had: an endpoint may call final what nobody has.

        Whoever is only asked besides has no say in what is final, not even where nobody else is left to ask for headers.
        """
        pool = self._pool if self._headers.pool.hurried else self._headers.pool
        number = pool.finalized(until)
        while True:
            try:
                ends = self._headers.of([0, number])
            except Behind:
                number = pool.finalized_below(number)
            else:
                return ends[min(ends)], ends[max(ends)]

    def _known(self, at: int) -> Header | None:
        return None if self._cache is None else self._cache.get(self._pool.chain, at)


def _to_bear_out(low: Header, high: Header) -> list[Header]:
    """The headers of a boundary that somebody must bear out: the second names the first, where both hash to their hashes."""
    return [high] if low.sealed and high.sealed and high.parent == low.hash else [low, high]


def _standing_of(bound: Header, parts: Sequence[AgreedHeader], outvoted: str) -> HeaderStanding:
    """That of a boundary, by what was said of the headers that it rests on, and who was `outvoted` before."""
    problem = next((one.problem for one in parts if one.problem), "")
    contradicted = next((one.contradicted for one in parts if one.contradicted), outvoted)
    return HeaderStanding((bound,), problem=problem, contradicted=contradicted)


def _undecided(borne: AgreedHeader) -> Contradicted:
    words = borne.problem or f"block {borne.header.number}: its header was refuted, and nobody else is left to ask"
    return Contradicted(f"{words}; set a third operator's endpoint to decide, or run again")
