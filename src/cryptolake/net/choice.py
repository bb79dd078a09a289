"""Which endpoint is asked next, and how many questions are in flight: pure functions of what is known of the endpoints.

Questions that any endpoint answers whole go to who is soonest to answer. Log windows are as wide as the endpoint allows,
so they go where a budget yields blocks: an endpoint that adds less than a tenth of the best one's blocks a second would
make a run dearer and hardly faster; it is left for what it is good at. What does not belong here: asking (rpc).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import Stop
from cryptolake.net.endpoint import Station

LOGS = "eth_getLogs"
HELPS = 0.1  # of the best endpoint's blocks a second, from which on another one is asked for logs too
_LEAST_IN_FLIGHT, _MOST_IN_FLIGHT = 2, 128
_UNTRIED_IN_FLIGHT, _GUESSED_IN_FLIGHT = 8, 32  # at an endpoint whose limit nobody told: at first, and at most


def order(stations: Sequence[Station], method: str, block: int | None, now: float, *, calls: int = 1) -> list[Station]:
    """Endpoints to ask now for so many calls: well ones that reach the block, first who will be through with them soonest;
    else the others, soonest back.
    """
    kind = kept(method)
    usable = [
        one
        for one in stations
        if one.stopped is None and one.endpoint.answers(method) and one.learned.allows(kind, block)
    ]
    there = [one for one in usable if one.back_at <= now and not one.patience.over(method, now)]
    well = [one for one in there if one.learned.reaches(kind, block, now)]
    if well:
        # The listed order breaks ties, so that the user's own endpoint comes before public ones.
        waits = {
            id(one): one.limiter.backlog()
            + one.learned.latency_s
            + (min(calls, one.learned.batch.size) - 1) * one.endpoint.limits.cost(method) / one.limiter.rate
            for one in well
        }
        # One that has not answered yet and is being asked whether it is there is waited for by nobody else.
        return sorted(well, key=lambda one: (not one.chain_ok and one.lock.locked(), round(waits[id(one)], 1)))
    return sorted(usable, key=lambda one: (not one.learned.reaches(kind, block), one.back_at))


def worth_asking(stations: Sequence[Station], block: int | None, now: float = 0.0) -> list[Station]:
    """Endpoints that help with logs at `block`: those whose budget yields a fair share of the best one's blocks a second.

    One that fails again and again is worth half as much with every failure, so that others take over from it in the end. One
    that was proven to lie gives none while another one can; one that has not come to the blocks asked for counts again when it
    is asked again.
    """
    usable = believed(stations)
    heard = [one for one in usable if not one.patience.over(LOGS, now)] or usable
    there = [one for one in heard if not (one.lagging and one.back_at > now)]
    found = [one for one in there if one.learned.reaches(kept(LOGS), block, now)] or there or heard
    most = max((blocks_a_second(one) for one in found), default=0.0)
    return [one for one in found if blocks_a_second(one) >= HELPS * most]


def believed(stations: Sequence[Station]) -> list[Station]:
    """Endpoints that may be asked for logs: none that was proven to answer them wrongly, unless there is nobody else."""
    usable = [one for one in stations if one.stopped is None]
    return [one for one in usable if one.lied is None] or usable


def next_for_logs(stations: Sequence[Station], block: int, now: float) -> Station | None:
    """Who takes the next log window; None while all that are worth asking are busy finding their span. Raises Stop."""
    worth = worth_asking(stations, block, now)
    if not worth:
        raise Stop("no endpoint is left to ask")
    return next((one for one in order(worth, LOGS, block, now) if one.learned.may_ask()), None)


def blocks_a_second(station: Station) -> float:
    """How many blocks of logs an endpoint's budget yields a second."""
    left = station.limiter.rate / station.endpoint.limits.cost(LOGS)
    return station.learned.span * left * 0.5**station.failures


def in_flight(stations: Sequence[Station], method: str) -> int:
    """How many requests in flight the limits can feed: rate x latency, with room to spare (Little's law)."""
    usable = worth_asking(stations, None) if method == LOGS else [one for one in stations if one.stopped is None]
    return max(_LEAST_IN_FLIGHT, min(_MOST_IN_FLIGHT, int(sum(_fed(one, method) for one in usable)) + 1))


def _fed(station: Station, method: str) -> float:
    """What one endpoint takes; one whose limit is only guessed is tried with few at first, more as answers come."""
    wanted = 1.5 * station.limiter.rate / station.endpoint.limits.cost(method) * station.learned.latency_s
    most = min(_GUESSED_IN_FLIGHT, _UNTRIED_IN_FLIGHT + station.requests / 2)
    return wanted if station.endpoint.limits.told else min(wanted, most)


def fitting(station: Station, methods: Sequence[str]) -> int:
    """How many of these calls, from the first, one request may hold: what the endpoint's limit lets through at once."""
    cost = 0.0
    for number, method in enumerate(methods):
        cost += station.endpoint.limits.cost(method)
        if number and cost > station.limiter.at_once:
            return number
    return len(methods)


def kept(method: str) -> str:
    """What an endpoint must have kept to answer."""
    return "logs" if method == LOGS else "state"


def surely_missing(stations: Sequence[Station], kind: str, block: int | None) -> bool:
    """Whether nobody has what is kept of a block: one such refusal may have been a bad moment, another is asked for."""
    return all(one.learned.surely_missing(kind, block) for one in stations if one.stopped is None)
