"""Rate limiters: take a place in time under a lock, sleep outside it. Shared by threads, and through a file by processes.

What does not belong here: which provider has which limit (registry) and how a rate is learned (speed).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptolake.errors import Stop
from cryptolake.files.lock import locked
from cryptolake.net.chance import LOCKED_OUT, Chance
from cryptolake.net.granted import Granted
from cryptolake.net.limiter_state import LimiterState, packed, unpacked
from cryptolake.net.speed import Speed

SHARE = 0.985  # of the limit that is used: arrivals jitter on the way, a provider counts them when they arrive
_SECOND = 2 - SHARE  # seconds that hold at most a second's limit, for the same reason
_BUSY = 0.6  # of a second's units, from which on the rate is what holds the asking up
_LATE_S = _SECOND - 1  # what a window of a second has to spare
_GRAIN_S, _GRAINS_S = 1 / 128, 0.5  # of the records of the latest second and minute
_STEADY_S = 3.0  # as fast for so long: a limit of a second would have been met before
_TRIAL = 1.5  # times as long as a refusal took, in which the first request after one goes alone
_PIECE = 1 / 10  # of a second's limit that one request costs at most: larger ones leave gaps before and behind them
KEPT_S = 7 * 86400.0  # how long a learned rate is believed
_threads = threading.RLock()


class Place(NamedTuple):
    """When a request may be sent, and the complaint it was granted after: a later complaint takes it back."""

    at: float
    complaint: float


class Limiter:
    """At most `rate` units a second, `burst` of them at once (generic cell rate algorithm on a monotonic clock).

    Over any window of t seconds at most `rate * t + burst` units are granted. With `exact`, any window of a second holds
    at most `rate / SHARE` units, whatever the costs are, and a request that costs more than the burst waits for nothing
    but that. A unit is a call or a compute unit, whatever the provider counts. `told` limits are never exceeded; others
    are searched upwards while nobody complains.
    """

    late_s = _LATE_S  # from which on a request is counted when it is sent, less what the window has to spare
    note_s = 0.1  # how often answers are noted

    def __init__(
        self,
        rate: float,
        burst: float = 1.0,
        *,
        exact: bool = False,
        told: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        _check(rate, burst)
        self._given, self._burst, self._exact, self._told = rate, burst, exact, told
        self._clock, self._sleep, self._wall = clock, sleep, wall
        self._lock = threading.Lock()
        self._state = self._fresh()
        self._waited_at = self._noted_at = float("-inf")
        self._chance = Chance()

    def _fresh(self) -> LimiterState:
        second = Granted(_SECOND, kept_s=3.0, grain_s=_GRAIN_S)
        minute = Granted(60 * _SECOND, kept_s=62.0, grain_s=_GRAINS_S)
        return LimiterState(Speed(self._given, self._given, self._told), second, minute)

    def _restored(self, stored: bytes) -> LimiterState:
        """What was stored; what was learned of another limit than the given one, or long ago, is nothing."""
        state = unpacked(stored, self._fresh(), self._clock())
        if state.speed.given != self._given or 0.0 < state.learned_at < self._wall() - KEPT_S:
            state.speed = Speed(self._given, self._given, self._told)
        state.speed.told = self._told
        return state

    @property
    def rate(self) -> float:
        """Units a second that are used now, as far as this process has seen."""
        return self._state.speed.rate

    @property
    def at_once(self) -> float:
        """The most units that one request should cost, so that others fit around it."""
        speed = self._state.speed
        if not self._exact:
            return self._burst
        if not self._told and speed.complained_at == float("-inf"):
            return max(self._burst, speed.rate, speed.given)  # a guess says little about what is too much at once
        return max(self._burst, _PIECE * speed.rate)

    @property
    def silent(self) -> bool:
        """Whether every pause up to the longest one has been tried since the latest answer, as far as was seen."""
        return self._state.speed.silent

    def now(self) -> float:
        """This limiter's clock."""
        return self._clock()

    def take(self, cost: float = 1.0, *, again: bool = False, monthly: float | None = None) -> Place:
        """Take `cost` units; `again` after a complaint took a place back, so that the month counts them once.

        Raises Stop when that would be more than `monthly` units in this month.
        """
        with self._held() as state:
            return self._granted(state, cost, again, monthly)

    def _granted(self, state: LimiterState, cost: float, again: bool, monthly: float | None) -> Place:
        now, month = self._clock(), _month(self._wall())
        used = state.used if state.month == month else 0.0
        if monthly is not None and not again and used + cost > monthly:
            raise Stop(f"the {monthly:,.0f} units of this month are used")
        speed, rate = state.speed, state.speed.rate
        full_at = max(state.full_at, now) + cost / rate
        tolerance = (max(self._burst, cost) if self._exact else self._burst) / rate
        at = max(now, full_at - tolerance, speed.resumes_at)
        if self._exact:
            at = state.second.earliest(at, cost, self._in_a_second(speed))
            state.second.add(at, cost, now)
            state.minute.add(at, cost, now)
            speed.let_through(at, cost)
            self._chance.let_through()
            full_at = max(full_at, at + self._burst / rate)
        # The first one after a second complaint goes alone: the others wait as long as the refusal took to come.
        state.full_at, state.trial_s = max(full_at, at + state.trial_s), 0.0
        state.used, state.month = used + (0.0 if again else cost), month
        if at > now:
            self._waited_at = at
        return Place(at, speed.complained_at)

    def _in_a_second(self, speed: Speed) -> float:
        """The most units that any second may hold: no fraction of one is lost where the rate was learned from complaints, or
        where a told limit is used less for now. Where a second is not what is counted, one more does no harm.
        """
        whole = math.ceil(speed.rate / SHARE - 1e-9)
        if self._told:
            return min(self._given / SHARE, whole)
        if speed.window > 1:
            return whole + 1
        return whole if speed.complained_at > -math.inf else speed.rate / SHARE

    def use(self, place: Place, cost: float = 1.0) -> bool:
        """Whether a place still counts when its time has come: nobody was refused between its granting and its time.

        What is sent much later than it might have been is counted when it is sent.
        """
        now = self._clock()
        late = self._exact and now - place.at > self.late_s
        with self._held(write=late) as state:
            if place.complaint < state.speed.complained_at < place.at:
                return False
            if late:
                state.second.move(place.at, cost, now - _LATE_S)
            return True

    def reserve(self, cost: float = 1.0) -> float:
        """Take `cost` units and return how many seconds to wait before using them."""
        place = self.take(cost)
        return max(0.0, place.at - self._clock())

    def acquire(self, cost: float = 1.0, *, monthly: float | None = None) -> float:
        """Take `cost` units, sleeping until they may be used; returns when that is, on this limiter's clock."""
        place = self.take(cost, monthly=monthly)
        while (wait := place.at - self._clock()) > 0:
            self._sleep(wait)
            if self.use(place, cost):
                break
            place = self.take(cost, again=True)
        return self._clock()

    def backlog(self) -> float:
        """Seconds until a unit would be free now: what an impatient caller compares between endpoints."""
        with self._held(write=False) as state:
            return max(0.0, max(state.full_at, state.speed.resumes_at) - self._clock())

    def used(self) -> float:
        """Units taken in this calendar month (UTC), as far as this limiter has seen."""
        with self._held(write=False) as state:
            return state.used if state.month == _month(self._wall()) else 0.0

    def refused(self, sent_at: float, after_s: float | None = None) -> bool:
        """The other side said that this is too fast, to a request sent at `sent_at`; whether that is news.

        What was granted for later is taken back, nothing is granted for `after_s` seconds (when unknown, for as long as
        complaints have followed each other), and the rate falls. Refusals of the same burst change nothing more.
        """
        with self._held() as state:
            now, rate = self._clock(), state.speed.rate
            reaction = "slower"
            if self._exact and after_s is None and sent_at > state.speed.complained_at:
                reaction = self._chance.complained(rate)
            elif self._exact:
                self._chance.another()
            if reaction == "spared":
                return False
            if self._exact:
                second, later = state.second.between(sent_at - 1, sent_at), state.second.between(sent_at, math.inf)
                span = state.minute.between(sent_at - state.speed.span, sent_at)
                steady = math.floor((sent_at - 1) / _GRAINS_S) * _GRAINS_S
                earlier = state.minute.between(steady - _STEADY_S, steady) / _STEADY_S
                news = state.speed.complaint(now, sent_at, after_s, second, span, later, earlier)
            else:
                news = state.speed.complaint(now, sent_at, after_s)
            if news:
                state.second.take_back(now)
                state.minute.take_back(now)
                state.full_at = state.speed.resumes_at + (0.0 if self._exact else self._burst / state.speed.rate)
                state.trial_s = min(5.0, _TRIAL * (now - sent_at)) if state.speed.series or not self._told else 0.0
                state.learned_at = self._wall()
                if self._exact:
                    self._compare(state.speed, rate, now, as_before=reaction == "as before")
            return news

    def _compare(self, speed: Speed, rate: float, now: float, *, as_before: bool) -> None:
        """Go back to the rate of before a complaint that has nothing to do with it."""
        if speed.series >= LOCKED_OUT:
            self._chance.forget()
        elif as_before:
            speed.go_on_at(self._chance.well, now)
            speed.ceiling = rate
        elif not speed.series and (found := self._chance.noted(rate)) is not None:
            speed.go_on_at(found, now)

    def answered(self, sent_at: float) -> None:
        """An answer came to a request sent at `sent_at`: the rate may rise, or find back to the limit given."""
        now = self._clock()
        if now - self._noted_at < self.note_s:
            return
        self._noted_at = now
        with self._held() as state:
            rate = state.speed.rate
            if self._exact:
                busy = state.second.between(now - 1, now) >= _BUSY * rate
            else:
                busy = now - self._waited_at < max(1.0, 2 / rate)
            if state.speed.answer(now, sent_at, busy=busy, since=state.second.between(sent_at - _GRAIN_S, now)):
                state.second.take_back(now)
                state.minute.take_back(now)
                state.full_at = now + (0.0 if self._exact else self._burst / state.speed.rate)
            if state.speed.rate != rate:
                state.learned_at = self._wall()

    def resize(self, rate: float, burst: float) -> None:
        """Go on with another limit, because the other side has said which holds. What was taken stays counted."""
        _check(rate, burst)
        if (rate, burst) != (self._given, self._burst):
            self._given, self._burst = rate, burst
            with self._held() as state:
                state.speed = Speed(rate, rate, self._told)

    def begin_at(self, rate: float) -> None:
        """Begin at a rate learned earlier, unless something newer is known."""
        with self._held() as state:
            if state.learned_at == 0.0:
                state.speed.rate = min(rate, self._given) if self._told else rate
                state.learned_at = self._wall()

    def go_on_at(self, rate: float) -> None:
        """Go on at this rate, as far as it may be used, for another reason than a complaint."""
        with self._held() as state:
            state.speed.go_on_at(rate, self._clock())

    def sent(self) -> float:
        """Units of the last second; all that may be while some wait for their place."""
        now = self._clock()
        with self._held(write=False) as state:
            waiting = not self._exact or state.full_at - self._burst / state.speed.rate > now
            return state.speed.rate if waiting else state.second.between(now - 1, now)

    @contextmanager
    def _held(self, *, write: bool = True) -> Iterator[LimiterState]:  # what is shared has to be written
        """The state, nobody else's until the end of the block."""
        with self._lock:
            yield self._state


