"""Logs: the question for many emitters at once, and the reading of what comes back; nothing that was not asked is believed.

What does not belong here: asking (scan), decoding, which contracts are worth asking, and doubting an answer (audit).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from cryptolake.net.abi import checksum
from cryptolake.net.answers import data, quantity
from cryptolake.net.envelope import Json, decoded
from cryptolake.net.faults import Malformed

METHOD = "eth_getLogs"


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The events wanted of one emitter: its EIP-55 address and the set of first topics."""

    address: str
    topics0: frozenset[str]


class Log(msgspec.Struct, frozen=True):
    """One event as the node gave it; topics and hashes lower-case 0x hex, address EIP-55."""

    address: str
    topics: tuple[str, ...]
    data: bytes
    block: int
    block_hash: str
    tx: str
    index: int


@dataclass(frozen=True, slots=True)
class BlockWindow:
    """One answered question: blocks `[start, end)`, who answered, how many logs came."""

    start: int
    end: int
    endpoint: str
    logs: int


@dataclass(frozen=True, slots=True)
class AnsweredWindow:
    """A window and its logs; `unread` are the emitters of which nobody gave readable ones, so that theirs are not known."""

    window: BlockWindow
    logs: tuple[Log, ...]
    unread: frozenset[str] = frozenset()


class LogQuestion:
    """The union of filters as one JSON-RPC question, and the judge of what comes back."""

    def __init__(self, chain: str, filters: Iterable[LogFilter]) -> None:
        self.chain = chain
        self.wanted: dict[str, frozenset[str]] = {}
        for one in filters:
            self.wanted[one.address] = self.wanted.get(one.address, frozenset()) | one.topics0
        self.addresses = sorted(self.wanted)

    def topics(self, addresses: Sequence[str]) -> list[str]:
        """Every first topic wanted of any of the addresses."""
        return sorted(frozenset().union(*(self.wanted[one] for one in addresses)))

    def params(self, start: int, end: int, addresses: Sequence[str], topics: Sequence[str] | None = None) -> list[Json]:
        """The parameters of eth_getLogs for blocks `[start, end)`; by default with every first topic of the addresses."""
        found: dict[str, Json] = {
            "fromBlock": hex(start),
            "toBlock": hex(end - 1),
            "address": addresses[0] if len(addresses) == 1 else list(addresses),
            "topics": [self.topics(addresses) if topics is None else list(topics)],
        }
        return [found]

    def read(self, answer: bytes, start: int, end: int) -> list[Log]:
        """The wanted logs of an answer's JSON, sorted, each once. Raises Malformed when it holds what was not asked for."""
        try:
            entries = _ENTRIES.decode(answer.lower())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed(
                f"{self.chain}: a log question was answered with something else; it is asked elsewhere"
            ) from None
        everything = frozenset(self.topics(self.addresses))
        found: dict[tuple[int, int], Log] = {}
        places = _Places()
        for entry in entries:
            if entry.removed:
                continue
            log = _log(entry)
            if not places.fits(log, entry):
                raise Malformed(
                    f"{self.chain}: two logs of block {log.block} contradict each other; it is asked elsewhere"
                )
            wanted = self.wanted.get(log.address)
            if wanted is None or not start <= log.block < end or not log.topics or log.topics[0] not in everything:
                raise Malformed(f"{self.chain}: a log of block {log.block} was not asked for; it is asked elsewhere")
            if log.topics[0] in wanted:
                found[place(log)] = log
        return sorted(found.values(), key=place)

    def salvage(self, answer: bytes, start: int, end: int) -> tuple[list[Log], set[str]]:
        """What of an answer can be read, and the emitters whose logs cannot. Raises Malformed when nobody can tell whose."""
        document, unread = decoded(answer.lower()), set[str]()
        readable: list[tuple[int, Json]] = []
        places, emitters, contradicting = _Places(), dict[int, set[str]](), set[int]()
        if not isinstance(document, list):
            raise Malformed(f"{self.chain}: a log question was answered with something else; it is asked elsewhere")
        for one in document:
            try:
                entry = _ENTRIES.decode(orjson.dumps([one]))[0]
                log = _log(entry)
            except (msgspec.DecodeError, orjson.JSONEncodeError, Malformed):  # the second: nested too deep
                address = data(one.get("address")) if isinstance(one, Mapping) else None
                if address is None or len(address) != 20 or checksum(address.hex()) not in self.wanted:
                    raise Malformed(
                        f"{self.chain}: a log cannot be read, nor whose it is; set another endpoint"
                    ) from None
                unread.add(checksum(address.hex()))
            else:
                readable.append((log.block, one))
                emitters.setdefault(log.block, set()).add(log.address)
                if not entry.removed and not places.fits(log, entry):
                    contradicting.add(log.block)
        for block in contradicting:  # nobody can tell which of its logs is right
            unread |= emitters[block] & self.wanted.keys()
        told = [one for block, one in readable if block not in contradicting]
        return self.read(orjson.dumps(told), start, end), unread


