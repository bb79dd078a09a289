"""A conversation with a vendor: ask, judge the answer, wait and ask again, give up. Knows no vendor's paths or fields.

Refusals are values with a stable reason, because the caller files them; no message holds a URL, a key or a body.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cryptolake.contracts.reading import read_json
from cryptolake.contracts.source import Asked
from cryptolake.errors import Narrow, Retry
from cryptolake.net.http import Answer, Http, TooSlow, retry_after
from cryptolake.net.limiter import Limiter
from cryptolake.waiting import pause

_LONGEST_WAIT_S = 120.0  # a longer Retry-After ends the conversation: better to fail now and say when to come back
_LONGEST_PAUSE_S = 60.0
_SLOW = 2  # how often the deadline is waited for
_SMALL = 4096  # bytes; errors inside good answers are small, so only small answers are searched for one
_NOTHING = frozenset({b"", b"undefined", b"null", b"[]", b"{}", b'""'})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none: why (stable code), in words, whether asking again may help, and after how long.

    `rate_limited` holds up everybody who shares the limiter. `body` is what came where that is evidence (`unreadable`).
    `of_key`: it is the key, or what it may do, that was refused.
    """

    reason: str
    message: str
    again: bool = False
    after_s: float | None = None
    body: bytes | None = None
    of_key: bool = False


Judge = Callable[[Answer], Refusal | None]
ENTITLEMENT = Refusal(
    "entitlement", "this endpoint needs a paid key (402); it is not asked again in this run", of_key=True
)

BLOCKED = Refusal(
    "blocked", "the vendor's firewall refused us (403); try later or from another network", of_key=True
)  # some say so of a wrong key

STRANGE = Refusal("schema_drift", "somebody answered, and not as this vendor does; check its address in the settings")


class Tally:
    """Counts requests and 429s of all threads of a source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._limited = 0

    def add(self, *, limited: bool) -> None:
        """Count one request."""
        with self._lock:
            self._requests += 1
            self._limited += limited

    @property
    def asked(self) -> Asked:
        """The counts so far."""
        with self._lock:
            return Asked(self._requests, self._limited)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a question is asked, and how long the first pause is: in seconds, doubled with each further attempt.

    `limited_pause_s` is that of a 429. `sleep` and `jitter` (0 to 1) are replaceable for tests.
    """

    attempts: int = 5
    pause_s: float = 0.5
    limited_pause_s: float = 0.5
    sleep: Callable[[float], None] = pause
    jitter: Callable[[], float] = random.random


def converse(
    http: Http,
    url: str,
    *,
    limiter: Limiter,
    tally: Tally,
    judge: Judge,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    patience: Patience,
    refused: Callable[[], Refusal | None] = lambda: None,
) -> bytes | Refusal:
    """Ask until there is a body worth keeping, a refusal that will not change, or the attempts are used up.

    `refused` is looked at before each attempt: another thread may have learned that there is no point. A body that is
    no JSON comes with its refusal when nothing better came (see `worth_keeping`). An answer that is not whole at the
    client's deadline is asked for once more and no oftener, whatever the patience: each attempt takes that long.
    """
    refusal, slow = Refusal("unreachable", "was not asked"), 0
    for attempt in range(1, patience.attempts + 1):
        if (known := refused()) is not None:
            return known
        sent_at = limiter.acquire()
        try:
            answer = http.get(url, params=params, headers=headers)
        except Retry as error:
            tally.add(limited=False)
            slow += isinstance(error, TooSlow)
            refusal = Refusal("too_slow" if slow == _SLOW else "unreachable", str(error), again=slow < _SLOW)
        except Narrow as error:
            tally.add(limited=False)
            return Refusal("too_big", str(error))
        else:
            tally.add(limited=answer.status == 429)
            judged = judge(answer)
            if judged is None:
                limiter.answered(sent_at)
                return answer.body
            refusal = replace(judged, body=answer.body) if judged.reason == "unreadable" else judged
        if not refusal.again or attempt == patience.attempts or (refusal.after_s or 0) > _LONGEST_WAIT_S:
            break
        _wait(refusal, attempt, limiter, sent_at, patience)
    return refusal


def worth_keeping(answer: bytes | Refusal) -> bytes | Refusal:
    """What to store of an answer: a body that nobody could read is still evidence; a refusal without one stays one."""
    return answer.body if isinstance(answer, Refusal) and answer.body is not None else answer


def _wait(refusal: Refusal, attempt: int, limiter: Limiter, sent_at: float, patience: Patience) -> None:
    """Back off: doubled each time, with jitter; a 429 holds up everybody who shares the limiter, not this thread only."""
    limited = refusal.reason == "rate_limited"
    first = patience.limited_pause_s if limited else patience.pause_s
    pause = min(_LONGEST_PAUSE_S, first * 2 ** (attempt - 1)) * (0.5 + patience.jitter())
    wait = max(pause, refusal.after_s or 0.0)
    if limited:
        limiter.refused(sent_at, wait)
    else:
        patience.sleep(wait)


def judge_plainly(answer: Answer) -> Refusal | None:
    """Why an answer is none; None for a good one. What all vendors have in common."""
    status = answer.status
    if status == 402:
        return ENTITLEMENT
    if status in {401, 410}:
        hint = "refuses the key; check it" if status == 401 else "has left this address; upgrade cryptolake"
        return Refusal("refused", f"the vendor {hint} ({status})", of_key=status == 401)
    if status == 403:
        return BLOCKED
    if status == 429:
        after_s = retry_after(answer.headers.get("retry-after"))
        wait = f" for {after_s:.0f} s" if after_s else ""
        return Refusal("rate_limited", f"too many requests (429); leave it alone{wait}, then run again", True, after_s)
    if status >= 500 or status == 408:
        after_s = retry_after(answer.headers.get("retry-after"))
        return Refusal("unreachable", f"the vendor is in trouble ({status}); run the same command later", True, after_s)
    if status != 200:
        return Refusal("refused", f"answered with status {status}; check the vendor's address in the settings")
    return judge_body(answer.body)


def judge_body(body: bytes) -> Refusal | None:
    """Why a body that came with status 200 is no answer: nothing in it, no JSON, or an error in disguise."""
    body = body.strip()
    if body in _NOTHING:
        return Refusal("empty_answer", "the answer is empty, so the vendor may have dropped this entity; check its id")
    if len(body) > _SMALL:  # reading it all is the parser's work; a cut or foreign body shows at its ends
        whole = (body[:1], body[-1:]) in {(b"{", b"}"), (b"[", b"]")}
        return None if whole else Refusal("unreadable", "the answer is no JSON", again=True)
    try:
        document = read_json(body)
    except ValueError:
        return Refusal("unreadable", "the answer is no JSON", again=True)
    if isinstance(document, dict) and (code := document.get("statusCode")) is not None:
        again = code in (429, 500, 502, 503)
        return Refusal("vendor_error", f"an error came inside a good answer (statusCode {code})", again)
    return None
