"""`Gates`: one limiter per host and key for the whole process, whoever asks. Knows no vendor and no numbers of its own."""

from __future__ import annotations

import threading

from cryptolake.net.limiter import Limiter


class Gates:
    """Hands the same limiter to everybody who talks to the same host with the same key. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limiters: dict[tuple[str, str], Limiter] = {}

    def at(self, host: str, key: str, *, per_minute: int, burst: int) -> Limiter:
        """The limiter of `host` and `key`, made when first asked for.

        In any window of a minute at most `per_minute` calls are let through, at most `burst` of them at once.
        """
        with self._lock:
            if (host, key) not in self._limiters:
                self._limiters[host, key] = Limiter((per_minute - burst) / 60, burst)
            return self._limiters[host, key]
