"""What an answer or a failure changes at the endpoint that gave it: its rate, its pause, how long it is waited for.

What does not belong here: asking (rpc), what an error's words mean (faults), and how long a pause is (pauses).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.endpoint import Station
from cryptolake.net.envelope import Json, Reply
from cryptolake.net.faults import Doubtful, Overdue, TooFast, Unsaid, error_of
from cryptolake.net.http import TooSlow
from cryptolake.net.pauses import LATELY_S, sit_out, slow_down
from cryptolake.net.questions import Question, blocks_of, divisible, filters_of, parts_of, several
from cryptolake.net.rate_trial import Means


def answered(station: Station, method: str, answers: Sequence[Json | Reply], sent_at: float) -> None:
    """It answered some of what it was asked at `sent_at` (its limiter's clock): it is well, and may be asked faster."""
    station.back_at, station.failures, station.lagging = 0.0, 0, False
    station.strikes = station.held = 0
    station.patience.answered(method)
    station.answered_at = station.limiter.now()
    slower = next((one for one in answers if isinstance(one, TooFast)), None)
    if slower is not None:
        slow_down(station, slower, sent_at)
    else:
        station.limiter.answered(sent_at)
        station.rate_trial.answered()
        _adapt(station)


def failed(
    station: Station,
    calls: Sequence[Question],
    error: Retry,
    *,
    sent_at: float,
    asked_at: float,
    now: float,
    greeted: bool,
) -> CryptolakeError:
    """It answered none of it: what is to be raised. `sent_at` is on its limiter's clock, `asked_at` and `now` on the pool's.

    `greeted` says whether it told which chain it is on, or was not asked that.
    """
    method = calls[0][0]
    station.miss(error)
    if isinstance(error, TooFast):
        station.patience.waited(method, asked_at, now, refused=True)
        slow_down(station, error, sent_at)
        return error
    means = _meaning(station, calls, error)
    if means is None and isinstance(error, Doubtful) and error.spoken and divisible(calls):
        return error  # it is alive and may only have been asked too much
    if means in {"trial", "rate"} or (means is not None and not station.hurried):
        station.patience.waited(method, asked_at, now, refused=means != "trouble")
        if means == "rate":
            slow_down(station, error, sent_at)
        return Unsaid(error, of_rate=means != "trouble")
    big = greeted and several(calls)
    station.patience.waited(method if greeted else "", asked_at, now, refused=error_of(error, TooFast), divisible=big)
    if isinstance(error, Doubtful) and isinstance(error.otherwise, TooFast):
        slow_down(station, error.otherwise, sent_at)
        return error.otherwise
    sit_out(station, error, sent_at, now)
    return error.otherwise if means is not None and isinstance(error, Doubtful) else error


def _meaning(station: Station, calls: Sequence[Question], error: CryptolakeError) -> Means | None:
    """What a failure that gives no reason means, where as much was taken before and answers come; else None.

    What took too long, or came for more than was ever taken, has reasons of its own.
    """
    if not isinstance(error, Doubtful) or isinstance(error.otherwise, TooSlow | Overdue):
        return None
    if station.limiter.now() - station.answered_at >= LATELY_S or not _took(station, calls):
        return None
    means = station.rate_trial.refused(station.limiter.rate)
    _adapt(station)
    return means


def _adapt(station: Station) -> None:
    """Ask at another rate where it is to be found out whether refusals come from it, or that was found out."""
    limiter, trial = station.limiter, station.rate_trial
    if trial.due and (rate := trial.rate(limiter.now(), limiter.rate, limiter.sent())) is not None:
        limiter.go_on_at(rate)


def _took(station: Station, calls: Sequence[Question]) -> bool:
    """Whether as large a question was answered before: size is no reason to refuse this one."""
    blocks, parts = blocks_of(calls[0]) if len(calls) == 1 else 0, max(map(parts_of, calls))
    if parts > 1 and not station.learned.together.took(parts):
        return False
    addresses, topics = filters_of(calls[0])
    if not (station.learned.addresses.took(addresses) and station.learned.topics.took(topics)) and blocks:
        return False
    return station.learned.blocks.took(blocks) if blocks else station.learned.batch.took(len(calls))
