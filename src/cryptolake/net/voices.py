"""Voices: which endpoints can bear each other out. One operator is one voice, however many keys and addresses it has.

Endpoints whose operator nobody knows are one voice together: each may be any other. An endpoint that only passes questions
on speaks with the voice of whose nodes answer. What does not belong here: who of a pool is left to be
asked (besides), and what is asked of a second voice (witness).
"""

from __future__ import annotations

from cryptolake.net.endpoint import Endpoint

UNKNOWN = "unknown"


def voice(endpoint: Endpoint) -> str:
    """Whose voice an endpoint speaks with: its upstream's, else its operator's, else that of everybody unknown."""
    return (endpoint.upstream.strip() or endpoint.operator.strip() or UNKNOWN).casefold()


def same_voice(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints may be one and the same node behind two addresses: neither bears the other out."""
    return bool(_names(one) & _names(other))


def _names(endpoint: Endpoint) -> set[str]:
    return {one.strip().casefold() for one in (endpoint.operator, endpoint.upstream) if one.strip()} or {UNKNOWN}
