"""Who else can be asked: the endpoints of a pool besides some, as a pool of their own.

Another endpoint may have what one refuses. To confirm what one says takes another voice (voices). What does not belong here:
what is asked of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cryptolake.net.endpoint import Station
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import among, others


def another_endpoint(pool: Pool, names: Collection[str]) -> Pool | None:
    """The endpoints with other names; None where there is none."""
    return _only(pool, [one for one in pool.stations if one.endpoint.name not in names and one.stopped is None])


def another_voice(pool: Pool, names: Collection[str]) -> Pool | None:
    """The endpoints whose voices are none of those of the named endpoints; None where there is none.

    Those that only give second opinions where there is nobody else.
    """
    found = others(pool, names)
    return _only(pool, [one for one in found if not one.endpoint.besides] or found)


def _only(pool: Pool, stations: Sequence[Station]) -> Pool | None:
    return among(pool, stations) if stations else None
