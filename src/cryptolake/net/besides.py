"""Who else can be asked: the endpoints of a pool besides some, as a pool of their own.

Another endpoint may have what one refuses. To confirm what one says takes another voice (voices). What does not belong here:
what is asked of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy

from cryptolake.net.endpoint import Station
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import UNKNOWN, same_voice, voice


def others(pool: Pool, heard: Collection[str]) -> list[Station]:
    """The stations still asked whose voice is none of the endpoints named in `heard`, in the order they are preferred.

    Those that only give second opinions come last.
    """
    spoke = [one.endpoint for one in pool.everybody if one.endpoint.name in heard]
    return [
        one
        for one in pool.everybody
        if one.stopped is None
        and one.endpoint.name not in heard
        and not any(same_voice(one.endpoint, other) for other in spoke)
    ]


def why_none(pool: Pool, heard: Collection[str]) -> str:
    """Why nobody is left who could bear out the endpoints named in `heard`, in words."""
    out = [one.stopped for one in pool.besides if one.stopped is not None and one.endpoint.name not in heard]
    there = [one.endpoint for one in pool.everybody if one.stopped is None]
    unknown = [one.name for one in there if voice(one) == UNKNOWN and not one.operator]
    relays = [one.operator for one in there if voice(one) == UNKNOWN and one.operator]
    if not out and relays and not unknown and len(there) > 1:
        return (
            f"{' and '.join(dict.fromkeys(relays))} does not tell whose nodes answer there, which may be any other's: set an "
            "endpoint of another operator"
        )
    if not out and unknown and len(there) > 1:
        return (
            f"nobody says who runs {' and '.join(unknown)}, which may be any other's: write "
            f'`operator = "..."` under [endpoints.{unknown[0]}] in cryptolake.toml'
        )
    return "; ".join(out) or "no second operator is configured"


def among(pool: Pool, stations: Sequence[Station]) -> Pool:
    """The same pool, asking these stations alone: what they learn and how they fare is shared."""
    found = copy(pool)
    found.stations = list(stations)
    found.besides = [one for one in pool.besides if one not in found.stations]
    return found


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
