"""Workers, a limiter and an enforcing provider on one simulated clock: no threads, no waiting, the same every time."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle

from benchmarks.enforcing import Rule

from cryptolake.net.limiter import Limiter


@dataclass
class Simulation:
    """`workers` ask one after the other, as soon as their limiter lets them, requests that cost `costs` in turn.

    Half the `latency_s` passes on the way there; `jitter_s` more or less of it, by a seed. `limiters` are handed out in
    turn, as processes that share a file have one each. `stalls` a second hold up everything, each for `stall_s` on average.
    """

    rule: Rule
    limiters: Sequence[Limiter]
    workers: int = 16
    costs: Sequence[float] = (1.0,)
    latency_s: float = 0.08
    jitter_s: float = 0.0
    stalls: float = 0.0
    stall_s: float = 0.0
    now: list[float] = field(default_factory=lambda: [1000.0])
    admitted: list[tuple[float, float]] = field(default_factory=list)  # when and what
    refused: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        self._random, self._order, self._events = random.Random(7), count(), []
        self._end, self._costs = self.now[0] + seconds, cycle(self.costs)
        self._still = self._stalls()
        for _, limiter in zip(range(self.workers), cycle(self.limiters), strict=False):
            self._at(self.now[0], self._work(limiter))
        while self._events and self._events[0][0] <= self._end:
            self.now[0], _, work = heapq.heappop(self._events)
            if (then := next(work, None)) is not None:
                self._at(then, work)
        self.now[0] = self._end

    def _stalls(self) -> list[tuple[float, float]]:
        """From when to when nothing moves."""
        at, found = self.now[0], list[tuple[float, float]]()
        while self.stalls and at < self._end:
            start = at + self._random.expovariate(self.stalls)
            at = start + self._random.expovariate(1 / self.stall_s)
            found.append((start, at))
        return found

    def _at(self, when: float, work: Iterator[float]) -> None:
        place = bisect_right(self._still, (when, float("inf"))) - 1
        if place >= 0:
            when = max(when, self._still[place][1])
        heapq.heappush(self._events, (when, next(self._order), work))

    def _work(self, limiter: Limiter) -> Iterator[float]:
        """One worker; yields when it goes on."""
        while True:
            cost = next(self._costs)
            place = limiter.take(cost)
            while place.at > self.now[0]:
                yield place.at
                if limiter.use(place, cost):
                    break
                place = limiter.take(cost, again=True)
            sent_at = self.now[0]
            self.sent.append(sent_at)
            yield sent_at + self.latency_s / 2 + self._random.uniform(0, self.jitter_s)
            passed = self.rule.admits(self.now[0], cost)
            yield self.now[0] + self.latency_s / 2
            if passed:
                self.admitted.append((self.now[0], cost))
                limiter.answered(sent_at)
            else:
                self.refused.append(self.now[0])
                limiter.refused(sent_at)

    def rate(self, seconds: float) -> float:
        """Units let through a second, over the latest seconds."""
        return sum(cost for at, cost in self.admitted if at > self.now[0] - seconds) / seconds

    @property
    def refused_share(self) -> float:
        """Refused requests of all."""
        return len(self.refused) / max(1, len(self.refused) + len(self.admitted))


def simulated(
    rule: Rule, limit: float, *, cost: float = 1.0, told: bool, make: Callable[..., Limiter] = Limiter, **more: object
) -> Simulation:
    """A simulation with one limiter of the pool's kind that was given `limit` units a second."""
    now = [1000.0]
    limiter = make(0.985 * limit, cost, exact=True, told=told, clock=lambda: now[0], wall=lambda: 1e9 + now[0])
    return Simulation(rule, [limiter], now=now, **more)  # type: ignore[arg-type]
