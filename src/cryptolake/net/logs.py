"""The log scanner: one union filter over an exact block range, in parallel windows whose span each endpoint teaches.

Every block of the range is covered exactly once; what was answered before is not asked again (`known`). What does not
belong here: decoding, which contracts are worth asking, and doubting an answer (audit).
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import msgspec

from cryptolake.errors import CryptolakeError, Narrow, Retry, Stop
from cryptolake.net.abi import checksum
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Station
from cryptolake.net.rpc import Json, Pool

METHOD = "eth_getLogs"
_ATTEMPTS = 6  # per window, each at the endpoint that is best then
_LEAST, _AT_RISK = 4, 16  # windows in flight: so many, later one for so many that were answered


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
    """A window and its logs."""

    window: BlockWindow
    logs: tuple[Log, ...]


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

    def params(self, start: int, end: int, addresses: Sequence[str]) -> list[Json]:
        """The parameters of eth_getLogs for blocks `[start, end)`."""
        found: dict[str, Json] = {
            "fromBlock": hex(start),
            "toBlock": hex(end - 1),
            "address": addresses[0] if len(addresses) == 1 else list(addresses),
            "topics": [self.topics(addresses)],
        }
        return [found]

    def read(self, answer: bytes, start: int, end: int) -> list[Log]:
        """The wanted logs of an answer's JSON, sorted, each once. Raises Retry when it holds what was not asked for."""
        try:
            entries = _ENTRIES.decode(answer.lower())
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Retry(
                f"{self.chain}: a log question was answered with something else; it is asked elsewhere"
            ) from None
        everything = frozenset(self.topics(self.addresses))
        found: dict[tuple[str, int], Log] = {}
        for entry in entries:
            if entry.removed:
                continue
            log = _log(entry)
            wanted = self.wanted.get(log.address)
            if wanted is None or not start <= log.block < end or not log.topics or log.topics[0] not in everything:
                raise Retry(f"{self.chain}: a log of block {log.block} was not asked for; it is asked elsewhere")
            if log.topics[0] in wanted:
                found[(log.block_hash, log.index)] = log
        return sorted(found.values(), key=_place)


def scan(
    pool: Pool,
    filters: Sequence[LogFilter],
    block_range: BlockRange,
    *,
    known: Iterable[AnsweredWindow] = (),
    keep: Callable[[AnsweredWindow], None] = lambda _answered: None,
) -> Generator[AnsweredWindow]:
    """Ask for every wanted log of the range; yields windows as they are answered, in no strict order.

    `known` are windows answered by an earlier, interrupted scan: they come first and are not asked again. `keep` is given
    every new window the moment it is answered, by the thread that asked, however busy the caller is. Together the windows
    yielded cover the range exactly once. Raises Stop when even one block of one contract is refused, Retry when
    a window cannot be answered by anybody. Closing the iterator ends the questions.
    """
    question = LogQuestion(pool.chain, filters)
    done = _within(known, block_range) if question.addresses else []
    yield from done
    left = len(block_range) - sum(one.window.end - one.window.start for one in done)
    if not question.addresses or not left:
        return
    work = _Work(pool, question, _gaps(block_range, done), keep)
    try:
        while left:
            answered = work.next()
            left -= answered.window.end - answered.window.start
            yield answered
    finally:
        work.end()


def gather(answered: Iterable[AnsweredWindow]) -> tuple[list[Log], list[BlockWindow]]:
    """The logs of all windows, sorted and each once, and the windows in order."""
    ordered = sorted(answered, key=lambda one: one.window.start)
    return [log for one in ordered for log in one.logs], [one.window for one in ordered]


