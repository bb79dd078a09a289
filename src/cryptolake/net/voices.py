"""Voices: which endpoints can bear each other out. One operator is one voice, however many keys and addresses it has.

An endpoint whose operator nobody knows is one voice with every other endpoint, known or not: it may be any of them behind an
address of its own. An endpoint that only passes questions on speaks with the voice of whose nodes answer; where that is not
told, it is as unknown as they are. One account is one voice, whatever is said of it. What does not
belong here: who of a pool is left to be asked (besides), and what is asked of a second voice (witness).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from cryptolake.contracts.grades import Grade
from cryptolake.net.endpoint import Endpoint

Spoken = TypeVar("Spoken")
UNKNOWN = "unknown"
BY_ONE, BY_TWO = "as one operator says", "as two operators say"
"""In the words of an absence: who said it. By one: another operator was asked, and did not answer or says otherwise."""
_VIA = " via "  # between whose nodes answer and who passes questions on to them


def voice(endpoint: Endpoint) -> str:
    """Whose voice an endpoint speaks with: its upstream's, else its operator's, else that of everybody unknown."""
    return (endpoint.upstream.strip() or endpoint.operator.strip() or UNKNOWN).casefold()


def told_by(endpoint: Endpoint) -> str:
    """Who an endpoint is, for what is kept longer than a list of endpoints: its voice, or which of the unknown ones it is.

    One that only passes questions on is kept as both, for it shares the voice of either. Names of endpoints tell places in a
    list, which change; an account's digest tells nobody its key.
    """
    known = voice(endpoint)
    if known == UNKNOWN:
        return f"{UNKNOWN}:{endpoint.account or endpoint.name}"
    return _VIA.join([known, *sorted(_names(endpoint) - {known})])


def voice_told(told: str) -> str:
    """The voice of who was kept so; empty for an unknown one."""
    return "" if told.partition(":")[0] in ("", UNKNOWN) else told


def tells_apart(told: str) -> bool:
    """Whether what was kept says who it was; earlier versions said only that nobody knew."""
    return told not in ("", UNKNOWN)


def are_two(one: str, other: str) -> bool:
    """Whether two that were kept so (`told_by`) bear each other out: both are known, and share no name."""
    ours, theirs = _names_told(one), _names_told(other)
    return bool(ours and theirs) and not ours & theirs


def surely_one_told(one: str, other: str) -> bool:
    """Whether two that were kept so are known to be of one operator, or are the same unknown one."""
    return one == other or bool(_names_told(one) & _names_told(other))


def same_voice(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints may be one and the same node behind two addresses: neither bears the other out."""
    return surely_one(one, other) or UNKNOWN in (voice(one), voice(other))


def surely_one(one: Endpoint, other: Endpoint) -> bool:
    """Whether two endpoints are known to be of one operator, so that what is proven of one is of both."""
    return bool(_names(one) & _names(other)) or (bool(one.account) and one.account == other.account)


def by_voice(some: Iterable[Spoken], endpoint: Callable[[Spoken], Endpoint]) -> list[list[Spoken]]:
    """Those that speak through endpoints, by voice: none of a group bears out the one that it begins with.

    They keep their order, but for those that may be anybody: they come last, for no other would have a group of its own.
    """
    found: list[list[Spoken]] = []
    for one in sorted(some, key=lambda one: voice(endpoint(one)) == UNKNOWN):
        same = next((group for group in found if same_voice(endpoint(one), endpoint(group[0]))), None)
        if same is None:
            found.append([one])
        else:
            same.append(one)
    return found


def grade_of_absence(words: str) -> Grade:
    """How far an absence is proven, by its words: two operators are the most there is."""
    return "two_voices" if BY_TWO in words and BY_ONE not in words else "one_voice"


def distinct(voices: Iterable[str]) -> int:
    """How many of these voices bear each other out: an unknown one counts where it is alone."""
    different = set(voices)
    return len(different - {UNKNOWN}) or len(different)


def _names(endpoint: Endpoint) -> set[str]:
    said = (endpoint.operator, endpoint.upstream, endpoint.called)
    return {one.strip().casefold() for one in said if one.strip()} - {UNKNOWN}


@lru_cache(maxsize=1024)
def _names_told(told: str) -> frozenset[str]:
    known = voice_told(told.strip().casefold())
    return frozenset(one.strip() for one in known.split(_VIA) if one.strip())
