"""`Gates`: one limiter per host and key, whoever asks. Knows no vendor and no numbers of its own."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptolake.net.limiter import Limiter, SharedLimiter


class Gates:
    """Hands the same limiter to everybody who talks to the same host with the same key. Thread-safe.

    With a `folder` the limit is shared by every process that uses the same folder, else it holds for this one. `clock`
    (monotonic seconds) and `sleep` are replaceable for tests.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._limiters: dict[tuple[str, str], Limiter] = {}

    def at(self, host: str, key: str, *, per_minute: int, burst: int) -> Limiter:
        """The limiter of `host` and `key`, made when first asked for.

        In any window of a minute at most `per_minute` calls are let through, at most `burst` of them (half of them, if that
        is less) at once.
        """
        with self._lock:
            if (host, key) not in self._limiters:
                self._limiters[host, key] = self._make(host, key, *_shape(per_minute, burst))
            return self._limiters[host, key]

    def resize(self, host: str, key: str, *, per_minute: int, burst: int) -> Limiter:
        """The same limiter with another limit: the vendor has said what the key's plan allows."""
        limiter = self.at(host, key, per_minute=per_minute, burst=burst)
        limiter.resize(*_shape(per_minute, burst))
        return limiter

    def _make(self, host: str, key: str, rate: float, burst: float) -> Limiter:
        if self._folder is None:
            return Limiter(rate, burst, clock=self._clock, sleep=self._sleep)
        name = f"{host}-{hashlib.sha256(key.encode()).hexdigest()[:12]}" if key else host  # no key in a file name
        return SharedLimiter(self._folder / name, rate, burst, clock=self._clock, sleep=self._sleep)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for limiter in self._limiters.values():
                if isinstance(limiter, SharedLimiter):
                    limiter.close()
            self._limiters = {}


def _shape(per_minute: int, burst: int) -> tuple[float, float]:
    """Calls a second and at once that add up to `per_minute` in any minute; a user's own limit may be below the burst."""
    at_once = min(burst, per_minute / 2)
    return (per_minute - at_once) / 60, at_once
