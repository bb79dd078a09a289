"""`Conversation`: one vendor host asked with patience: limited, judged, asked again where that helps. Knows no vendor.

What does not belong here: what an answer means (the source's `judge`) and where it is kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptolake.errors import Retry
from cryptolake.net.http import Answer, Http
from cryptolake.net.limiter import Limiter

_LONGEST_PAUSE_S = 60.0
_LONGEST_WAIT_S = 120.0  # a longer Retry-After ends the conversation: better to fail now and say when to come back


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none: why (stable code), in words, and whether asking again may help (and after how long).

    `body` is kept where it is evidence (an unreadable answer). `limited` pauses every thread that shares the limiter.
    """

    reason: str
    message: str
    again: bool = False
    after_s: float | None = None
    limited: bool = False
    body: bytes | None = None


Judge = Callable[[Answer], Refusal | None]


class Conversation:
    """Asks one host. `attempts` bounds one question; pauses double from `pause_s`, after a 429 from `limited_pause_s`.

    Thread-safe: all threads share the limiter. `sleep` and `jitter` (0 to 1) are replaceable for tests.
    """

    def __init__(
        self,
        http: Http,
        limiter: Limiter,
        judge: Judge,
        *,
        attempts: int = 5,
        pause_s: float = 0.5,
        limited_pause_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._http, self._limiter, self._judge, self._attempts = http, limiter, judge, attempts
        self._pause_s, self._limited_pause_s, self._sleep, self._jitter = pause_s, limited_pause_s, sleep, jitter

    def ask(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer | Refusal:
        """Ask until there is an answer, a refusal that will not change, or the attempts are used up."""
        refusal = Refusal("unreachable", "was not asked")
        for attempt in range(1, self._attempts + 1):
            self._limiter.acquire()
            try:
                answer = self._http.get(url, params=params, headers=headers)
            except Retry as error:
                refusal = Refusal("unreachable", str(error), again=True)
            else:
                judged = self._judge(answer)
                if judged is None:
                    return answer
                refusal = judged
            if not refusal.again or attempt == self._attempts or (refusal.after_s or 0) > _LONGEST_WAIT_S:
                break
            self._wait(refusal, attempt)
        return refusal

    def _wait(self, refusal: Refusal, attempt: int) -> None:
        first = self._limited_pause_s if refusal.limited else self._pause_s
        pause = min(_LONGEST_PAUSE_S, first * 2 ** (attempt - 1)) * (0.5 + self._jitter())
        if refusal.limited:
            self._limiter.push_back(max(pause, refusal.after_s or 0.0))
        else:
            self._sleep(max(pause, refusal.after_s or 0.0))
