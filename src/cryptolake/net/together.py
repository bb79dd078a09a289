"""How many calls of contracts one eth_call may hold at the endpoints of a pool: asked of what they have taught, and taught.

A limit of its own: calls, whatever it is that is refused (call data, gas, time or the answer's bytes), for calls of contracts
are much alike in all of them. What does not belong here: making the aggregates (multicall).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import CryptolakeError
from cryptolake.net.endpoint import Station
from cryptolake.net.rpc import Pool


def most_together(pool: object, block: int, most: int) -> int:
    """How many calls to put together for whoever is asked next; `most` where nobody has taught anything."""
    if not isinstance(pool, Pool):
        return most
    try:
        return min(most, pool.pick("eth_call", block).learned.together.size)
    except CryptolakeError:
        return most  # whoever is asked says so


def answered(pool: object, sizes: Sequence[int]) -> None:
    """The latest aggregates, of so many calls, were answered."""
    for station in _stations(pool):
        if sizes and station.endpoint.name in getattr(pool, "last_givers", ()):
            station.learned.together.answered(max(sizes))


def refused(pool: object, sizes: Sequence[int]) -> None:
    """The latest aggregates, of so many calls, were refused by everybody, for whatever reason."""
    for station in _stations(pool):
        if sizes and station.stopped is None:
            station.learned.together.doubted(min(sizes), spoken=True)


def _stations(pool: object) -> Sequence[Station]:
    return pool.stations if isinstance(pool, Pool) else ()
