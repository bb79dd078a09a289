"""`Speed`: how fast an account is used, learned from answers and complaints. Pure: time comes in, a rate goes out.

Additive patience, multiplicative decrease (AIMD) with three rules of its own. *One burst is one complaint*: what was sent
before the latest complaint and is refused after it says nothing new. *What was let through is the evidence*: the units of
the second before a complaint tell the rate, and when pauses do not help for seconds, those of the minute before tell a
limit by the minute. *A limit that was told is never exceeded*; one that was only guessed is searched upwards, quickly
until the first complaint, then to a little below where it came, and beyond that seldom. What does not belong here:
places in time (limiter).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 60.0  # doubled with every complaint that no answer came before
_FLOOR = 1 / 20  # of the rate given (of a polite guess, where nothing was told): slower than that is never asked
_GUESS = 5.0  # units a second that nobody minds
_FEW = 10.0  # units in a second that are too few to tell the rate
# Share of the rate gained a second: before any complaint, soon after one, and long after it.
_FAST, _SLOW, _AGAIN = 0.4, 0.01, 0.1
_CALM_S = 5.0  # after a complaint, until the climb gathers speed again: it doubles in as long
_BELOW = 0.97  # of the rate that was complained of, where it is kept until patience ends
_MET = 0.985  # of a rate that was told, after a complaint that may come from requests that met on the way
_NEARLY = 0.95  # of the rate that was told: a complaint about that much is no sign that another limit holds
# Until the rate complained of is tried again, a guessed and a told one; doubled each time in vain.
_PATIENCE_S, _MOST_PATIENCE_S, _MOST_PATIENCE_TOLD_S = 15.0, 60.0, 30.0
_LONG = 4  # complaints without an answer between, from which on the limit is one by the minute


@dataclass(slots=True)
class Speed:
    """Units a second, and what is known of the limit. All times are seconds on one monotonic clock.

    `given` is what the limiter was made with; it is the most that is ever used if it was `told`.
    """

    given: float
    rate: float
    told: bool = True
    ceiling: float = inf  # the rate at which the other side complained
    climb: float = _FAST
    patience: float = _PATIENCE_S
    minute: float = inf  # units in any minute, once that was learned
    evidence: float = 0.0  # units of the minute before the first complaint of a series
    complained_at: float = -inf  # the latest complaint that counted
    resumes_at: float = -inf
    raised_at: float = -inf
    series: int = 0  # complaints since the latest answer, beside the first
    answered: bool = True  # whether an answer has come since the latest complaint

    @property
    def least(self) -> float:
        """The slowest rate that is ever used."""
        return _FLOOR * (self.given if self.told else min(self.given, _GUESS))

    @property
    def silent(self) -> bool:
        """Whether pauses have been tried up to the longest one and nothing was answered in between."""
        return bool(FIRST_PAUSE_S * 2**self.series >= LONGEST_PAUSE_S)

    def complaint(self, now: float, sent_at: float, asked_s: float | None, second: float | None, minute: float) -> bool:
        """A request sent at `sent_at` was refused for its rate; whether that is news.

        `asked_s` is the pause the other side asks for. `second` and `minute` are the units let through before it was
        sent; `second` is None when nobody kept count.
        """
        if sent_at <= self.complained_at:
            if asked_s is not None:
                self.resumes_at = max(self.resumes_at, now + asked_s)
            return False
        if self.answered:
            self.series, self.evidence = 0, minute
            self._slow_down(second, again=now - self.complained_at < _CALM_S)
        else:
            self.series += 1
            if second is None:
                self._slow_down(second, again=True)
            elif self.series == _LONG:
                self.minute = max(60 * self.least, min(self.evidence, 0.95 * self.minute))
                self.rate = min(self.rate, 1.05 * self.minute / 60)
        pause = asked_s or min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self.series)
        self.resumes_at = now + pause
        self.complained_at = self.raised_at = now
        self.answered = False
        return True

    def _slow_down(self, second: float | None, *, again: bool) -> None:
        rate, certain = self.rate, True
        if self.told and second is not None and min(second, rate) >= _NEARLY * self.given:
            # Nearly all of what was told was let through: requests met on the way, which soon passes.
            self.rate, self.ceiling, self.patience, self.climb = _MET * rate, rate, _CALM_S, _SLOW
            return
        if second is None:
            self.rate = 0.8 * rate
        elif self.told and not again:
            self.rate = _MET * rate  # as likely that requests met as that the limit is not the one that was told
        else:
            # A second that was not used to the full proves no limit: the rate climbs back.
            certain = second >= 0.9 * rate
            self.rate = min(_BELOW * rate, _BELOW * second if second >= _FEW else max(rate / 2, second))
        self.rate = max(self.least, self.rate)
        if certain:
            if self.ceiling < inf:
                self.patience = min(_MOST_PATIENCE_TOLD_S if self.told else _MOST_PATIENCE_S, 2 * self.patience)
            self.ceiling = rate
        self.climb = _SLOW

    def answer(self, now: float, sent_at: float, *, busy: bool) -> None:
        """A request sent at `sent_at` was answered; `busy` says whether the rate is what holds the asking up."""
        if sent_at > self.complained_at:
            self.answered = True
        passed = min(1.0, now - self.raised_at)
        self.raised_at = now
        if not busy or now < self.resumes_at:
            return
        calm = now - self.complained_at
        if calm > _CALM_S:
            most = _FAST if self.complained_at == -inf else max(_AGAIN, self.climb)
            self.climb = min(most, self.climb * 2 ** (passed / _CALM_S))
        if calm > self.patience:
            self.minute *= 1.001**passed
        hold = _BELOW * self.ceiling if calm < self.patience else inf
        most = min(self.given if self.told else inf, hold, 1.05 * self.minute / 60)
        if self.rate < most:
            self.rate = min(most, self.rate * (1 + self.climb) ** passed)
        if self.rate > 1.1 * self.ceiling:
            self.ceiling, self.patience, self.climb = inf, _PATIENCE_S, _FAST

    def go_on_at(self, rate: float, now: float) -> None:
        """Use this rate from now on, within what was told; it climbs again from there, slowly after complaints."""
        self.rate = max(self.least, min(rate, self.given) if self.told else rate)
        self.ceiling, self.raised_at = inf, now
        self.climb = _SLOW

    def after_reboot(self) -> None:
        """The clock began anew: what was learned holds, when it was does not."""
        self.complained_at = self.resumes_at = self.raised_at = -inf
