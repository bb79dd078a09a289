"""`FamilyFacts`: what a protocol family declares about itself, so that nobody else has to know its name.

What does not belong here: any family. Each declares its facts in its own file of `sources/onchain`, which is above this
room: whoever opens the registry hands them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptolake.contracts.wellformed import require_types


@dataclass(frozen=True, slots=True)
class Anchor:
    """A getter of the contract under `role`: `gives` an address, a list that is not empty, a count above 0 or true.

    `same_as` names the entry, or the fact, that the address must be; `place` is the word it stands in. An argument that is a
    text is the role whose address is passed. `lasting`: it holds at every block of the market's life, so that every reading
    asks it too; what governance may replace is not. `by_now`: before it held, its contract reverted.
    """

    role: str
    getter: str
    gives: Literal["address", "list", "count", "true", "number"]
    same_as: str | None = None
    arguments: tuple[int | str, ...] = ()
    lasting: bool = False
    place: int = 0
    by_now: bool = False

    def __post_init__(self) -> None:
        require_types(self)


@dataclass(frozen=True, slots=True)
class Accounting:
    """How the amounts of one asset in one market relate, which is what the quality rules may hold a family to.

    `lends_deposits`: what is borrowed comes out of what was supplied, so that borrowed <= supplied. `cash_is_the_rest`:
    supplied = borrowed + cash but for reserves, the treasury's share and donations.
    """

    lends_deposits: bool
    cash_is_the_rest: bool

    def __post_init__(self) -> None:
        require_types(self)


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """A family's declaration.

    `primary_entry` is the entry that identifies a market within its chain (None: the name alone does). `anchors` are the
    getters that all deployments have; `protocol_anchors` replace them for forks that name the same things otherwise.
    `accounting` is None where nobody has established it. `readable` says whether the family's markets can be collected.
    `beginnings` are the entries none of which has code before a market's life begins; the primary entry unless declared.
    """

    name: str
    primary_entry: str | None
    anchors: tuple[Anchor, ...]
    protocol_anchors: Mapping[str, tuple[Anchor, ...]] = field(default_factory=dict, hash=False)
    accounting: Accounting | None = None
    readable: bool = True
    beginnings: tuple[str, ...] = ()

    def began_as(self, entry: Mapping[str, str]) -> tuple[str, ...]:
        """The roles of a row whose contracts are there from the beginning of the market's life on."""
        found = tuple(role for role in self.beginnings if role in entry)
        return found or (self.primary_role(entry),)

    def anchors_of(self, protocol: str) -> tuple[Anchor, ...]:
        """What the contracts of this protocol must answer."""
        return self.protocol_anchors.get(protocol, self.anchors)

    def facts_of(self, protocol: str) -> frozenset[str]:
        """The names that this protocol's contracts are asked about: what a row may state of them."""
        named: set[str] = set()
        for one in self.anchors_of(protocol):
            named |= {one.role, one.same_as or one.role, *(text for text in one.arguments if isinstance(text, str))}
        return frozenset(named)

    def primary_role(self, entry: Mapping[str, str]) -> str:
        """The entry a market is identified by; the first of its entries where the family has none."""
        return self.primary_entry or next(iter(entry))
