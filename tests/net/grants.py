"""When units were granted, as far as one can tell from outside on a busy machine, and whether that keeps to a rate."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cryptolake.net.limiter import Limiter

Bounds = tuple[float, float]  # of an instant, seconds on the monotonic clock


def bounds_of_a_grant(limiter: Limiter) -> Bounds:
    """Reserve one unit, without waiting for it; the earliest and latest instant that it may have been granted for."""
    before = time.monotonic()
    wait = limiter.reserve()
    return before + wait, time.monotonic() + wait


def assert_spaced(grants: Sequence[Bounds], rate: float) -> None:
    """The grants may lie 1 / rate apart. However late a process was woken, it fails only where they cannot."""
    first = min(earliest for earliest, _ in grants)
    for number, latest in enumerate(sorted(latest for _, latest in grants)):
        assert latest >= first + (number - 1) / rate - 1e-3, f"grant {number} of {len(grants)} comes too early"
