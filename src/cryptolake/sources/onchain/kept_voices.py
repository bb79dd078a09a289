"""Whether those whom a kept answer names bear each other out, by what is known today of who passes questions on.

What does not belong here: whether endpoints do that are there now (net.voices), and what follows for a grade.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptolake.net.voices import are_two
from cryptolake.registry.providers import relays


def bear_out(one: str, other: str) -> bool:
    """Whether two that were kept so (`net.voices.told_by`) are two voices: neither asks nodes of which nobody knows whose."""
    return are_two(one, other) and not relays() & {one.strip().casefold(), other.strip().casefold()}


def all_borne(pairs: Iterable[Sequence[str]]) -> bool:
    """Whether each first of these pairs is borne out by the second, and there are any."""
    pairs = list(pairs)
    return bool(pairs) and all(bear_out(one, other) for one, other in pairs)
