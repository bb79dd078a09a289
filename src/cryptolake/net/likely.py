"""`Likely`: what programs asked before, so that all of it goes in the first request next time. Thread-safe.

Whoever asks first teaches: the others of its place wait, and then need one request each. What does not belong here: running
programs (multicall).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from cryptolake.net.multicall import Call, Finished


class Likely:
    """The calls of programs by their names: of the latest run, or with `most` the latest so many of all runs."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._asked: dict[str, list[Call]] = {}
        self._teaching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, place: str, names: Sequence[str]) -> Iterator[list[Call]]:
        """What these programs will probably ask; while one of them is new, nobody else of the place gets past here.

        After the block none of them is new: one that always fails holds nobody up.
        """
        with ExitStack() as alone:
            if any(name not in self._asked for name in names):
                with self._lock:
                    teaching = self._teaching.setdefault(place, threading.Lock())
                alone.enter_context(teaching)
                if all(name in self._asked for name in names):
                    alone.close()
            try:
                yield [call for name in names for call in self._asked.get(name, ())]
            finally:
                for name in names:
                    self._asked.setdefault(name, [])

    def learn(self, name: str, outcome: Finished[Any]) -> None:
        """A program of this name has run."""
        asked = [call for stored in outcome.transcript for call, _ in stored]
        if self._most is not None:
            asked = list(dict.fromkeys([*self._asked.get(name, ()), *asked]))[-self._most :]
        self._asked[name] = asked
