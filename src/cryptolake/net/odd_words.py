"""Errors that nobody knows, word by word: two operators that err in the same odd words are probably one behind two names.

What does not belong here: what known words mean (wordings, faults), and what is to be believed of whom (voices).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

from cryptolake.net.endpoint import Station
from cryptolake.net.voices import are_two, told_by

_SHORT = 5  # words; fewer are everybody's ("internal error", "header not found")
_NUMBERS = re.compile(r"0x[0-9a-f]+|[0-9]+")


def odd(message: str) -> str:
    """An unknown error's words without what changes from one to the next; "" where they are too few to tell anybody."""
    words = _NUMBERS.sub("#", message.casefold()).split()
    return " ".join(words) if len(words) >= _SHORT else ""


def failing_alike(stations: Iterable[Station]) -> list[tuple[str, str]]:
    """The pairs of voices that failed in the same odd words, by name."""
    pairs = {
        tuple(sorted((told_by(one.endpoint), told_by(other.endpoint))))
        for one, other in combinations(stations, 2)
        if one.odd & other.odd and are_two(told_by(one.endpoint), told_by(other.endpoint))
    }
    return sorted((first, second) for first, second in pairs)
