"""`Forbearance`: how long an endpoint is waited for in vain, one verdict for everybody who asks it anything.

It is counted by method, for some endpoints answer one and never another, and for all methods where it does not even say which
chain it is on. Where somebody else can answer instead, that ends it (rpc); where nobody can, it is given up once it was waited
for as long with a question that could not be smaller. What does not belong here: whether somebody else can answer (rpc).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.faults import Behind, Doubtful, Elsewhere, Malformed

WAIT_S = 60.0  # that are waited for answers to one method that never come, all who ask together
_ANSWERED_WAIT_S = 180.0  # the same, of a method that it did answer before
_SHORT_WAIT_S = 10.0  # the same, of another one once so much was waited for the first
_TIMES = 4  # failures of a method in a row, one after another
_OF_SIZE = 6  # times as long nobody else is there for a question that could be smaller, before it is given up
_ALL_BUT = 0.99  # of a wait: clocks differ a little
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
    given_up: bool = False


class Forbearance:
    """That with one endpoint, in one run. Times are seconds of one clock. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vain: dict[str, _Vain] = {}
        self._seconds = 0.0
        self._under_way, self._unanswered_since = 0, float("inf")
        self._heard = False  # whether it answered anything yet
        self.gave_up = False  # whether it was given up, also in an earlier run, and has answered nothing since

    @property
    def short(self) -> bool:
        """Whether so much was waited for it in this run that it is given less time for every answer from now on."""
        return self._seconds >= WAIT_S or self.gave_up

    @contextmanager
    def asking(self, clock: Callable[[], float]) -> Iterator[None]:
        """Note that it is asked while the block lasts, and whether anything came: a refusal of the question is an answer."""
        with self._lock:
            self._under_way += 1
            self._unanswered_since = min(self._unanswered_since, clock())
        heard = True
        try:
            yield
        except CryptolakeError as error:
            spoken = isinstance(error, Doubtful) and error.spoken
            heard = spoken or not isinstance(error, Retry) or isinstance(error, Behind | Elsewhere | Malformed)
            raise
        finally:
            with self._lock:
                self._under_way -= 1
                if heard:
                    self._unanswered_since = clock() if self._under_way else float("inf")

    def silent_s(self, now: float) -> float:
        """How long it has answered nothing at all since it was asked something."""
        return max(0.0, now - self._unanswered_since)

    def waited(self, method: str, since: float, now: float, *, refused: bool = False, divisible: bool = False) -> None:
        """A question of this method was not answered; `refused`: for its rate, so that only the time counts. `divisible`: it
        may have been too much.

        A rate is one for all methods: while none is answered, the time counts for all of them.
        """
        if refused:
            self._waited(GREETING, since, now, refused=True, divisible=divisible)
        self._waited(method, since, now, refused=refused, divisible=divisible)

    def _waited(self, method: str, since: float, now: float, *, refused: bool, divisible: bool) -> None:
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
            alone = _ANSWERED_WAIT_S if self._heard else _SHORT_WAIT_S if self.gave_up else WAIT_S
            if one.seconds >= _ALL_BUT * alone * (_OF_SIZE if divisible else 1) and not one.given_up:
                one.given_up = self.gave_up = True
                one.again_at = now + one.distance_s

    def greeted(self) -> None:
        """It said which chain it is on."""
        with self._lock:
            self._vain.pop(GREETING, None)
            self._heard, self.gave_up = True, any(one.given_up for one in self._vain.values())

    def answered(self, method: str) -> None:
        """It answered a question of this method."""
        with self._lock:
            self._vain.pop(GREETING, None)
            self._vain[method] = _Vain(answered=True)
            self._heard, self.gave_up = True, any(one.given_up for one in self._vain.values())

    def given_up(self, method: str) -> bool:
        """Whether it is waited for no more in this run even where nobody else can answer, but tried again now and then."""
        with self._lock:
            return any(one.given_up for one in self._of(method))

    def hope(self) -> None:
        """A new run begins: what was given up is asked again at once, for a shorter time."""
        with self._lock:
            self._vain = {method: one for method, one in self._vain.items() if not one.given_up}

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
