"""Differences between two voices, settled block by block, by the block's hash: who dropped or made up logs is proven.

Without a proof of receipts nobody is outvoted: neither by voices that leave out, make up or number a log alike, nor by some
that give a block another header. A block is settled then only where two voices agree and whoever else spoke of it comes to say
the same. What does not belong here: asking for whole windows (scan, witness) and what a difference means for a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cryptolake.errors import CryptolakeError
from cryptolake.net.besides import among, others
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.bloom import may_hold
from cryptolake.net.endpoint import Station
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Malformed
from cryptolake.net.logs import BlockWindow, Log, LogFilter, LogQuestion
from cryptolake.net.proof import ProvenBlock, Prover
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import distinct, voice
from cryptolake.net.windows import ask_window

Said = frozenset[Log]


@dataclass(frozen=True, slots=True)
class Difference:
    """A block about which voices differ: how many logs each saw, and how that was settled.

    `settled` is `receipts_root`, `block_hash` (voices agree on the block by its hash) or "" (nobody could tell); `true` is
    the number of logs then, `by` who bears it out and `liars` the endpoints whose first answer is proven wrong. `alike` are
    voices that leave out the same: probably one.
    """

    block: int
    block_hash: str
    said: Mapping[str, int]
    settled: str = ""
    true: int | None = None
    by: tuple[str, ...] = ()
    liars: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()


class AtBlock(LogQuestion):
    """The same question about one block, by its hash: another way through a node than a range of numbers."""

    def __init__(self, question: LogQuestion, block_hash: str) -> None:
        super().__init__(question.chain, [LogFilter(one, wanted) for one, wanted in question.wanted.items()])
        self._hash = block_hash

    def params(self, start: int, end: int, addresses: Sequence[str], topics: Sequence[str] | None = None) -> list[Json]:
        """The parameters of eth_getLogs for the block of this hash, whatever numbers are given."""
        (found,) = super().params(start, end, addresses, topics)
        assert isinstance(found, dict)
        return [{"blockHash": self._hash, "address": found["address"], "topics": found["topics"]}]

    def read(self, answer: bytes, start: int, end: int) -> list[Log]:
        """The wanted logs of that block. Raises Malformed for logs of another one."""
        found = super().read(answer, start, end)
        if any(log.block_hash != self._hash for log in found):
            raise Malformed(f"{self.chain}: a log of another block was answered; it is asked elsewhere")
        return found


def differing(
    first: Sequence[BlockWindow], logs: Sequence[Log], second: Sequence[BlockWindow], others_logs: Sequence[Log]
) -> dict[int, dict[str, Said]]:
    """The blocks that two endpoints answered differently, with what each of the two said of them."""
    ours, theirs = _by_block(logs), _by_block(others_logs)
    found: dict[int, dict[str, Said]] = {}
    for number in sorted(ours.keys() | theirs.keys()):
        one, other = answered_by(first, number), answered_by(second, number)
        if one is None or other is None:
            continue
        a, b = ours.get(number, frozenset()), theirs.get(number, frozenset())
        if a != b:
            found[number] = {one: a, other: b}
    return found


def settle(
    pool: Pool, question: LogQuestion, number: int, claims: Mapping[str, Said], prover: Prover | None = None
) -> tuple[Difference, Said]:
    """Settle one block that endpoints (the keys of `claims`) answered differently: what is known, and the logs to keep.

    Where nothing can be settled the fullest version that anybody of one's own gave is kept: versions are never mixed, and who
    is only asked besides changes no figure.
    """
    said = {name: len(one) for name, one in claims.items()}
    with suppress(CryptolakeError):  # a ceiling, or nobody to ask: voices may still agree
        proven = None if prover is None else prover.block(question, number)
        if isinstance(proven, ProvenBlock):
            logs = frozenset(proven.logs)
            return _settled(number, proven.hash, said, "receipts_root", logs, claims, ()), logs
    header, agreed = _header(pool, number, claims)
    there = {name: said for name, said in claims.items() if any(one.endpoint.name == name for one in pool.everybody)}
    by_hash, kept_to = _by_hash(pool, question, number, header.hash, there) if agreed else ({}, [])
    truth, voices = _borne_out(by_hash, [*by_hash.values(), *kept_to], claims, claims.keys() - there.keys(), header)
    if truth is not None:  # whoever is gone cannot take back what it said, and is not named for it
        found = _settled(number, header.hash, said, "block_hash", truth, there, voices)
        return replace(found, alike=_alike(by_hash, truth)), truth
    fullest = max(_of_ones_own(pool, claims, by_hash), key=len)  # of equals that of whoever was asked first
    alike = _alike(by_hash, fullest)
    return Difference(number, header.hash if agreed else "", said, alike=alike), fullest


def _of_ones_own(pool: Pool, claims: Mapping[str, Said], by_hash: Mapping[str, Said]) -> list[Said]:
    """What endpoints of one's own said; what anybody said where none of them did."""
    besides = {one.endpoint.name for one in pool.everybody if one.endpoint.besides}
    own = {voice(one.endpoint) for one in pool.everybody if not one.endpoint.besides}
    found = [said for name, said in claims.items() if name not in besides]
    found += [said for of, said in by_hash.items() if of in own] if found else []
    return found or [*claims.values(), *by_hash.values()]


