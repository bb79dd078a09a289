"""`RateTrial`: whether refusals that say nothing mean that an endpoint is asked too fast. No I/O.

Many who enforce a rate do not say so: a proxy's page with 503, a guard's 403, "server busy". And much that fails at random has
nothing to do with the rate. So it is tried: where many questions are refused so, it is asked at half the speed of its answers
for a while. When refusals nearly end, it was the rate, and from then on each of them counts as a complaint, as long as it is
asked faster than was found to be well; else the rate is what it was before, and it is tried again much later. What does not
belong here: the rate itself (speed), and which refusals
say nothing (faults).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

_LATEST, _MANY = 30, 8  # questions that are looked at, and how many of them refused are many
_TRIED = 40  # questions asked more slowly, after which it is judged whether that helps
_SLOWER = 0.5  # times the speed of the answers, at which it is tried
_NEARLY_NONE = 1 / 4  # of the share refused before, that may still be when it was the rate
_IN_VAIN_S, _MOST_IN_VAIN_S = 60.0, 3600.0  # until it is tried again when it was not: at first, and doubled

Means = Literal["trouble", "trial", "rate"]


@dataclass(slots=True)
class RateTrial:
    """That of one endpoint. Times are seconds on its limiter's clock, rates units a second. Thread-safe."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    latest: deque[bool] = field(
        default_factory=lambda: deque(maxlen=_LATEST)
    )  # refused, of questions as large as were taken
    well: float = float("inf")  # the rate at which it nearly ended, once that was found
    tried: list[bool] | None = None  # of what was asked since the trial began; None without one
    share: float = 0.0  # refused before the trial
    before: float = 0.0  # the rate then
    idle_until: float = float("-inf")
    idle_s: float = _IN_VAIN_S

    @property
    def due(self) -> bool:
        """Whether it may be time to change the rate: cheap to ask."""
        tried = self.tried
        return len(tried) >= _TRIED if tried is not None else sum(tuple(self.latest)) >= _MANY

    def refused(self, rate: float) -> Means:
        """A question asked at this rate was refused without a reason: what that is taken to mean."""
        with self.lock:
            if self.tried is not None:
                self.tried.append(True)
                return "trial"
            self.latest.append(True)
            return "rate" if rate > self.well else "trouble"

    def answered(self) -> None:
        """A question was answered."""
        with self.lock:
            (self.latest if self.tried is None else self.tried).append(False)

    def rate(self, now: float, rate: float, sent: float) -> float | None:
        """The rate to go on at where that is to be changed: `rate` is the present one, `sent` the units of the last second."""
        with self.lock:
            if self.tried is None:
                many = sum(self.latest)
                if many < _MANY or len(self.latest) < _LATEST or now < self.idle_until:
                    return None
                self.tried, self.share, self.before = [], many / len(self.latest), rate
                self.latest.clear()
                return _SLOWER * (1 - self.share) * min(rate, sent)
            if len(self.tried) < _TRIED:
                return None
            proven = sum(self.tried) <= _NEARLY_NONE * self.share * len(self.tried)
            self.tried = None
            if proven:
                self.well, self.idle_s = rate, _IN_VAIN_S
                return None
            self.well = float("inf")
            self.idle_until, self.idle_s = now + self.idle_s, min(2 * self.idle_s, _MOST_IN_VAIN_S)
            return self.before
