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

        In any window of a minute at most `per_minute` calls are let through, at most `burst` of them at once.
        """
        with self._lock:
            if (host, key) not in self._limiters:
                self._limiters[host, key] = self._make(host, key, (per_minute - burst) / 60, burst)
            return self._limiters[host, key]

    def _make(self, host: str, key: str, rate: float, burst: int) -> Limiter:
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
