"""Ctrl-C and SIGTERM: the first asks the work to end at its next safe point, the second ends the process at once.

Every command hears Ctrl-C at once, whatever it waits for (`ending_promptly`); those that ask the chains end their work in
order (`asked_to_stop`). Handlers take no lock: whatever they interrupt may hold it. A thread beside does the telling.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cryptolake.waiting import STOP, Interrupted, ask_to_stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether, and by which signal, the process was asked to stop."""

    def __init__(self) -> None:
        self.stopping = STOP
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
        if asked.signal is not None:
            # Nothing to clean up: the ledger and every file survive it, and the next run sees that we are gone.
            os._exit(128 + number)
        asked.signal = number
        if not quietly:
            sys.stderr.write("\ncryptolake: stopping at the next safe point; once more to stop at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    with _listening():
        before = {number: signal.signal(number, handle) for number in _SIGNALS}
        try:
            yield asked
        finally:
            for number, old in before.items():
                signal.signal(number, old)


@contextmanager
def ending_promptly() -> Iterator[None]:
    """While the block lasts, Ctrl-C ends every wait of the process, in all its threads; once more, the process at once.

    Nothing is done outside the main thread, nor where whoever started us has Ctrl-C ignored.
    """
    times = 0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal times
        times += 1
        if times > 1:
            os._exit(128 + number)
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    with _listening():
        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _listening() -> Iterator[None]:
    """While the block lasts, a thread asks the process to stop when one of the signals is caught, and ends it at the second.

    It need not wait for the main thread, which hears nothing while it waits for another thread if a library has hooked the
    signal too (polars does): that other thread is ended from beside, then the main thread goes on and hears.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    if before != -1:  # somebody listens already
        signal.set_wakeup_fd(before)
        os.close(told)
        os.close(heard)
        yield
        return

    def listen() -> None:
        asked = False  # not `STOP`: the main thread may have heard the same signal first, and have set it
        while number := os.read(heard, 1):
            if number[0] in _SIGNALS and asked:
                os._exit(128 + number[0])
            if number[0] in _SIGNALS:
                asked = True
                ask_to_stop()
        os.close(heard)

    threading.Thread(target=listen, name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.close(told)
        STOP.clear()


def interrupted(error: KeyboardInterrupt) -> str:
    """What is left after Ctrl-C and the command to go on, in one line."""
    left = error.left if isinstance(error, Interrupted) else None
    rest = "" if not left else f", {left:,} {'answer is' if left == 1 else 'answers are'} left"
    return f"interrupted; what was answered is kept{rest}; go on with: {shlex.join(['cryptolake', *sys.argv[1:]])}"
