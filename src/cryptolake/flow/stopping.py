"""Being asked to stop: work ends at the next safe point, what was answered is kept, the rest is given back.

What does not belong here: who asks (signals, in cli).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from cryptolake.waiting import Interrupted

T = TypeVar("T")


def breaking(watch: Callable[[T], None], stopping: threading.Event) -> Callable[[T], None]:
    """`watch`, which also ends the conversation that reports to it once `stopping` is set."""

    def told(progress: T) -> None:
        watch(progress)
        if stopping.is_set():
            raise Interrupted

    return told
