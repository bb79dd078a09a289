"""Who bears out the headers that a fact rests on: the boundaries of its period, and the blocks that its events' times are from.

What does not belong here: asking (blocks, agreement), and what a kept one is worth (sources).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from cryptolake.contracts.grades import Grade, weakest
from cryptolake.net.stated_header import Header


@dataclass(frozen=True, slots=True)
class HeaderStanding:
    """Headers, each with who states it and who bears it out.

    `bounds` are the last blocks before the instants at which a period begins and ends (number -1 where it begins with the
    chain), `events` the blocks of its events; `hashed` are those of them whose headers hash to the hash in the logs, and are as
    certain as the logs. `problem` says why nobody bears out what nobody does, `contradicted` who states another header while
    no proof says who is right ("": nobody).
    """

    bounds: tuple[Header, ...] = ()
    events: tuple[Header, ...] = ()
    hashed: frozenset[int] = frozenset()
    problem: str = ""
    contradicted: str = ""

    @property
    def grade(self) -> Grade:
        """`two_voices`, or `one_voice` where nobody else bears out one of them."""
        told = [*self.bounds, *(one for one in self.events if one.number not in self.hashed)]
        return weakest(["two_voices", *(one.grade for one in told)])

    def joined(self, other: HeaderStanding) -> HeaderStanding:
        """What stands of both."""
        return HeaderStanding(
            (*self.bounds, *other.bounds),
            (*self.events, *other.events),
            self.hashed | other.hashed,
            "; ".join(dict.fromkeys(one for one in (self.problem, other.problem) if one)),
            "; ".join(dict.fromkeys(one for one in (self.contradicted, other.contradicted) if one)),
        )

    def of_events(self, blocks: Collection[int]) -> HeaderStanding:
        """The same for a market that had events in these blocks alone."""
        return replace(self, events=tuple(one for one in self.events if one.number in blocks))

    def to_json(self) -> dict[str, object]:
        """As a certificate keeps it: events' blocks with those that were borne out alike."""
        groups: dict[tuple[bool, tuple[tuple[str, str], ...]], list[int]] = {}
        for one in self.events:
            groups.setdefault((one.number in self.hashed, one.borne), []).append(one.number)
        return {
            "bounds": [{"block": one.number, "hash": one.hash, "borne": one.borne} for one in self.bounds],
            "events": [
                {"blocks": sorted(numbers), "hashed": hashed, "borne": borne}
                for (hashed, borne), numbers in groups.items()
            ],
            "problem": self.problem,
            "contradicted": self.contradicted,
        }
