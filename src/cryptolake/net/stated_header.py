"""A header as one endpoint states it, and whether it hashes to its hash: what else it says is worth little where it does not.

What does not belong here: asking for headers (blocks), and who else must state the same (agreement).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptolake.contracts.grades import UNPROVEN, Grade
from cryptolake.net.answers import data, quantity
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Behind, Malformed
from cryptolake.net.headers import proven_header
from cryptolake.net.voices import are_two


@dataclass(frozen=True, slots=True)
class Header:
    """A block's number, timestamp (seconds since 1970, UTC) and hash.

    `bloom` is the bloom filter of its logs and `parent` the hash of the block before it; empty when not known. `sealed` says
    that all of this hashes to `hash`. `by` names the endpoint that states it; `borne` are the pairs of who states it, or the
    block behind it, and who bears that out ("": nobody does), as `net.voices.told_by` names them, none where nobody was asked.
    `adopted`: somebody's file names it, and nobody stated it.
    """

    number: int
    timestamp: int
    hash: str
    bloom: bytes = b""
    parent: str = ""
    sealed: bool = False
    by: str = field(default="", compare=False)
    borne: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    adopted: bool = False

    @property
    def time(self) -> datetime:
        """The timestamp as an aware UTC datetime."""
        return datetime.fromtimestamp(self.timestamp, UTC)

    @property
    def grade(self) -> Grade:
        """Who bears it out: `two_voices`, or `one_voice`, who states it; `unproven` where nobody does."""
        return UNPROVEN if self.adopted else borne_grade(self.borne)


def borne_grade(pairs: Iterable[Sequence[str]]) -> Grade:
    """How far headers are borne out, of which each was stated by the first of a pair and borne out by the second."""
    pairs = list(pairs)
    return "two_voices" if pairs and all(are_two(one, other) for one, other in pairs) else "one_voice"


def stated_header(answer: Json | object, number: int, chain: str, by: str = "") -> Header:
    """The header of block `number` in an answer to eth_getBlockByNumber of the endpoint named in `by`.

    Raises Behind when there is no such block yet, Malformed when it is another one or lacks its time or hash.
    """
    if answer is None:
        raise Behind(f"{chain}: the endpoint does not have block {number} yet; run again later or set another endpoint")
    if not isinstance(answer, Mapping) or quantity(answer.get("number")) != number:
        raise Malformed(f"{chain}: another block than {number} was answered; set another endpoint")
    timestamp, own, bloom = quantity(answer.get("timestamp")), data(answer.get("hash")), data(answer.get("logsBloom"))
    if timestamp is None or own is None or len(own) != 32:
        raise Malformed(f"{chain}: the header of block {number} lacks its time or hash; set another endpoint")
    parent = data(answer.get("parentHash"))
    # A bloom filter of another length ("0x0") is none: what it would prove stays unproven, the header stands.
    return Header(
        number,
        timestamp,
        "0x" + own.hex(),
        bloom if bloom is not None and len(bloom) == 256 else b"",
        "0x" + parent.hex() if parent is not None and len(parent) == 32 else "",
        is_sealed(answer),
        by=by,
    )


def is_sealed(answer: Mapping[str, object]) -> bool:
    """Whether all that a header says hashes to its hash."""
    try:
        proven_header(answer)
    except Malformed:
        return False
    return True
