"""Instants to blocks: the last block before a boundary, proven by its neighbour. Knows no dataset.

One function, `Blocks.range_of`, gives the half-open block range of a period and its snapshot block, so that snapshots and
events of a day can never disagree about where the day ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import orjson

from cryptolake.contracts.partition import Period
from cryptolake.errors import Retry, Skip
from cryptolake.net.multicall import Asks as _Asks
from cryptolake.net.rpc import Json

_PROBES = 8  # headers asked per round trip while closing in on a boundary


@dataclass(frozen=True, slots=True)
class Header:
    """A block's number, timestamp (seconds since 1970, UTC) and hash."""

    number: int
    timestamp: int
    hash: str

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


class Asks(_Asks, Protocol):
    """The part of the pool the finder uses."""

    chain: str

    def finalized(self) -> int: ...


class FileBlockCache:
    """Proven boundaries of all chains in one JSON file: `{chain: {timestamp: [number, timestamp, hash]}}`.

    Writes are atomic; a damaged file is put aside as `.damaged` and rebuilt, it is only a cache.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known: dict[str, dict[str, list[int | str]]] = {}
        if path.exists():
            try:
                self._known = orjson.loads(path.read_bytes())
            except orjson.JSONDecodeError:
                path.rename(path.with_suffix(".damaged"))

    def get(self, chain: str, timestamp: int) -> Header | None:
        """The last block before `timestamp` if it was proven before."""
        found = self._known.get(chain, {}).get(str(timestamp))
        return None if found is None else Header(int(found[0]), int(found[1]), str(found[2]))

    def put(self, chain: str, timestamp: int, header: Header) -> None:
        """Keep a proven boundary."""
        with self._lock:
            self._known.setdefault(chain, {})[str(timestamp)] = [header.number, header.timestamp, header.hash]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".block_cache")
            with os.fdopen(handle, "wb") as file:
                file.write(orjson.dumps(self._known, option=orjson.OPT_SORT_KEYS))
            Path(temporary).replace(self._path)


class Blocks:
    """The block finder of one chain."""

    def __init__(self, pool: Asks, cache: FileBlockCache | None = None) -> None:
        self._pool, self._cache = pool, cache
        self._headers: dict[int, Header] = {}

    def header(self, number: int) -> Header:
        """The header of block `number`. Raises Retry when the endpoint does not have it."""
        return self._fetch([number])[number]

    def fresh_header(self, number: int) -> Header:
        """The header of block `number`, asked again even if it is known: tells whether the chain was reorganised."""
        self._headers.pop(number, None)
        return self.header(number)

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
        if self._cache is not None and (known := self._cache.get(self._pool.chain, wanted)) is not None:
            return known
        head = self.header(self._pool.finalized())
        if head.timestamp < wanted:
            raise Skip(
                f"{self._pool.chain}: {instant:%Y-%m-%d %H:%M} UTC is not final yet; run again later", reason="not_yet"
            )
        low, high = self.header(0), head
        if low.timestamp >= wanted:
            raise Skip(f"{self._pool.chain} did not exist before {instant:%Y-%m-%d}", reason="not_deployed")
        # Headers seen before narrow the bracket at once: neighbouring days cost one or two round trips.
        for seen in self._headers.values():
            if low.number < seen.number and seen.timestamp < wanted:
                low = seen
            elif wanted <= seen.timestamp and seen.number < high.number:
                high = seen
        while high.number - low.number > 1:
            low, high = self._narrow(low, high, wanted)
        if self._cache is not None:
            self._cache.put(self._pool.chain, wanted, low)
        return low

    def _narrow(self, low: Header, high: Header, wanted: int) -> tuple[Header, Header]:
        """One batched round: probes around the interpolated block and evenly over the bracket, so it always shrinks."""
        width = high.number - low.number
        share = (wanted - low.timestamp) / max(1, high.timestamp - low.timestamp)
        guess = low.number + int(width * share)
        step = max(1, width // 1000)
        around = {guess + offset for offset in (-8 * step, -2 * step, -1, 0, 1, 2 * step, 8 * step)}
        evenly = {low.number + width * part // (_PROBES + 1) for part in range(1, _PROBES + 1)}
        inside = sorted(number for number in around | evenly if low.number < number < high.number)
        for header in self._fetch(inside).values():
            if header.timestamp < wanted:
                low = max(low, header, key=lambda one: one.number)
            else:
                high = min(high, header, key=lambda one: one.number)
        return low, high

    def _fetch(self, numbers: list[int]) -> dict[int, Header]:
        missing = [number for number in numbers if number not in self._headers]
        if missing:
            answers = self._pool.batch([("eth_getBlockByNumber", [hex(number), False]) for number in missing])
            for number, answer in zip(missing, answers, strict=True):
                self._headers[number] = _header(answer, number, self._pool.chain)
        return {number: self._headers[number] for number in numbers}


def _header(answer: Json | object, number: int, chain: str) -> Header:
    if not isinstance(answer, Mapping) or answer.get("number") != hex(number):
        raise Retry(f"{chain}: the endpoint does not have block {number}; set another endpoint")
    return Header(number, int(str(answer["timestamp"]), 16), str(answer["hash"]))
