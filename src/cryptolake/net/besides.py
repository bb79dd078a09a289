"""Who else can be asked: the endpoints of a pool besides some, as a pool of their own.

Another endpoint may have what one refuses. To confirm what one says takes another voice: an endpoint of another operator,
where all whose operator nobody knows count as one. What does not belong here: what is asked of them.
"""

from __future__ import annotations

from collections.abc import Collection

from cryptolake.net.endpoint import Endpoint
from cryptolake.net.rpc import Pool

_UNKNOWN = frozenset({"", "own", "other_public"})  # plans that are nobody's in particular


def another_endpoint(pool: Pool, names: Collection[str]) -> Pool | None:
    """The endpoints with other names; None where there is none."""
    return _only(pool, {one.endpoint.name for one in pool.stations} - set(names))


def another_voice(pool: Pool, names: Collection[str]) -> Pool | None:
    """The endpoints whose operators are none of those of the named endpoints; None where there is none."""
    heard = {operator_of(one.endpoint) for one in pool.stations if one.endpoint.name in names}
    return _only(pool, {one.endpoint.name for one in pool.stations if operator_of(one.endpoint) not in heard})


def operator_of(endpoint: Endpoint) -> str:
    """Who runs the endpoint; empty where nobody knows, which is one voice however many endpoints there are."""
    told = str(getattr(endpoint, "operator", "") or endpoint.provider)
    return "" if told in _UNKNOWN else told


def _only(pool: Pool, names: Collection[str]) -> Pool | None:
    found = [one for one in pool.stations if one.endpoint.name in names and one.stopped is None]
    return pool.only(found) if found else None
