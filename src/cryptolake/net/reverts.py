"""`Reverts`: which calls of a chain are known to revert, so that those that fail every day are not asked alone every day.

What does not belong here: asking (multicall), and what a revert means for a market (the families).
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable

TRUSTED_BLOCKS = 31  # so many of which a proof is good for; then the call has to prove it again


class Reverts:
    """Calls that reverted when they were asked alone, with gas of their own. Thread-safe, one per chain and run.

    A call that is known here and fails again among others fails for the reason it had before; a proof is good for a month
    of daily blocks, because contracts are replaced.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[Hashable, int] = {}  # how often each proof may still be relied on

    def known(self, call: Hashable) -> bool:
        """Whether it may be taken for granted that this call reverts."""
        return self._left.get(call, 0) > 0

    def proved(self, call: Hashable) -> None:
        """The call reverted alone."""
        with self._lock:
            self._left[call] = TRUSTED_BLOCKS

    def relied_on(self, calls: Iterable[Hashable]) -> None:
        """These were taken to have reverted again, without being asked alone."""
        with self._lock:
            for call in calls:
                self._left[call] = self._left.get(call, 0) - 1

    def refuted(self, call: Hashable) -> None:
        """The call was answered: nothing is known of it any more."""
        with self._lock:
            self._left.pop(call, None)
