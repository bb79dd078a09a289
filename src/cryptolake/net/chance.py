"""`Chance`: whether complaints about the rate come at any rate, so that asking more slowly does not end them. No I/O.

Several nodes behind one address with limits of their own, or other people's load, refuse one question in fifty with 429
whatever our rate is: to slow down for each of them would end at a crawl. A limit hardly ever complains of three quarters of the
rate that it was found at. Where single complaints are as frequent among the questions there, they are trouble that passes: the
rate is what it was before, and while they stay as few, they change nothing. Who was wrong in that tries it more seldom. What
does not belong here: the rate itself (speed), and failures that say nothing (rate_trial).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

_KEPT = 24  # complaints that are compared
_FASTEST = 3  # of them, at the highest rates
_LESS, _SLOWER = 0.75, 4  # times the least of those rates, at which as many complaints are compared with them
_FEW = 4.0  # questions between two complaints at least: more of them are no chance
# Of the questions between complaints when asked more slowly: so many times fewer, or more, and they are as frequent.
_AS_OFTEN, _AS_SELDOM = 3.0, 1.6
_MORE, _SPARE = 3.0, 5  # times the share found, and complaints beside, from which on they are more than by chance
# Of very many questions: times that share, and of the questions beside, that are more than by chance, and that are as many.
_RATHER_MORE, _AS_MANY, _BESIDE = 2.5, 1.7, 0.04
_MOST = 0.2  # of the questions that are ever refused by chance
_LOOKED_AT = 100.0  # questions at least, over which their share is judged
_FASTER = 1.1  # times the rate at which their share was as found: more may be too fast
_LEAST = 4.0  # units a second: slower than that, nothing is to be gained
_IDLE = 50  # complaints until it is tried again after it was wrong, at first; doubled each time
_OVER, _SLOWED = 3, 0.8  # times that they may be more, and what is left of the rate then where it was well
LOCKED_OUT = 3  # complaints in a row without an answer: no chance

Reaction = Literal["slower", "as before", "spared"]


@dataclass(slots=True)
class Chance:
    """That of one account, as this process sees it. Rates are units a second. Not thread-safe: the limiter's lock is held."""

    latest: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))  # rate, questions before it
    counts: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))  # refused at each of them
    more: int = 0  # refused since the latest complaint, of what was under way
    sent: float = 0.0  # questions since the latest complaint that counted
    share: float = 0.0  # of the questions that are refused by chance; 0 where they are not known to be
    first: float = 0.0  # that share when it was found
    well: float = 0.0  # the highest rate at which it was so
    asked: float = 0.0  # questions since that was judged last, and complaints among them
    refused: int = 0
    over: int = 0  # times in a row that they were more than by chance
    wrong: int = 0  # times that it was no chance after all
    idle: int = 0  # complaints until it is tried again

    def let_through(self) -> None:
        """A question is asked."""
        self.sent += 1
        self.asked += 1

    def complained(self, rate: float) -> Reaction:
        """A question asked at this rate was refused for it: whether that changes anything.

        "as before": they are more than by chance; `well` is the rate to go back to.
        """
        if not self.share:
            return "slower"
        self.refused += 1
        judged = self.asked >= max(_LOOKED_AT, 2 * _SPARE / self.share)
        found = self.refused / max(self.asked, _LOOKED_AT / 2)
        many = judged and found > _RATHER_MORE * self.share + _BESIDE
        if many or self.refused > _MORE * self.share * max(self.asked, _LOOKED_AT / 2) + _SPARE:
            self.asked, self.refused = 0.0, 0
            self.over += 1
            if self.over <= _OVER:
                self.well *= 1.0 if rate > _FASTER * self.well else _SLOWED
                return "as before"
            self.forget()
            self.wrong, self.idle = self.wrong + 1, _IDLE * 2**self.wrong
            return "slower"
        if judged:
            if found <= _AS_MANY * self.share + _BESIDE / 2:
                self.well, self.over = max(self.well, rate), 0
                self.share = min((self.share + found) / 2, _AS_MANY * self.first)
            self.asked, self.refused = 0.0, 0
        return "spared"

    def another(self) -> None:
        """A question that was under way at a complaint was refused too."""
        self.more += not self.share

    def noted(self, rate: float) -> float | None:
        """A complaint at this rate slowed us down, after answers; the rate to go back to, once it is found to be chance."""
        if self.latest:
            self.counts[-1] += self.more
        self.latest.append((rate, self.sent))
        self.counts.append(1)
        self.sent, self.more, self.idle = 0.0, 0, max(0, self.idle - 1)
        if self.idle:
            return None
        fast = sorted(self.latest, reverse=True)[:_FASTEST]
        least, _ = fast[-1]
        slow = [asked for one, asked in self.latest if one <= _LESS * least]
        if len(slow) < _SLOWER or least < _LEAST:
            return None
        slower, faster = sum(slow) / len(slow), sum(asked for _, asked in fast) / len(fast)
        if min(slower, faster) < _FEW or not 1 / _AS_OFTEN <= slower / faster <= _AS_SELDOM:
            return None
        if (share := sum(self.counts) / sum(asked for _, asked in self.latest)) > _MOST:
            return None
        self.share, self.first, self.well = share, share, least
        self.latest.clear()
        self.counts.clear()
        self.asked, self.refused = 0.0, 0
        return least

    def forget(self) -> None:
        """It is no chance: the rate is learned as ever."""
        self.latest.clear()
        self.counts.clear()
        self.share, self.well, self.over = 0.0, 0.0, 0
