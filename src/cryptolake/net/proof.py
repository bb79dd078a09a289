"""Proof of a block's logs by its receipts root, whoever left some out: the strongest evidence there is.

A header that hashes to what two operators call the block's hash says which receipts it has; their giver need not be trusted.
A header whose bloom filter excludes what is wanted proves that there is none. What does not belong here: encoding (receipts,
headers), which blocks are worth a proof and what becomes of one (sources).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.errors import CryptolakeError
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Endpoint, Station
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Malformed
from cryptolake.net.headers import ProvenHeader, proven_header
from cryptolake.net.logs import Log, LogQuestion
from cryptolake.net.purse import CeilingReached
from cryptolake.net.receipts import OtherRules, logs_of
from cryptolake.net.rpc import Pool
from cryptolake.net.transactions import hashes_of
from cryptolake.net.voices import UNKNOWN, same_voice, voice

HEADER, RECEIPTS, RECEIPT = "eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getTransactionReceipt"
_TOGETHER = 100  # headers asked for together

Why = Literal["rules", "one_voice", "hashes_differ", "header", "receipts", "transactions"]
"""Why a block is not proven: the chain's receipts follow rules that are not known; only one operator gives its hash; they
give different ones; nobody gives a header that hashes to it; nobody gives receipts, or transactions, that rebuild its roots."""


@dataclass(frozen=True, slots=True)
class ProvenBlock:
    """The wanted logs of a block in order: all of them, and nothing else.

    `receipts` were rebuilt, 0 where the header's bloom filter excludes every wanted log; `endpoint` gave them ("" then).
    `agreed` are the endpoints that gave its hash, each of another operator; none where the next block's header names it.
    """

    number: int
    hash: str
    logs: tuple[Log, ...]
    receipts: int
    endpoint: str
    agreed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unproven:
    """A block of which nothing was proven; `says` is one line for people. Nobody may conclude that it has no logs."""

    number: int
    why: Why
    says: str


@dataclass(frozen=True, slots=True)
class Agreed:
    """A header on whose hash the endpoints named agree, each of another operator; none where the next header names it."""

    header: ProvenHeader
    endpoints: tuple[str, ...]


class Prover:
    """Proves blocks of one chain. `rule` says how its receipts are encoded, None where that is not known. Thread-safe."""

    def __init__(self, pool: Pool, rule: ReceiptRule | None) -> None:
        self._pool, self._rule = pool, rule

    @property
    def knows_rules(self) -> bool:
        """Whether it is known how the chain's headers and receipts are hashed."""
        return self._rule is not None

    def block(self, question: LogQuestion, number: int) -> ProvenBlock | Unproven:
        """The wanted logs of one block: its hash from two operators, its receipts from anybody."""
        (proven,) = self.blocks(question, BlockRange(number, number + 1))
        return proven

    def blocks(self, question: LogQuestion, within: BlockRange) -> Iterator[ProvenBlock | Unproven]:
        """The wanted logs of every block of a range, the last block first: two operators need to agree on that one only.

        Every other header is the parent that the next one names. Where one is missing, what is before it is not proven by it:
        from there two operators are asked anew. Raises CeilingReached, and Stop when nobody may be asked any more.
        """
        expected: str | None = None
        for end in range(within.end, within.start, -_TOGETHER):
            numbers = list(range(max(within.start, end - _TOGETHER), end))
            given: dict[int, Json] | None = None
            for number in reversed(numbers):
                if given is None and expected is not None:  # before two operators agree, nothing would come of them
                    given = self._together(numbers[: number - numbers[0] + 1])
                found = self._header(number, expected, (given or {}).get(number))
                if isinstance(found, Unproven):
                    expected = None
                    yield found
                else:
                    expected = found.header.parent
                    proven = self._logs(question, found.header)
                    yield replace(proven, agreed=found.endpoints) if isinstance(proven, ProvenBlock) else proven

    def agreed(self, number: int) -> Agreed | Unproven:
        """The header of a block, whose hash two operators give and none of the user's own contradicts; or why there is none."""
        if self._rule is None:
            return self._unproven(number, "rules", "its receipts follow rules that are not known here")
        heard: list[Endpoint] = []
        given: dict[str, list[str]] = {}  # by hash, the endpoints that give it
        # Who may be anybody is heard last: it bears nobody out, and before others it would keep them from it.
        for station in sorted(self._stations(), key=lambda one: voice(one.endpoint) == UNKNOWN):
            spoke = any(same_voice(station.endpoint, other) for other in heard)
            header = None if spoke else self._one_header(station, number)
            if header is not None:
                heard.append(station.endpoint)
                names = given.setdefault(header.hash, [])
                names.append(station.endpoint.name)
                if len(names) == 2 and not self._own_among(given, header.hash):
                    return Agreed(header, tuple(names))
        names = [name for some in given.values() for name in some]
        if not names:
            return self._unproven(number, "header", "nobody gives a header that hashes to its hash")
        if len(names) == 1:
            return self._unproven(
                number, "one_voice", f"only {names[0]} gives its hash; set an endpoint of another operator"
            )
        return self._unproven(number, "hashes_differ", f"{' and '.join(names)} give different hashes of it")

    def _own_among(self, given: Mapping[str, Sequence[str]], besides: str) -> bool:
        """Whether an endpoint that is not only asked besides gives another hash than this: no vote disproves it."""
        own = {one.endpoint.name for one in self._pool.stations}
        return any(name in own for hashed, names in given.items() if hashed != besides for name in names)

    def _header(self, number: int, expected: str | None, given: Json) -> Agreed | Unproven:
        """The header that hashes to what is expected, from whomever; else the one on which two operators agree."""
        if expected is None:
            return self.agreed(number)
        if (found := _read(given, number)) is not None and found.hash == expected:
            return Agreed(found, ())
        for station in self._stations():
            found = self._one_header(station, number)
            if found is not None and found.hash == expected:
                return Agreed(found, ())
        return self._unproven(number, "header", "nobody gives the header that the block after it names")

    def _together(self, numbers: Sequence[int]) -> dict[int, Json]:
        """Headers as somebody gives them, for what they are worth; none where they cannot be had together."""
        try:
            answers = self._pool.batch([(HEADER, [hex(number), False]) for number in numbers])
        except CeilingReached:
            raise
        except CryptolakeError:
            return {}  # each is asked for by itself
        return {number: answer for number, answer in zip(numbers, answers, strict=True) if isinstance(answer, dict)}

    def _one_header(self, station: Station, number: int) -> ProvenHeader | None:
        return _read(self._ask(station, HEADER, [hex(number), False]), number)

    def _logs(self, question: LogQuestion, header: ProvenHeader) -> ProvenBlock | Unproven:
        """The wanted logs of a header's block, by its bloom filter or by its receipts."""
        if not any(self._promised(question, header)):
            return ProvenBlock(header.number, header.hash, (), 0, "")
        why: tuple[Why, str] = ("receipts", "nobody gives receipts that rebuild the root in its header")
        for station in self._stations():
            for receipts in self._receipts(station, header):
                try:
                    logs = logs_of(header, receipts, self._rule or "standard")
                except OtherRules as error:
                    why = ("rules", str(error))  # unless somebody else gives it with a type that is known
                    continue
                except Malformed:
                    continue
                if not any(_wanted(question, logs)):
                    return ProvenBlock(header.number, header.hash, (), _count(receipts), station.endpoint.name)
                # Receipts do not say whose they are: the transactions' own root does.
                if (hashes := self._transactions(header)) is None:
                    words = "nobody gives transactions that rebuild the root in its header"
                    return self._unproven(header.number, "transactions", words)
                wanted = tuple(_wanted(question, logs_of(header, receipts, self._rule or "standard", hashes)))
                return ProvenBlock(header.number, header.hash, wanted, _count(receipts), station.endpoint.name)
        return self._unproven(header.number, *why)

    def _transactions(self, header: ProvenHeader) -> tuple[str, ...] | None:
        """The hashes of a block's transactions, from whoever gives such as rebuild the root in its header."""
        for station in self._stations():
            answer = self._ask(station, HEADER, [hex(header.number), True])
            try:
                return hashes_of(header, answer.get("transactions") if isinstance(answer, dict) else None)
            except Malformed:
                continue
        return None

    def _promised(self, question: LogQuestion, header: ProvenHeader) -> Iterator[bool]:
        for address in question.addresses:
            if header.may_hold(address):
                yield from (header.may_hold(topic) for topic in question.topics([address]))

    def _receipts(self, station: Station, header: ProvenHeader) -> Iterator[Json]:
        """The receipts as an endpoint gives them: all at once, and where it does not know that question, one by one."""
        whole = self._ask(station, RECEIPTS, [hex(header.number)])
        if whole is not None:
            yield whole
        elif header.transactions is not None:
            apart: list[Json] = []
            for tx in header.transactions:
                one = self._ask(station, RECEIPT, [tx])
                if one is None:
                    return
                apart.append(one)
            yield apart

    def _ask(self, station: Station, method: str, params: Sequence[Json]) -> Json:
        """What one endpoint answers; None where it does not."""
        try:
            answer = self._pool.at(station, method, params)
        except CeilingReached:
            raise
        except CryptolakeError:
            return None  # somebody else is asked, and in the end the block is said to be unproven
        return None if isinstance(answer, bytes) else answer

    def _stations(self) -> list[Station]:
        return [one for one in self._pool.everybody if one.stopped is None and one.endpoint.answers(RECEIPTS)]

    def _unproven(self, number: int, why: Why, says: str) -> Unproven:
        return Unproven(number, why, f"{self._pool.chain}: block {number} is not proven: {says}")


def _read(answer: Json, number: int) -> ProvenHeader | None:
    """The header in an answer when it is that block's and hashes to its hash."""
    try:
        found = proven_header(answer)
    except Malformed:
        return None
    return found if found.number == number else None


def _wanted(question: LogQuestion, logs: Iterable[Log]) -> Iterator[Log]:
    return (log for log in logs if log.topics and log.topics[0] in question.wanted.get(log.address, ()))


def _count(receipts: Json) -> int:
    return len(receipts) if isinstance(receipts, list) else 0