class _Work:
    """The windows still to be asked, and the threads that ask: lowest blocks first, as many as the limits can feed.

    What is in flight is lost when this process is killed, so it stays a small part of what was answered before.
    """

    def __init__(
        self,
        pool: Pool,
        question: LogQuestion,
        gaps: list[tuple[int, int]],
        keep: Callable[[AnsweredWindow], None],
    ) -> None:
        self._pool, self._question, self._gaps, self._keep = pool, question, gaps, keep
        heapq.heapify(self._gaps)
        self._state = threading.Condition()
        self._busy, self._threads, self._answered, self._ended = 0, 0, 0, False
        self._failures: dict[int, int] = {}
        self._outcomes: SimpleQueue[AnsweredWindow | BaseException] = SimpleQueue()
        with self._state:
            self._grow()

    def next(self) -> AnsweredWindow:
        """The next answered window; raises what ended the work."""
        outcome = self._outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def end(self) -> None:
        """Ask nothing more."""
        with self._state:
            self._ended = True
            self._state.notify_all()

    def _grow(self) -> None:
        while self._threads < min(self._pool.parallel(METHOD), max(_LEAST, self._answered // _AT_RISK)):
            self._threads += 1
            threading.Thread(target=self._run, name=f"logs-{self._pool.chain}-{self._threads}", daemon=True).start()

    def _run(self) -> None:
        try:
            while (task := self._take()) is not None:
                self._answer(*task)
        except BaseException as error:  # noqa: BLE001  # handed to the caller of next(), never lost
            self._outcomes.put(error)
            self.end()

    def _take(self) -> tuple[Station, int, int] | None:
        """The next window and where to ask it; waits while every endpoint is busy finding its span. None at the end."""
        with self._state:
            while not self._ended and (self._gaps or self._busy):
                if self._gaps and (station := self._free_station(self._gaps[0][0])) is not None:
                    start, end = heapq.heappop(self._gaps)
                    stop = min(end, start + station.learned.span)
                    if stop < end:
                        heapq.heappush(self._gaps, (stop, end))
                    self._busy += 1
                    return station, start, stop
                self._state.wait()
            self._state.notify_all()
            return None

    def _free_station(self, block: int) -> Station | None:
        """The best endpoint that may be asked now; one that is still finding its span has one question at a time."""
        taken: set[str] = set()
        for _ in self._pool.stations:
            try:
                station = self._pool.pick(METHOD, block, avoid=frozenset(taken))
            except CryptolakeError:
                if not taken:
                    raise
                return None
            if station.learned.may_ask():
                return station
            taken.add(station.endpoint.name)
        return None

    def _answer(self, station: Station, start: int, stop: int) -> None:
        attempt = self._failures.get(start, 0)
        back: tuple[int, int] | None = (start, stop)
        try:
            answered = _window(self._pool, station, self._question, start, stop, attempt)
        except Narrow as error:
            station.learned.refused(stop - start, error.hint)
        except (Retry, Stop) as error:
            station.learned.failed()
            if attempt + 1 >= _ATTEMPTS or (isinstance(error, Stop) and station.stopped is None):
                raise
            self._failures[start] = attempt + 1
        else:
            back = None
            station.learned.answered(stop - start)
            self._keep(answered)
            self._outcomes.put(answered)
        with self._state:
            self._answered += back is None
            self._busy -= 1
            if back is not None:
                heapq.heappush(self._gaps, back)
            self._grow()
            self._state.notify_all()


def _window(pool: Pool, station: Station, question: LogQuestion, start: int, end: int, attempt: int) -> AnsweredWindow:
    """Ask for one window; after a failure, a little later."""
    if attempt:
        pool.rest(attempt)
    logs = sorted(_ask(pool, station, question, start, end, question.addresses), key=_place)
    return AnsweredWindow(BlockWindow(start, end, station.endpoint.name, len(logs)), tuple(logs))


def _ask(
    pool: Pool, station: Station, question: LogQuestion, start: int, end: int, addresses: Sequence[str]
) -> list[Log]:
    """One question; where a single block is refused, the address list is too long: asked in halves."""
    try:
        return question.read(pool.ask(station, METHOD, question.params(start, end, addresses), start), start, end)
    except Narrow:
        if end - start > 1:
            raise
        if len(addresses) == 1:
            raise Stop(
                f"{pool.chain}: {station.endpoint.name} refuses a single block of logs; set another endpoint"
            ) from None
        half = len(addresses) // 2
        return _ask(pool, station, question, start, end, addresses[:half]) + _ask(
            pool, station, question, start, end, addresses[half:]
        )


def _within(known: Iterable[AnsweredWindow], block_range: BlockRange) -> list[AnsweredWindow]:
    """Earlier windows that lie in the range, without overlaps."""
    found: list[AnsweredWindow] = []
    at = block_range.start
    for one in sorted(known, key=lambda one: (one.window.start, -one.window.end)):
        if one.window.start >= at and one.window.end <= block_range.end:
            found.append(one)
            at = one.window.end
    return found


def _gaps(block_range: BlockRange, done: Sequence[AnsweredWindow]) -> list[tuple[int, int]]:
    """What is left of the range, as `[start, end)` pairs in order."""
    gaps, at = [], block_range.start
    for one in done:
        if at < one.window.start:
            gaps.append((at, one.window.start))
        at = one.window.end
    if at < block_range.end:
        gaps.append((at, block_range.end))
    return gaps


class _Entry(msgspec.Struct):
    """A log object of JSON-RPC after lower-casing everything: some nodes spell hex in upper case."""

    address: str
    topics: tuple[str, ...]
    data: str
    blocknumber: str
    blockhash: str
    transactionhash: str
    logindex: str
    removed: bool | None = None


_ENTRIES = msgspec.json.Decoder(list[_Entry])


def _place(log: Log) -> tuple[int, int]:
    return log.block, log.index


def _log(entry: _Entry) -> Log:
    try:
        return Log(
            checksum(entry.address),
            entry.topics,
            bytes.fromhex(entry.data[2:]),
            int(entry.blocknumber, 16),
            entry.blockhash,
            entry.transactionhash,
            int(entry.logindex, 16),
        )
    except ValueError as error:
        raise Retry(f"a log misspells a field ({error}); it is asked elsewhere") from None


def parse_logs(raw: bytes) -> list[Log]:
    """Stored log objects, as `log_to_json` writes them, in the order given. Raises Retry when they are none."""
    try:
        return [_log(entry) for entry in _ENTRIES.decode(raw.lower())]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Retry("stored logs cannot be read; collect them again") from None


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
