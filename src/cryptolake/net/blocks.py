"""Instants to blocks: the last block before a boundary, proven by its neighbour. Knows no dataset.

One function, `Blocks.range_of`, gives the half-open block range of a period and its snapshot block, so that snapshots and
events of a day can never disagree about where the day ends.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import orjson

from cryptolake.contracts.block_clock import BlockClock
from cryptolake.contracts.partition import Period
from cryptolake.errors import Skip
from cryptolake.files.atomic import write_bytes
from cryptolake.net.answers import data, quantity
from cryptolake.net.block_identity import BlockIdentity, KnownBlock
from cryptolake.net.boundary import Bracket, closer, contradicted, pilots, probes, telling
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Behind, Malformed
from cryptolake.net.multicall import Asks as _Asks


@dataclass(frozen=True, slots=True)
class Header:
    """A block's number, timestamp (seconds since 1970, UTC) and hash.

    `bloom` is the bloom filter of its logs and `parent` the hash of the block before it; empty when not known.
    """

    number: int
    timestamp: int
    hash: str
    bloom: bytes = b""
    parent: str = ""

    @property
    def time(self) -> datetime:
        """The timestamp as an aware UTC datetime."""
        return datetime.fromtimestamp(self.timestamp, UTC)


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Blocks `[start, end)`."""

    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)


class AsksBlocks(_Asks, Protocol):
    """The part of the pool the finder uses."""

    chain: str

    def finalized(self) -> int: ...

    def finalized_below(self, number: int) -> int: ...