def _alike(by_hash: Mapping[str, Said], fullest: Said) -> tuple[str, ...]:
    """The voices that err in the same way, where there are several."""
    wrong = Counter(one for one in by_hash.values() if one != fullest)
    return tuple(sorted(name for name, one in by_hash.items() if wrong[one] > 1))


def _settled(
    number: int,
    block_hash: str,
    said: Mapping[str, int],
    how: str,
    truth: Said,
    claims: Mapping[str, Said],
    by: Sequence[str],
) -> Difference:
    liars = tuple(name for name, claim in claims.items() if claim != truth)
    return Difference(number, block_hash, said, how, len(truth), tuple(by), liars)


def _header(pool: Pool, number: int, claims: Mapping[str, Said]) -> tuple[Header, bool]:
    """The header that voices give, and whether two of them do and nobody gives another one.

    One that does not hash to its hash says nothing where others do. It has a bloom filter only where it does: what else
    disproves a log is anybody's word.
    """
    headers = [_header_at(pool, station, number) for station in _speakers(pool, claims)]
    told = [one for one in headers if one is not None]
    told = [one for one in told if one.sealed] or told
    if not told:
        return Header(number, 0, ""), False
    best = told[0] if told[0].sealed else replace(told[0], bloom=b"")
    return best, len(told) > 1 and len({one.hash for one in told}) == 1


def _header_at(pool: Pool, station: Station, number: int) -> Header | None:
    try:
        return Blocks(among(pool, [station])).fresh_header(number)
    except CryptolakeError:
        return None


def _by_hash(
    pool: Pool, question: LogQuestion, number: int, block_hash: str, claims: Mapping[str, Said]
) -> tuple[dict[str, Said], list[Said]]:
    """What every voice says of the block, by its hash where it can be asked so; and all that was said of it besides by those
    who do not take it back by its hash, and by a voice that says two things.
    """
    at_block = AtBlock(question, block_hash)
    found: dict[str, Said] = {}
    left = dict(claims)
    for station in _speakers(pool, claims):
        name, of = station.endpoint.name, voice(station.endpoint)
        with suppress(CryptolakeError):
            said = frozenset(ask_window(pool, station, at_block, number, number + 1))
            if found.setdefault(of, said) == said:
                left.pop(name, None)
            else:
                left[name] = said
        if name in left:
            found.setdefault(of, left[name])
    return found, list(left.values())


def _speakers(pool: Pool, claims: Mapping[str, Said]) -> list[Station]:
    """One station of every voice: those that spoke already, then one of each other."""
    found = [one for one in pool.everybody if one.endpoint.name in claims]
    heard = {one.endpoint.name for one in found}
    while more := others(pool, heard):
        found.append(more[0])
        heard.add(more[0].endpoint.name)
    return found


def _borne_out(
    by_hash: Mapping[str, Said],
    kept_to: Sequence[Said],
    claims: Mapping[str, Said],
    gone: Collection[str],
    header: Header,
) -> tuple[Said | None, tuple[str, ...]]:
    """What two voices say of the block by its hash and nobody contradicts, now or before, and who they are.

    All that is `kept_to` says the same then, to the numbers of logs, but for what the block's bloom filter excludes: no vote
    tells whether a log was left out, made up or numbered wrongly. What was taken back by hash may have left something out or
    numbered it otherwise, and may not have told of more: nodes that do not know the question by hash answer with nothing. So
    may what those said who are `gone`, but for numbers.
    """
    for truth in sorted(set(by_hash.values()), key=len, reverse=True):
        voices = tuple(name for name, one in by_hash.items() if one == truth)
        agreed = all(truth <= one and _adds_nothing(one, truth, header) for one in kept_to)
        agreed &= all(_adds_nothing(one, truth, header) for one in claims.values())
        agreed &= all(_promised(claims[name], header) <= truth for name in gone)
        if distinct(voices) > 1 and agreed:
            return truth, voices
    return None, ()


def _adds_nothing(other: Said, truth: Said, header: Header) -> bool:
    return not Counter(map(_event, _promised(other, header))) - Counter(map(_event, truth))


def _promised(said: Said, header: Header) -> Said:
    """Those of the logs that the block's bloom filter does not exclude."""
    bloom = header.bloom
    if not any(bloom):
        return said
    return frozenset(log for log in said if all(may_hold(bloom, one) for one in (log.address, *log.topics)))


def _event(log: Log) -> tuple[str, str, tuple[str, ...], bytes]:
    """A log without where it stands."""
    return log.tx, log.address, log.topics, log.data


def _by_block(logs: Sequence[Log]) -> dict[int, Said]:
    found: dict[int, set[Log]] = {}
    for log in logs:
        found.setdefault(log.block, set()).add(log)
    return {number: frozenset(one) for number, one in found.items()}


def answered_by(windows: Sequence[BlockWindow], number: int) -> str | None:
    """The endpoint that answered for a block; None when nobody did."""
    return next((one.endpoint for one in windows if one.start <= number < one.end), None)
