"""Rate limiters: reserve a place under a lock, sleep outside it. Shared by threads, and through a file by processes.

What does not belong here: which provider has which limit (registry) and what to do when it is reached (rpc).
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptolake.files.lock import locked

SHARE = 0.985  # of the limit that is used: arrivals jitter on the way, a provider counts them when they arrive


class _Record(NamedTuple):
    """A limiter's whole state."""

    full_at: float  # when everything granted so far will have been earned, on the monotonic clock
    used: float  # units granted in `month`
    month: int  # year x 12 + month, UTC


_threads = threading.RLock()
_NOTHING = _Record(float("-inf"), 0.0, 0)
_RECORD = struct.Struct("<dddi")  # when it was written, on the monotonic clock; then the record


def _month() -> int:
    now = time.gmtime()
    return now.tm_year * 12 + now.tm_mon


class Limiter:
    """At most `rate` units a second, `burst` of them at once (generic cell rate algorithm on a monotonic clock).

    Over any window of t seconds at most `rate * t + burst` units are granted. A unit is a call or a compute unit,
    whatever the provider counts.
    """

    def __init__(
        self,
        rate: float,
        burst: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate <= 0 or burst <= 0:
            raise ValueError("a limiter needs a positive rate and burst")
        self.rate = rate  # what is used now; falls when the other side complains, never rises above the limit given
        self._most, self._tolerance = rate, burst / rate
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._record = _NOTHING

    def reserve(self, cost: float = 1.0) -> float:
        """Take `cost` units and return how many seconds to wait before using them."""
        with self._lock:
            now, record, month = self._clock(), self._load(), _month()
            full_at = max(record.full_at, now) + cost / self.rate
            used = record.used if record.month == month else 0.0
            self._store(_Record(full_at, used + cost, month))
            return max(0.0, full_at - now - self._tolerance)

    def acquire(self, cost: float = 1.0) -> float:
        """Take `cost` units, sleeping until they may be used; returns the seconds slept."""
        wait = self.reserve(cost)
        if wait > 0:
            self._sleep(wait)
        return wait

    def backlog(self) -> float:
        """Seconds until a unit would be free now: what an impatient caller compares between endpoints."""
        with self._lock:
            return max(0.0, self._load().full_at - self._clock())

    def used(self) -> float:
        """Units taken in this calendar month (UTC), as far as this limiter has seen."""
        with self._lock:
            record = self._load()
        return record.used if record.month == _month() else 0.0

    def push_back(self, seconds: float) -> None:
        """Grant nothing for `seconds` from now on: the other side asked for a pause."""
        with self._lock:
            record = self._load()
            full_at = max(record.full_at, self._clock() + seconds + self._tolerance)
            self._store(_Record(full_at, record.used, record.month))

    def slow_down(self) -> None:
        """The other side said that this is too fast: use a fifth less, down to a twentieth of the limit given."""
        with self._lock:
            self.rate = max(self._most / 20, self.rate * 0.8)

    def speed_up(self) -> None:
        """An answer came: find back to the limit given, a little with each (a slow limit with fewer answers)."""
        if self.rate < self._most:
            with self._lock:
                share = min(1 / 20, max(1 / 500, 1 / (300 * self._most)))
                self.rate = min(self._most, self.rate + self._most * share)

    def resize(self, rate: float, burst: float) -> None:
        """Go on with another limit, because the other side has said which holds. What was taken stays counted."""
        if rate <= 0 or burst <= 0:
            raise ValueError("a limiter needs a positive rate and burst")
        with self._lock:
            if (rate, burst / rate) != (self._most, self._tolerance):
                self.rate, self._most, self._tolerance = rate, rate, burst / rate

    def _load(self) -> _Record:
        return self._record

    def _store(self, record: _Record) -> None:
        self._record = record


class SharedLimiter(Limiter):
    """The same, shared by every process of this machine that names the same file.

    The file holds one small record: the monotonic clock counts from boot and is the same in all processes. What was
    written later than now was written before a reboot: only its count of the month still holds.
    """

    def __init__(
        self,
        path: Path,
        rate: float,
        burst: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(rate, burst, clock=clock, sleep=sleep)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def reserve(self, cost: float = 1.0) -> float:
        """As `Limiter.reserve`, while holding the file's lock, which dies with its holder."""
        with self._alone():
            return super().reserve(cost)

    def push_back(self, seconds: float) -> None:
        """As `Limiter.push_back`, for all processes."""
        with self._alone():
            super().push_back(seconds)

    def _load(self) -> _Record:
        os.lseek(self._file, 0, os.SEEK_SET)
        data = os.read(self._file, _RECORD.size)
        if len(data) < _RECORD.size:
            return _NOTHING
        written, full_at, used, month = _RECORD.unpack(data)
        return _Record(full_at if written <= self._clock() else float("-inf"), used, month)

    def _store(self, record: _Record) -> None:
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, _RECORD.pack(self._clock(), *record))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else uses the file: no other process, and no other thread of this one."""
        with _threads, locked(self._file):
            yield

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def for_limit(
    limit: float, *, cost: float = 1.0, path: Path | None = None, sleep: Callable[[float], None] = time.sleep
) -> Limiter:
    """A limiter for a provider that counts `limit` units in any second; shared by processes when a `path` is given.

    Calls of `cost` units are spaced evenly, so that a second holds at most `limit` of them; when costs are mixed it may
    hold at most one call more.
    """
    if path is None:
        return Limiter(limit * SHARE, cost, sleep=sleep)
    return SharedLimiter(path, limit * SHARE, cost, sleep=sleep)
