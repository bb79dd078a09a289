"""Voices: which endpoints can bear each other out. One operator is one voice, however many keys and addresses it has.

Endpoints whose operator nobody knows are one voice together: each may be any other. An endpoint that only passes questions
on speaks with the voice of whose nodes answer. What does not belong here: what is asked of a second voice (witness).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from typing import TYPE_CHECKING

from cryptolake.net.endpoint import Endpoint, Station

if TYPE_CHECKING:
    from cryptolake.net.rpc import Pool

UNKNOWN = "unknown"


def voice(endpoint: Endpoint) -> str:
    """Whose voice an endpoint speaks with: its upstream's, else its operator's, else that of everybody unknown."""
    return endpoint.upstream or endpoint.operator or UNKNOWN


def same_voice(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints may be one and the same node behind two addresses: neither bears the other out."""
    return bool(_names(one) & _names(other))


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
    return "; ".join(out) or "no second operator is configured"


def among(pool: Pool, stations: Sequence[Station]) -> Pool:
    """The same pool, asking these stations alone: what they learn and how they fare is shared."""
    found = copy(pool)
    found.stations = list(stations)
    found.besides = [one for one in pool.besides if one not in found.stations]
    return found


def _names(endpoint: Endpoint) -> set[str]:
    return {one for one in (endpoint.operator, endpoint.upstream) if one} or {UNKNOWN}
