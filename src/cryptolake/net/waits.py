"""Whether an endpoint is waited for, by what the others of its chain can do meanwhile: pure functions of what is known of them.

What does not belong here: how long one is waited for (patience), and who is asked next (choice).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.net.endpoint import Station

SILENT_S = 3.0  # without any answer, from which on nobody waits behind those who wait for this chain


def answers_besides(everybody: Sequence[Station], station: Station, method: str, now: float) -> bool:
    """Whether somebody else of the chain can be waited for instead of this endpoint."""
    return any(
        one.stopped is None
        and one.endpoint.answers(method)
        and one.endpoint.besides <= station.endpoint.besides
        and not one.patience.over(method, now)
        for one in everybody
        if one is not station
    )


def any_awaited(stations: Sequence[Station], everybody: Sequence[Station], method: str, now: float) -> bool:
    """Whether one of these is waited for: it was not found not to answer, or is asked for want of others all the same."""
    return any(
        one.stopped is None
        and not (
            one.patience.over(method, now)
            and (one.patience.given_up(method) or answers_besides(everybody, one, method, now))
        )
        for one in stations
    )


def all_silent(stations: Sequence[Station], now: float) -> bool:
    """Whether none of these has answered anything for some seconds, though all of them are asked."""
    there = [one for one in stations if one.stopped is None]
    return bool(there) and all(one.patience.silent_s(now) > SILENT_S for one in there)
