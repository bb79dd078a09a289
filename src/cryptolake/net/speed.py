"""`Speed`: how fast an account is used, learned from answers and complaints. Pure: time comes in, a rate goes out.

Additive patience, multiplicative decrease (AIMD) with three rules of its own. *One burst is one complaint*: what was sent
before the latest complaint and is refused after it says nothing new. *What was let through is the evidence*: the units of
the second before a complaint tell the rate. When pauses do not help for seconds, we were locked out for breaking just that
rate, or the limit is one of a longer window; which of them is found by keeping below that rate: who is shut out again uses
what was let through on average, silence included. *A limit that was told is never exceeded*; one that was only guessed is
searched upwards, quickly until the first complaint, then to a little below where it came, and beyond that as seldom as a
complaint is dear. What does not belong here: places in time (limiter).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 60.0  # doubled with every complaint that no answer came before
_FLOOR = 1 / 20  # of the rate given (of a polite guess, where nothing was told): slower than that is never asked
_SLOWEST = 1 / 60  # units a second
_GUESS = 5.0  # units a second that nobody minds
_TELLING = 4.0  # units: a time in which fewer are let through tells no rate
_FEW = 10.0  # units in a second that are too few to tell the rate
# Share of the rate gained a second: before any complaint, soon after one, and long after it.
_FAST, _SLOW, _AGAIN = 0.4, 0.01, 0.1
_BACK = 0.03  # as soon, where the pauses were longer than what was waited for
_CALM_S = 5.0  # after a complaint, until the climb gathers speed again: it doubles in as long
_BELOW = 0.97  # of the rate that was complained of, where it is kept until patience ends
_MET = 0.985  # of a rate that was told, after a complaint that may come from requests that met on the way
_NEARLY = 0.95  # of the rate that was told: a complaint about that much is no sign that another limit holds
# Until the rate complained of is tried again, a guessed and a told one; doubled each time in vain.
_PATIENCE_S, _MOST_PATIENCE_S, _MOST_PATIENCE_TOLD_S = 15.0, 60.0, 30.0
_SHUT_OUT_S = 1.0  # a limit of a second is kept again after as long; who is refused for longer is shut out
_ABOVE = 1.02  # times a rate that was thought to be kept: a complaint about no more than that proves it was not
_WORTH, _WORTH_UNITS = 20.0, 150.0  # times the silence, and units for each pause, that pay for risking a complaint
_LONGEST_PATIENCE_S = 1800.0
_WINDOWS_S, _LATE_S = (2.0, 5.0, 10.0, 30.0, 60.0), 0.05
_LONGEST_WINDOW_S = _WINDOWS_S[-1]
_SHORT = 4.0  # times a silence, up to which what was let through before it is what the other side counted
_AT_ONCE_S = 0.6  # after an answer, or after two questions: a complaint so soon is the one from before
_FEW_OF = 0.1  # of what was let through before a complaint: fewer than that since prove nothing
_PAUSED = 2.0  # seconds without a question (or four that the rate lets through), after which asking begins anew


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
    window: float = 1.0  # seconds over which the other side counts, as far as that was found
    kept: float = 0.0  # the rate that a lock-out taught, while no complaint has proven that it was a window
    began: float = -inf  # since when there was no complaint and no pause
    units: float = 0.0  # let through since then
    latest: float = -inf  # when the latest of them was
    complained_at: float = -inf  # the latest complaint that counted
    resumes_at: float = -inf
    raised_at: float = -inf
    # Of the latest series of complaints: the rate and units a second before it, the units since `since`, when the first and
    # the last of those that were refused had been sent, and the pause that was asked for.
    fast: float = 0.0
    second: float = 0.0
    evidence: float = 0.0
    since: float = -inf
    first_sent: float = -inf
    last_sent: float = -inf
    asked_s: float = 0.0
    heard_at: float = -inf  # when an answer came again, while that told nothing
    series: int = 0  # complaints since the latest answer, beside the first
    answered: bool = True  # whether an answer has come since the latest complaint

    @property
    def least(self) -> float:
        """The slowest rate that is ever used: a limit of seconds may be one call in all of them."""
        return _SLOWEST if self.window > 1 else _FLOOR * (self.given if self.told else min(self.given, _GUESS))

    @property
    def silent(self) -> bool:
        """Whether pauses have been tried up to the longest one and nothing was answered in between."""
        return bool(FIRST_PAUSE_S * 2 ** (self.series - 1) >= LONGEST_PAUSE_S)

    @property
    def span(self) -> float:
        """Seconds before a complaint, whose units tell the rate that was too fast."""
        return max(1.0, self.window, min(_LONGEST_WINDOW_S, _TELLING / self.rate))

    def let_through(self, at: float, cost: float) -> None:
        """So many units are let through at `at`."""
        if at - self.latest > max(_PAUSED, 4 * cost / self.rate):
            self.began, self.units = at, 0.0
        self.units, self.latest = self.units + cost, max(self.latest, at)

    def complaint(
        self,
        now: float,
        sent_at: float,
        asked_s: float | None,
        second: float | None = None,
        span: float | None = None,
        later: float = 0.0,
        earlier: float = 0.0,
    ) -> bool:
        """A request sent at `sent_at` was refused for its rate; whether that is news.

        `asked_s` is the pause the other side asks for. `second` and `span` are the units let through in the second and in
        the `span` before it was sent, `later` those since, `earlier` those a second before that second; `second` is None when
        nobody kept count.
        """
        if sent_at <= self.complained_at:
            if asked_s is not None:
                self.resumes_at = max(self.resumes_at, now + asked_s)
            return False
        again = not self.answered or now - self.complained_at < _CALM_S
        if (
            self.answered
            and now - self.heard_at < max(_AT_ONCE_S, 2 / self.rate)
            and self.units - later <= _FEW_OF * self.evidence
        ):
            self.series = 0  # so few were let through since the latest complaint that it is the same one
            self.evidence += max(0.0, self.units - later)
            self.kept = max(self.kept, self.fast)  # who was locked out is let through again at once
        elif self.answered:
            self.series, self.asked_s = 0, 0.0
            self.fast, self.second, self.first_sent = self.rate, second or 0.0, sent_at
            self.evidence, self.since = max(0.0, self.units - later), self.began
            if earlier >= _BELOW * self.second > 0:
                self.kept = max(self.kept, self.rate)  # as much in a second was let through for long: that was not it
        else:
            self.series += 1
        if self.answered or second is None:
            self._slow_down(now, second if span is None or self.span <= 1 else span, again=again)
        self.last_sent, self.asked_s = sent_at, max(self.asked_s, asked_s or 0.0)
        pause = asked_s or self._pause(now)
        self.resumes_at = now + pause
        self.complained_at = self.raised_at = now
        self.answered = False
        return True

    def _pause(self, now: float) -> float:
        """Twice as long as the latest, or until a window as providers set them, begun with our asking, is free again."""
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self.series)
        if self.series:
            pause = min(pause, FIRST_PAUSE_S + now - self.first_sent)  # a window's end, tried between, doubles nothing
        if 1 < self.window > now - self.complained_at:
            pause = max(pause, self.window / 60)  # what was too much before is still counted, and is forgotten slowly
        late = _LATE_S + (self.first_sent - self.since) / 4  # asking may have begun slowly
        ends = (self.since + window + late - now for window in _WINDOWS_S)
        return next((end for end in ends if min(1.0, pause / 8) <= end < pause), pause)

    def _slow_down(self, now: float, units: float | None, *, again: bool) -> None:
        """`units` were let through in the `span` before a complaint; None when nobody kept count."""
        rate, certain = self.rate, True
        drains = 1 < self.window > now - self.complained_at  # what was too much before is still counted
        recent = None if units is None else units / self.span
        if self.told and recent is not None and min(recent, rate) >= _NEARLY * self.given:
            # Nearly all of what was told was let through: requests met on the way, which soon passes.
            self.rate, self.ceiling, self.patience, self.climb = _MET * rate, rate, _CALM_S, _SLOW
            return
        if units is None or recent is None:
            self.rate = 0.8 * rate
        elif self.told and not again:
            self.rate = _MET * rate  # as likely that requests met as that the limit is not the one that was told
        else:
            # A second that was not used to the full proves no limit: the rate climbs back.
            certain = recent >= 0.9 * rate or self.window > 1
            below = rate if drains else _BELOW * rate
            self.rate = min(below, _BELOW * recent if units >= _FEW else max(rate / 2, recent))
        self.rate = max(self.least, self.rate)
        if certain:
            if self.ceiling < inf:
                self.patience = min(_MOST_PATIENCE_TOLD_S if self.told else _MOST_PATIENCE_S, 2 * self.patience)
            self.ceiling = rate if recent is None or self.window <= 1 else max(self.least, min(rate, recent))
        self.climb = _SLOW

    def _heard_again(self, now: float, sent_at: float) -> bool:
        """The first answer after complaints, to a request sent at `sent_at`: whether the silence told of another rate."""
        silence, proven = sent_at - self.first_sent, self.last_sent - self.first_sent
        dear = max(_WORTH * silence if silence > _SHUT_OUT_S else 0.0, _WORTH_UNITS * self.series / self.rate)
        self.patience = max(self.patience, min(_LONGEST_PATIENCE_S, dear))
        if self.window <= 1:
            proven = max(proven, 0.8 * self.asked_s)
        if proven <= max(_SHUT_OUT_S, self.window / 2) or not self.evidence:
            self.heard_at = now
            return False
        if self.second and self.fast > _ABOVE * self.kept:
            # Perhaps we were locked out for what that second held: less than that is kept from now on.
            self.window, self.ceiling = 1.0, min(self.fast, max(self.second, self.least / _BELOW))
            self.rate = self.kept = max(self.least, _BELOW * self.ceiling)
            self.climb = _SLOW
        else:
            lasted, self.kept = self.first_sent - self.since, 0.0
            if lasted <= _SHORT * silence:
                self.window = max(1.01, min(_LONGEST_WINDOW_S, lasted + silence))
                least, most = self.evidence / (lasted + silence), self.evidence / (lasted + proven)
                self.rate = max(
                    self.least, min(_BELOW * self.fast, sqrt(least * most))
                )  # part of the silence was needed
                self.ceiling = self.rate / _BELOW
            else:  # what was let through long before says little: the rate is the one that the complaint taught
                self.window = min(_LONGEST_WINDOW_S, max(self.window, _SHORT * silence))
                self.ceiling = max(self.rate / _BELOW, sqrt(self.rate * self.fast))
            self.patience, self.climb = _MOST_PATIENCE_S if lasted <= _SHORT * silence else _CALM_S, _BACK
        self.heard_at, self.complained_at = -inf, now
        return True

    def answer(self, now: float, sent_at: float, *, busy: bool, since: float = 0.0) -> bool:
        """A request sent at `sent_at` was answered; `busy` says whether the rate is what holds the asking up.

        `since` are the units let through since it was sent. Whether what was let through for later is void, since another
        rate holds.
        """
        slower = False
        if sent_at > self.complained_at and not self.answered:
            self.answered = True
            slower = self._heard_again(now, sent_at)
            self.began, self.units = sent_at, since
        passed = min(1.0, now - self.raised_at)
        self.raised_at = now
        if slower or not busy or now < self.resumes_at:
            return slower
        calm = now - self.complained_at
        if calm > _CALM_S:
            most = _FAST if self.complained_at == -inf else max(_AGAIN, self.climb)
            self.climb = min(most, self.climb * 2 ** (passed / _CALM_S))
        hold = _BELOW * self.ceiling if calm < self.patience else inf
        most = min(self.given if self.told else inf, hold)
        if self.rate < most:
            # Whether more is taken is known when it has been asked for as long as the other side counts.
            climb = self.climb if hold < inf else self.climb / self.window
            self.rate = min(most, self.rate * (1 + climb) ** passed)
        if self.rate > 1.1 * self.ceiling:
            self.ceiling, self.patience, self.climb = inf, _PATIENCE_S, _FAST
            self.kept = 0.0
        return False

    def go_on_at(self, rate: float, now: float) -> None:
        """Use this rate from now on, within what was told; it climbs again from there, slowly after complaints."""
        self.rate = max(self.least, min(rate, self.given) if self.told else rate)
        self.ceiling, self.raised_at = inf, now
        self.climb = _SLOW

    def after_reboot(self) -> None:
        """The clock began anew: what was learned holds, when it was does not."""
        self.complained_at = self.resumes_at = self.raised_at = -inf
        self.began = self.latest = self.heard_at = self.since = self.first_sent = self.last_sent = -inf
        self.units, self.answered = 0.0, True
