"""How long a test waits for something that must happen: far longer than the busiest machine needs.

A bound is reached only where something hangs, so it never decides between a slow machine and a quick one. What does not
belong here: pauses. A test waits for a line, an event or a condition, never for time to pass.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 300.0
HASTE = 20


def hasten() -> None:
    """Let every pause of ours pass in a fraction of its time, in this process: a test waits for answers, never for time.

    All of them are waits for the one event (tests/architecture/test_waiting.py). How long they are is proven where the
    clock is handed in (tests/net), that they are kept and end when they are told to by programs started as usual.
    """
    from cryptolake.waiting import STOP

    wait = STOP.wait
    STOP.wait = lambda timeout=None: wait(None if timeout is None else timeout / HASTE)  # type: ignore[method-assign]


def until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as the condition holds. For what sends no event: files, processes, rows of another's table."""
    end = time.monotonic() + PATIENCE_S
    look = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"in {PATIENCE_S:.0f} s never: {what}"
        look.wait(0.02)