class SharedLimiter(Limiter):
    """The same, shared by every process of this machine that names the same file.

    The file holds one small record: the monotonic clock counts from boot and is the same in all processes. What was
    written later than now was written before a reboot: what was learned and the count of the month still hold.
    """

    def __init__(
        self,
        path: Path,
        rate: float,
        burst: float = 1.0,
        *,
        exact: bool = False,
        told: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(rate, burst, exact=exact, told=told, clock=clock, sleep=sleep, wall=wall)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        with self._held(write=False):
            pass

    @contextmanager
    def _held(self, *, write: bool = True) -> Iterator[LimiterState]:
        """As `Limiter`, while holding the file's lock, which dies with its holder: no other process, no other thread."""
        with _threads, locked(self._file):
            self._state = state = self._load()
            yield state
            if write:
                os.lseek(self._file, 0, os.SEEK_SET)
                os.write(self._file, packed(state, self._clock()))

    def _load(self) -> LimiterState:
        os.lseek(self._file, 0, os.SEEK_SET)
        return self._restored(os.read(self._file, 1 << 16))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def for_limit(
    limit: float,
    *,
    cost: float = 1.0,
    told: bool = True,
    path: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Limiter:
    """A limiter for a provider that counts `limit` units in any second, `cost` of them for its dearest call.

    Shared by processes when a `path` is given.
    """
    if path is None:
        return Limiter(limit * SHARE, cost, exact=True, told=told, sleep=sleep)
    return SharedLimiter(path, limit * SHARE, cost, exact=True, told=told, sleep=sleep)


def _month(wall: float) -> int:
    now = time.gmtime(wall)
    return now.tm_year * 12 + now.tm_mon


def _check(rate: float, burst: float) -> None:
    if rate <= 0 or burst <= 0:
        raise ValueError("a limiter needs a positive rate and burst")
