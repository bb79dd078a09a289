"""`Forbearance`: how long an endpoint is waited for in vain, one verdict for everybody who asks it anything.

It is counted by method, for some endpoints answer one and never another, and for all methods where it does not even say which
chain it is on. What does not belong here: whether somebody else can answer instead, without whom patience has no end (rpc).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

WAIT_S = 60.0  # that are waited for answers to one method that never come, all who ask together
_ANSWERED_WAIT_S = 180.0  # the same, of a method that it did answer before
_SHORT_WAIT_S = 10.0  # the same, of another one once so much was waited for the first
_TIMES = 4  # failures of a method in a row, one after another
_AGAIN_S, _AGAIN_MOST_S = 30.0, 3600.0  # after which it is tried again: at first, and doubled up to at most
GREETING = ""  # stands for every method: it does not say which chain it is on


@dataclass(slots=True)
class _Vain:
    """What was waited in vain since the latest answer to a method, and since when it is not asked any more."""

    seconds: float = 0.0
    until: float = float("-inf")
    times: int = 0
    again_at: float | None = None
    distance_s: float = _AGAIN_S
    answered: bool = False


class Forbearance:
    """That with one endpoint, in one run. Times are seconds of one clock. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vain: dict[str, _Vain] = {}
        self._seconds = 0.0

    @property
    def short(self) -> bool:
        """Whether so much was waited for it in this run that it is given less time for every answer from now on."""
        return self._seconds >= WAIT_S

    def waited(self, method: str, since: float, now: float, *, refused: bool = False) -> None:
        """A question of this method was not answered; `refused`: for its rate, so that only the time counts.

        A rate is one for all methods: while none is answered, the time counts for all of them.
        """
        if refused:
            self._waited(GREETING, since, now, refused=True)
        self._waited(method, since, now, refused=refused)

    def _waited(self, method: str, since: float, now: float, *, refused: bool) -> None:
        with self._lock:
            one = self._vain.setdefault(method, _Vain())
            news = since >= one.until  # else another one waited at the same time, which is one failure and one wait
            more = max(0.0, now - max(since, one.until))
            one.seconds, one.until = one.seconds + more, max(now, one.until)
            self._seconds += more if method or not refused else 0.0
            one.times += news and not refused
            most = _ANSWERED_WAIT_S if one.answered else _SHORT_WAIT_S if self.short else WAIT_S
            if one.again_at is not None:
                if news:
                    one.distance_s = min(2 * one.distance_s, _AGAIN_MOST_S)
                    one.again_at = now + one.distance_s
            elif (method == GREETING and not refused) or one.seconds >= most or one.times >= _TIMES:
                one.again_at = now + one.distance_s

    def greeted(self) -> None:
        """It said which chain it is on."""
        with self._lock:
            self._vain.pop(GREETING, None)

    def answered(self, method: str) -> None:
        """It answered a question of this method."""
        with self._lock:
            self._vain.pop(GREETING, None)
            self._vain[method] = _Vain(answered=True)

    def over(self, method: str, now: float) -> bool:
        """Whether it was found not to answer this method, and the time to try again has not come."""
        with self._lock:
            return any(one.again_at is not None and now < one.again_at for one in self._of(method))

    def may_ask(self, method: str, now: float) -> bool:
        """Whether it is asked now; where it is time to try again, by one for all."""
        with self._lock:
            tried = [one for one in self._of(method) if one.again_at is not None]
            if any(now < one.again_at for one in tried if one.again_at is not None):
                return False
            for one in tried:
                one.again_at = now + one.distance_s
            return True

    def _of(self, method: str) -> list[_Vain]:
        return [self._vain[name] for name in {GREETING, method} if name in self._vain]
