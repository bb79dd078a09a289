"""What a failure costs an endpoint: how long it is passed over, and how much more slowly it is asked.

What does not belong here: what a failure means (faults), and whether it is still waited for at all (patience).
"""

from __future__ import annotations

import random

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import error_of
from cryptolake.net.http import TooSlow

SIT_OUT_S = 15.0  # how long an endpoint that failed is passed over while others are well
_OVERDUE = 4  # times as long as a question took that was not answered in time
_LONGEST_WAIT_S = 60.0
_FIRST_WAIT_S, LATELY_S = 1.0, 10.0  # what is waited at most when asked too fast, while answers came this lately


def sit_out(station: Station, error: Retry, sent_at: float, at: float) -> None:
    """It failed: others are asked first for a while, the longer the more its failures cost.

    `sent_at` is when it was asked, on its limiter's clock; `at` is now, on the clock of `back_at`.
    """
    now = station.limiter.now()
    station.retries += 1
    if sent_at > station.failed_at:  # what was under way when it failed before says nothing new
        station.failures, station.failed_at = station.failures + 1, now
    wait = pause(min(station.failures, 8) - 1, error)
    least = SIT_OUT_S if error.after_s is None else 0.0
    if error_of(error, TooSlow):
        station.chain_ok = False  # silent: when it is asked next, one asks for all whether it is there
        least = max(least, _OVERDUE * (now - sent_at))
    station.back_at = at + max(wait, least)


def slow_down(station: Station, error: Retry, sent_at: float) -> None:
    """The endpoint was asked too fast; its limiter makes everybody wait who shares it.

    The pause it asks for is kept, but not for the first refusal after answers: some ask for far more than they need.
    """
    station.retries += 1
    now = station.limiter.now()
    if sent_at > station.slowed_at:
        station.slowed_at, station.held = now, station.held + 1
    first = station.held == 1 and now - station.answered_at < LATELY_S
    most = _FIRST_WAIT_S if first else _LONGEST_WAIT_S
    station.limiter.refused(sent_at, None if error.after_s is None else min(most, error.after_s))


def pause(attempt: int, last: CryptolakeError) -> float:
    """Exponential back-off with jitter in seconds, at least what the other side asked for, capped at a minute."""
    asked = last.after_s if isinstance(last, Retry) and last.after_s is not None else 0.0
    backoff = random.uniform(0.1, 0.5) * float(2**attempt)  # noqa: S311  # jitter, not a secret
    return min(_LONGEST_WAIT_S, max(asked, backoff))
