"""A rate limiter shared by threads: reserves its place under a lock, sleeps outside it. Knows no provider."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


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
        self.rate = rate
        self._tolerance = burst / rate
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = float("-inf")  # when the bucket will be full again

    def reserve(self, cost: float = 1.0) -> float:
        """Take `cost` units and return how many seconds to wait before using them."""
        with self._lock:
            now = self._clock()
            full_at = max(self._next, now) + cost / self.rate
            self._next = full_at
            return max(0.0, full_at - now - self._tolerance)

    def acquire(self, cost: float = 1.0) -> None:
        """Take `cost` units, sleeping until they may be used."""
        wait = self.reserve(cost)
        if wait > 0:
            self._sleep(wait)

    def push_back(self, seconds: float) -> None:
        """Grant nothing for `seconds` from now on: the other side asked for a pause."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds + self._tolerance)
