"""`Gates`: one limiter per host and key for the whole process, whoever asks. Knows no vendor and no numbers of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cryptolake.net.limiter import Limiter


class Gates:
    """Hands the same limiter to everybody who talks to the same host with the same key. Thread-safe.

    `clock` (monotonic seconds) and `sleep` are replaceable for tests.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._limiters: dict[tuple[str, str], Limiter] = {}

    def at(self, host: str, key: str, *, per_minute: int, burst: int) -> Limiter:
        """The limiter of `host` and `key`, made when first asked for.

        In any window of a minute at most `per_minute` calls are let through, at most `burst` of them at once.
        """
        with self._lock:
            if (host, key) not in self._limiters:
                rate = (per_minute - burst) / 60
                self._limiters[host, key] = Limiter(rate, burst, clock=self._clock, sleep=self._sleep)
            return self._limiters[host, key]