def gather(answered: Iterable[AnsweredWindow]) -> tuple[list[Log], list[BlockWindow]]:
    """The logs of all windows, sorted and each once, and the windows in order."""
    ordered = sorted(answered, key=lambda one: one.window.start)
    return [log for one in ordered for log in one.logs], [one.window for one in ordered]


class _Entry(msgspec.Struct):
    """A log object of JSON-RPC after lower-casing everything: some nodes spell hex in upper case."""

    address: str
    topics: tuple[str, ...]
    data: str
    blocknumber: str
    blockhash: str
    transactionhash: str
    logindex: str
    transactionindex: str | int | None = None
    removed: bool | None = None


class _Places:
    """Whether logs of one answer can stand on one chain: a node's word for where a log stands is not believed unseen.

    A block has one hash, a place in it one log, and logs are numbered in the order of their transactions; nodes that count
    per transaction, or forget to count, are told by this.
    """

    def __init__(self) -> None:
        self._hashes: dict[int, str] = {}
        self._logs: dict[tuple[int, int], Log] = {}
        self._transactions: dict[int, dict[str, int | None]] = {}
        self._ordered: dict[int, list[tuple[int, int]]] = {}

    def fits(self, log: Log, entry: _Entry) -> bool:
        """Whether the log contradicts none of those given before."""
        number = quantity(entry.transactionindex)
        numbered = self._transactions.setdefault(log.block, {})
        if self._hashes.setdefault(log.block, log.block_hash) != log.block_hash:
            return False
        if numbered.setdefault(log.tx, number) != number or self._logs.setdefault(place(log), log) != log:
            return False
        if number is None:
            return True
        ordered = self._ordered.setdefault(log.block, [])
        at = bisect_left(ordered, (log.index, number))
        if (at and ordered[at - 1][1] > number) or (at < len(ordered) and ordered[at][1] < number):
            return False
        ordered.insert(at, (log.index, number))
        return True


_ENTRIES = msgspec.json.Decoder(list[_Entry])


def place(log: Log) -> tuple[int, int]:
    """Where a log stands on its chain: what logs are sorted by."""
    return log.block, log.index


_HASHES = re.compile(r"(?:0x[0-9a-f]{64})*")


def _log(entry: _Entry) -> Log:
    block, index, content = quantity(entry.blocknumber), quantity(entry.logindex), data(entry.data)
    hashes = "".join((entry.blockhash, entry.transactionhash, *entry.topics))
    whole = len(hashes) == 66 * (2 + len(entry.topics)) and _HASHES.fullmatch(hashes)
    if block is None or index is None or content is None or not whole:
        raise Malformed("a log misspells a field; it is asked elsewhere")
    try:
        address = checksum(entry.address)
    except ValueError:
        raise Malformed("a log misspells its address; it is asked elsewhere") from None
    return Log(address, entry.topics, content, block, entry.blockhash, entry.transactionhash, index)


def parse_logs(raw: bytes) -> list[Log]:
    """Stored log objects, as `log_to_json` writes them, in the order given. Raises Malformed when they are none."""
    try:
        return [_log(entry) for entry in _ENTRIES.decode(raw.lower())]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed("stored logs cannot be read; collect them again") from None


def log_to_json(log: Log) -> dict[str, Json]:
    """The stored form of a log, the same fields as JSON-RPC's."""
    return {
        "address": log.address,
        "topics": list(log.topics),
        "data": "0x" + log.data.hex(),
        "blockNumber": hex(log.block),
        "blockHash": log.block_hash,
        "transactionHash": log.tx,
        "logIndex": hex(log.index),
    }
