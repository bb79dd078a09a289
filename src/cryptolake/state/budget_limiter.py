"""`BudgetLimiter`: an account's limiter whose state is a row in PostgreSQL, so that all machines keep to one limit.

The rule is `net.limiter`'s and `net.speed`'s, as for the processes of one machine; only the place and the clock are others.
What does not belong here: the table and its connections (budgets).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.granted import Granted
from cryptolake.net.limiter import Limiter, Place
from cryptolake.net.limiter_state import LimiterState, packed
from cryptolake.net.speed import Speed
from cryptolake.state.budgets import AccountRow, Budgets
from cryptolake.waiting import turn

_UNASKED = "the rate budgets could not be asked; run again"
_APART_S = 0.25  # between two clocks' distance now and before, from which on one of them was set


class _Request:
    """One thread's wish for units, until it is granted or failed."""

    __slots__ = ("again", "cost", "monthly", "outcome")

    def __init__(self, cost: float, again: bool, monthly: float | None) -> None:
        self.cost, self.again, self.monthly = cost, again, monthly
        self.outcome: Place | CryptolakeError | None = None


class BudgetLimiter(Limiter):
    """The same promise as `Limiter`, over all machines: its state is a row of `budgets`, its clock the server's.

    Threads that come while the server is asked go together into the next question, so that neither a far server nor many
    threads make reservations the bottleneck. `backlog`, `used` and `rate` are as of this process's latest question.
    """

    late_s = 0.25  # a trip to the server for what is a little late would cost more than it mends
    note_s = 0.5

    def __init__(
        self,
        budgets: Budgets,
        account: str,
        rate: float,
        burst: float = 1.0,
        *,
        exact: bool = False,
        told: bool = True,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] = turn,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ahead_s: float | None = None
        super().__init__(rate, burst, exact=exact, told=told, clock=clock or self._servers, sleep=sleep, wall=wall)
        self._budgets, self._account = budgets, account
        self._together = threading.Condition()
        self._waiting: list[_Request] = []
        self._asking = False

    def _servers(self) -> float:
        """The server's clock, as far as it is known without asking."""
        if self._ahead_s is None:
            with self._held(write=False):
                pass
        return time.monotonic() + (self._ahead_s or 0.0)

    def _fresh(self) -> LimiterState:
        """As `Limiter`'s, a little coarser: a row is rewritten at every question."""
        second, minute = Granted(1.015, kept_s=2.0, grain_s=1 / 64), Granted(60.9, kept_s=62.0, grain_s=2.0)
        return LimiterState(Speed(self._given, self._given, self._told), second, minute)

    def take(self, cost: float = 1.0, *, again: bool = False, monthly: float | None = None) -> Place:
        """As `Limiter.take`, over all machines. Raises Retry without the server."""
        mine = _Request(cost, again, monthly)
        with self._together:
            self._waiting.append(mine)
            self._together.wait_for(lambda: mine.outcome is not None or not self._asking)
            if mine.outcome is None:
                self._asking, together, self._waiting = True, self._waiting, []
        if mine.outcome is None:
            self._take_together(together)
        if not isinstance(mine.outcome, Place):
            raise mine.outcome or Retry(_UNASKED)
        return mine.outcome

    def _take_together(self, requests: list[_Request]) -> None:
        """One question for all; each gets its place in the order asked."""
        failure: CryptolakeError = Retry(_UNASKED)
        try:
            self._budgets.patiently(lambda: self._grant(requests))
        except CryptolakeError as error:
            failure = error
        finally:
            for one in requests:
                one.outcome = one.outcome or failure
            with self._together:
                self._asking = False
                self._together.notify_all()

    def _grant(self, requests: list[_Request]) -> None:
        found: list[Place | CryptolakeError] = []
        with self._held() as state:
            for one in requests:
                try:
                    found.append(self._granted(state, one.cost, one.again, one.monthly))
                except CryptolakeError as error:  # the month's units are used up for this one
                    found.append(error)
        for one, outcome in zip(requests, found, strict=True):
            one.outcome = outcome

    def use(self, place: Place, cost: float = 1.0) -> bool:
        """As `Limiter.use`, as far as this process has seen."""
        return self._budgets.patiently(lambda: super(BudgetLimiter, self).use(place, cost))

    def refused(self, sent_at: float, after_s: float | None = None) -> bool:
        """As `Limiter.refused`, for everybody. Raises Retry without the server."""
        return self._budgets.patiently(lambda: super(BudgetLimiter, self).refused(sent_at, after_s))

    def answered(self, sent_at: float) -> None:
        """As `Limiter.answered`; without the server nothing is learned, and the answer stands."""
        with suppress(Retry):
            self._budgets.patiently(lambda: super(BudgetLimiter, self).answered(sent_at))

    def begin_at(self, rate: float) -> None:
        """As `Limiter.begin_at`."""
        self._budgets.patiently(lambda: super(BudgetLimiter, self).begin_at(rate))

    @contextmanager
    def _held(self, *, write: bool = True) -> Iterator[LimiterState]:
        """As `Limiter`, while holding the row; to be looked at only, what was seen last will do. Raises Retry."""
        with self._lock:
            if not write and self._ahead_s is not None:
                yield self._state
                return
            with self._budgets.row(self._account) as row:
                self._set_clock(row)
                self._state = state = self._read(row)
                yield state
                if write:
                    used, month = (state.used, state.month) if state.month else (row.used, 0)
                    row.keep(packed(state, self._clock()), state.full_at, used, _as_date(month) or row.month)

    def _set_clock(self, row: AccountRow) -> None:
        """Follow the server's clock. Read after the server's, ours makes the distance too short by what the trip took, never
        too long: of readings that belong to one clock the longest is the nearest.
        """
        if self._ahead_s is None or abs(row.ahead_s - self._ahead_s) > _APART_S:
            self._ahead_s = row.ahead_s
            self._waited_at = self._noted_at = float("-inf")
        self._ahead_s = max(self._ahead_s, row.ahead_s)

    def _read(self, row: AccountRow) -> LimiterState:
        state = self._restored(row.state)
        if not row.state:  # written before rows held a state, or not at all
            state.used, state.month = row.used, row.month // 100 * 12 + row.month % 100
        return state


def _as_date(month: int) -> int:
    """A count of months (year x 12 + month) as YYYYMM."""
    year, number = divmod(month - 1, 12)
    return 100 * year + number + 1 if month else 0
