"""Ctrl-C and SIGTERM: the first asks the work to end at its next safe point, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether, and by which signal, the process was asked to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """What a process ended by that signal exits with; None when nobody asked."""
        return None if self.signal is None else 128 + self.signal


@contextmanager
def asked_to_stop(*, quietly: bool = False) -> Iterator[StopRequest]:
    """Handle both signals while the block lasts. Outside the main thread nothing is installed."""
    asked = StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if asked.stopping.is_set():
            # Nothing to clean up: the ledger and every file survive it, and the next run sees that we are gone.
            os._exit(128 + number)
        asked.signal = number
        asked.stopping.set()
        if not quietly:
            sys.stderr.write("\ncryptolake: stopping at the next safe point; once more to stop at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield asked
    finally:
        for number, old in before.items():
            signal.signal(number, old)
