"""`LimiterState`: all that a limiter knows, and its bytes in a file. What does not belong here: deciding anything with it."""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass

from cryptolake.net.granted import Granted
from cryptolake.net.speed import Speed

_MARK = b"CLL3"
_HEAD = struct.Struct("<4sHHdddddi")  # mark, numbers in `second` and `minute`, then as in `packed`
_SPEED = struct.Struct("<dd?" + "d" * 19 + "i?")
_FORMER = struct.Struct("<dddi")  # when it was written, full_at, used, month


@dataclass(slots=True)
class LimiterState:
    """Times are seconds on the monotonic clock, `learned_at` seconds since 1970, `month` year x 12 + month (UTC)."""

    speed: Speed
    second: Granted
    minute: Granted
    full_at: float = float("-inf")  # when everything granted so far will have been earned
    trial_s: float = 0.0  # how long the first request after a complaint goes alone
    learned_at: float = 0.0
    used: float = 0.0  # units granted in `month`
    month: int = 0


def packed(state: LimiterState, now: float) -> bytes:
    """The bytes to be stored at `now`."""
    second, minute = list(state.second), list(state.minute)
    head = _HEAD.pack(
        _MARK, len(second), len(minute), now, state.full_at, state.trial_s, state.learned_at, state.used, state.month
    )
    numbers = struct.pack(f"<{len(second) + len(minute)}d", *second, *minute)
    return head + _SPEED.pack(*astuple(state.speed)) + numbers


def unpacked(stored: bytes, fresh: LimiterState, now: float) -> LimiterState:
    """`fresh` with what was stored; bytes cut short or foreign are nothing. What was written after `now` is from before
    a reboot: its times are nothing.
    """
    if len(stored) == _FORMER.size:
        _, _, fresh.used, fresh.month = _FORMER.unpack(stored)
        return fresh
    start = _HEAD.size + _SPEED.size
    if len(stored) < start or not stored.startswith(_MARK):
        return fresh
    _, seconds, minutes, written, full_at, trial_s, learned_at, used, month = _HEAD.unpack_from(stored)
    fresh.learned_at, fresh.used, fresh.month = learned_at, used, month
    fresh.speed = Speed(*_SPEED.unpack_from(stored, _HEAD.size))
    if written > now or len(stored) < start + 8 * (seconds + minutes):
        fresh.speed.after_reboot()
        return fresh
    numbers = struct.unpack_from(f"<{seconds + minutes}d", stored, start)
    fresh.second.restore(numbers[:seconds])
    fresh.minute.restore(numbers[seconds:])
    fresh.full_at, fresh.trial_s = full_at, trial_s
    return fresh
