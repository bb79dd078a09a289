"""Waiting: the only place that sleeps. A pause ends at once when the process is asked to stop, and says what it is for.

What does not belong here: how long is waited and why (whoever waits), and signals (`cli.signals`).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

GRACE_S = 2.0  # how long answers that are on their way are waited for once the process is asked to stop
_LONGEST_POLL_S = 0.5  # so long a look may hold up the end

STOP = threading.Event()  # set while the whole process is asked to stop
_lock = threading.Lock()
_waits: dict[object, tuple[str, float]] = {}  # what is waited for, and since when on the monotonic clock
_cuttable: weakref.WeakSet[Cuttable] = weakref.WeakSet()


class Interrupted(KeyboardInterrupt):
    """Work that was asked to stop has stopped. `left` is how many answers are still to be asked for, where that is known.

    No CryptolakeError and no Exception, so that no market is failed for it and nobody takes it for a defect.
    """

    def __init__(self, left: int | None = None) -> None:
        super().__init__()
        self.left = left


def ask_to_stop() -> None:
    """Ask the whole process to stop: pauses end now, and answers that do not come in `GRACE_S` seconds are given up."""
    if STOP.is_set():
        return
    STOP.set()
    later = threading.Timer(GRACE_S, _cut)
    later.daemon = True
    later.start()


@contextmanager
def stopped() -> Iterator[None]:
    """Everybody who waits is asked to stop while the block lasts; afterwards waiting goes on as before."""
    before = STOP.is_set()
    ask_to_stop()
    try:
        yield
    finally:
        if not before:
            STOP.clear()


def pause(seconds: float, what: str = "the next attempt") -> None:
    """Sleep, unless the process is asked to stop. Raises Interrupted in that case."""
    with waited_for(what):
        if STOP.wait(max(0.0, seconds)):
            raise Interrupted


def turn(seconds: float) -> None:
    """`pause` until a rate limit lets one more question through."""
    pause(seconds, "a turn within a rate limit")


def poll(seconds: float = 0.05) -> None:
    """A moment's rest between two looks at something that is about to happen; also while the process stops."""
    time.sleep(min(seconds, _LONGEST_POLL_S))


@contextmanager
def waited_for(what: str) -> Iterator[None]:
    """Note what is waited for while the block lasts."""
    token = object()
    with _lock:
        _waits[token] = (what, time.monotonic())
    try:
        yield
    finally:
        with _lock:
            del _waits[token]


def what_is_waited_for() -> str:
    """In words: what, how often, and for how long the first of them; empty when nothing is waited for."""
    with _lock:
        waits = list(_waits.values())
    now, often = time.monotonic(), Counter(what for what, _ in waits)
    since = {what: max(now - began for one, began in waits if one == what) for what in often}
    return ", ".join(
        f"{what} for {since[what]:.0f} s"
        if count == 1
        else f"{what} ({count} times, the longest for {since[what]:.0f} s)"
        for what, count in sorted(often.items())
    )


class Cuttable(Protocol):
    """Who waits for the outside in a way that no pause can end."""

    def cut(self) -> None:
        """End that waiting now, in all threads."""


def cut_when_stopped(one: Cuttable) -> None:
    """Have it cut when the process is asked to stop and what it waits for does not come. Keeps it not alive."""
    with _lock:
        _cuttable.add(one)


def _cut() -> None:
    if not STOP.is_set():
        return
    with _lock:
        cuttable = list(_cuttable)
    for one in cuttable:
        one.cut()
