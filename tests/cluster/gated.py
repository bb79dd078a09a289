"""The sandbox's chain behind a gate: it notes when every request arrives and answers none beyond a number until opened."""

from __future__ import annotations

import threading
import time

from tests.waiting import PATIENCE_S

from cryptolake.demo import replay
from cryptolake.demo.replay import Replay


class Gate:
    """Requests beyond `limit` wait; `arrivals` are their times on the monotonic clock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.arrivals: list[float] = []
        self._answered, self._limit = 0, 1_000_000

    def close_after(self, more: int) -> None:
        """Answer `more` requests from now on, then none."""
        with self._changed:
            self._limit = self._answered + more

    def open(self) -> None:
        """Answer everything; returns when nothing waits any more."""
        with self._changed:
            self._limit = 1_000_000_000
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._answered == len(self.arrivals), timeout=PATIENCE_S)

    def arrive(self) -> None:
        """A request came; returns when it may be answered."""
        with self._changed:
            self.arrivals.append(time.monotonic())
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answered < self._limit, timeout=PATIENCE_S)
            self._answered += 1
            self._changed.notify_all()

    def await_waiting(self, count: int) -> None:
        """Until so many requests wait at the closed gate."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrivals) - self._answered >= count, timeout=PATIENCE_S)


def gated(gate: Gate) -> Replay:
    """The sandbox behind `gate`."""

    class Handler(replay._Handler):
        def do_POST(self) -> None:  # noqa: N802  (the name is the base class's)
            gate.arrive()
            super().do_POST()

    made = Replay()
    made._server.RequestHandlerClass = Handler
    return made