class FileBlockCache:
    """Proven boundaries of all chains in one JSON file: `{chain: {timestamp: [number, timestamp, hash, parent hash]}}`.

    Writes are atomic; a damaged file is put aside as `.damaged` and rebuilt, it is only a cache.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known = self._read()

    def _read(self) -> dict[str, dict[str, list[int | str]]]:
        try:
            known: dict[str, dict[str, list[int | str]]] = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError:
            self._path.rename(self._path.with_suffix(".damaged"))
            return {}
        return known

    def get(self, chain: str, timestamp: int) -> Header | None:
        """The last block before `timestamp` if it was proven before."""
        found = self._known.get(chain, {}).get(str(timestamp))
        if found is None:
            return None
        # Boundaries kept by earlier versions lack the parent hash.
        return Header(int(found[0]), int(found[1]), str(found[2]), parent=str(found[3]) if len(found) > 3 else "")

    def blocks(self, chain: str, period: Period) -> int | None:
        """The real number of blocks of a period, None when one of its boundaries is not known yet."""
        start, end = (self.get(chain, int(instant.timestamp())) for instant in (period.start, period.end))
        return None if start is None or end is None else end.number - start.number

    def put(self, chain: str, proven: Mapping[int, Header]) -> None:
        """Keep proven boundaries, by timestamp."""
        with self._lock:
            rows: dict[str, list[int | str]] = {
                str(at): [header.number, header.timestamp, header.hash, header.parent] for at, header in proven.items()
            }
            for other, found in self._read().items():  # another process may have written meanwhile
                self._known.setdefault(other, {}).update(found)
            self._known.setdefault(chain, {}).update(rows)
            # Lost in a power cut it is found again: not worth a sync for every day.
            write_bytes(self._path, orjson.dumps(self._known, option=orjson.OPT_SORT_KEYS), synced=False)


class Blocks:
    """The block finder of one chain; `clock` tells where to look first."""

    def __init__(self, pool: AsksBlocks, cache: FileBlockCache | None = None, clock: BlockClock | None = None) -> None:
        self._pool, self._cache, self._clock = pool, cache, clock
        self._headers: dict[int, Header] = {}
        self._seen: list[Header] = []  # the same, by number and so by time
        self._lock = threading.Lock()

    def header(self, number: int) -> Header:
        """The header of block `number`. Raises Retry when the endpoint does not have it."""
        return self._fetch([number])[number]

    def headers(self, numbers: Sequence[int]) -> dict[int, Header]:
        """Many headers at once, by number."""
        return self._fetch(numbers)

    def fresh_header(self, number: int) -> Header:
        """The header of block `number`, asked again even if it is known: tells whether the chain was reorganised."""
        (answer,) = self._pool.batch([("eth_getBlockByNumber", [hex(number), False])])
        return _header(answer, number, self._pool.chain)

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

    def range_of(self, period: Period) -> tuple[BlockRange, Header]:
        """The blocks with timestamps in `[start, end)` and the period's snapshot block, the last one before its end.

        Raises Skip: `not_yet` when the end is not final yet, `not_deployed` when the chain starts after the end.
        """
        snapshot = self.last_before(period.end)
        try:
            first = self.last_before(period.start).number + 1
        except Skip as error:
            if error.reason != "not_deployed":
                raise
            first = 0
        return BlockRange(first, snapshot.number + 1), snapshot

    def last_before(self, instant: datetime) -> Header:
        """The last block whose timestamp is before `instant`, proven by the next block's timestamp."""
        wanted = int(instant.timestamp())
        found = self.prefetch([instant])
        if wanted in found:
            return found[wanted]
        if self.header(0).timestamp >= wanted:
            raise Skip(f"{self._pool.chain} did not exist before {instant:%Y-%m-%d}", reason="not_deployed")
        raise Skip(
            f"{self._pool.chain}: {instant:%Y-%m-%d %H:%M} UTC is not final yet; run again later", reason="not_yet"
        )

    def prefetch(self, instants: Iterable[datetime]) -> dict[int, Header]:
        """The last blocks before many instants, by timestamp, found together in a few batched rounds.

        Instants before the chain's first block or after its finalized head are left out.
        """
        wanted = sorted({int(instant.timestamp()) for instant in instants})
        found = {at: known for at in wanted if (known := self._known(at)) is not None}
        if len(found) == len(wanted):
            return found
        first, head = self._ends()
        search = {
            at: self._bracket(at, first, head)
            for at in wanted
            if at not in found and first.timestamp < at <= head.timestamp
        }
        proven: dict[int, Header] = {}
        misled: dict[int, int] = {}
        clock = self._clock
        while search:
            asked = {at: probes(at, search[at], clock, misled=misled.get(at, 0)) for at in pilots(search)}
            self._fetch(sorted({number for some in asked.values() for number in some}))
            for at, before in list(search.items()):
                now = search[at] = self._bracket(at, before.low, before.high)
                if now.blocks <= 1:
                    proven[at] = search.pop(at).low
                elif at in asked:
                    misled[at] = 0 if closer(at, before, now) else misled.get(at, 0) + 1
                    clock = None if contradicted(at, before, now, clock) else clock
        if proven and self._cache is not None:
            self._cache.put(self._pool.chain, proven)
        return dict(sorted((found | proven).items()))

    def _ends(self) -> tuple[Header, Header]:
        """The first block, and the newest final one that can be had: an endpoint may call final what nobody has."""
        number = self._pool.finalized()
        while True:
            try:
                ends = self._fetch([0, number])
            except Behind:
                number = self._pool.finalized_below(number)
            else:
                return ends[min(ends)], ends[max(ends)]

    def _known(self, at: int) -> Header | None:
        return None if self._cache is None else self._cache.get(self._pool.chain, at)

    def _bracket(self, at: int, low: Header, high: Header) -> Bracket[Header]:
        """The closest headers seen on both sides of the instant."""
        with self._lock:
            place = bisect_left(self._seen, at, key=lambda header: header.timestamp)
            below, above = (
                self._seen[place - 1] if place else low,
                self._seen[place] if place < len(self._seen) else high,
            )
            found = Bracket(max(low, below, key=_number), min(high, above, key=_number))
            return replace(found, beyond=telling(at, found.nearest(at), self._seen))

    def _fetch(self, numbers: Sequence[int]) -> dict[int, Header]:
        missing = [number for number in numbers if number not in self._headers]
        if missing:
            answers = self._pool.batch([("eth_getBlockByNumber", [hex(number), False]) for number in missing])
            with self._lock:
                for number, answer in zip(missing, answers, strict=True):
                    header = _header(answer, number, self._pool.chain)
                    if number not in self._headers:
                        insort(self._seen, header, key=_number)
                    self._headers[number] = header
        return {number: self._headers[number] for number in numbers}


def _number(header: Header) -> int:
    return header.number


def _header(answer: Json | object, number: int, chain: str) -> Header:
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
    )
