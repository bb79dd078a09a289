"""Voices: which endpoints can bear each other out. One operator is one voice, however many keys and addresses it has.

An endpoint whose operator nobody knows is one voice with every other endpoint, known or not: it may be any of them behind an
address of its own. An endpoint that only passes questions on speaks with the voice of whose nodes answer. What does not
belong here: who of a pool is left to be asked (besides), and what is asked of a second voice (witness).
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptolake.net.endpoint import Endpoint

UNKNOWN = "unknown"


def voice(endpoint: Endpoint) -> str:
    """Whose voice an endpoint speaks with: its upstream's, else its operator's, else that of everybody unknown."""
    return (endpoint.upstream.strip() or endpoint.operator.strip() or UNKNOWN).casefold()


def told_by(endpoint: Endpoint) -> str:
    """Who an endpoint is, for what is kept longer than a list of endpoints: its voice, or which of the unknown ones it is.

    Names of endpoints tell places in a list, which change; an account's digest tells nobody its key.
    """
    known = voice(endpoint)
    return f"{UNKNOWN}:{endpoint.account or endpoint.name}" if known == UNKNOWN else known


def voice_told(told: str) -> str:
    """The voice of who was kept so; empty for an unknown one."""
    return "" if told.partition(":")[0] in ("", UNKNOWN) else told


def tells_apart(told: str) -> bool:
    """Whether what was kept says who it was; earlier versions said only that nobody knew."""
    return told not in ("", UNKNOWN)


def same_voice(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints may be one and the same node behind two addresses: neither bears the other out."""
    return bool(_names(one) & _names(other)) or UNKNOWN in (voice(one), voice(other))


def surely_one(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints are known to be of one operator, so that what is proven of one is of both."""
    return bool(_names(one) & _names(other))


def distinct(voices: Iterable[str]) -> int:
    """How many of these voices bear each other out: an unknown one counts where it is alone."""
    different = set(voices)
    return len(different - {UNKNOWN}) or len(different)


def _names(endpoint: Endpoint) -> set[str]:
    return {one.strip().casefold() for one in (endpoint.operator, endpoint.upstream) if one.strip()}
