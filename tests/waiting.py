"""How long a test waits for something that must happen: far longer than the busiest machine needs.

A bound is reached only where something hangs, so it never decides between a slow machine and a quick one. What does not
belong here: pauses. A test waits for a line, an event or a condition, never for time to pass.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 300.0


def until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as the condition holds. For what sends no event: files, processes, rows of another's table."""
    end = time.monotonic() + PATIENCE_S
    look = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"in {PATIENCE_S:.0f} s never: {what}"
        look.wait(0.02)
