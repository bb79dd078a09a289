"""How much of a property or a matrix the suite of every change tries: little; `make soak` tries all of it.

What does not belong here: hypothesis's profiles (tests/conftest.py).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import settings

USUAL = 60


def examples(many: int) -> int:
    """For a property that needs `many` where others have `USUAL`: as many as the profile that is loaded allows."""
    return max(3, many * settings.default.max_examples // USUAL)  # type: ignore[union-attr]


def representative(cases: Iterable[tuple[Any, ...]], *, of: int = 1, times: int = 1) -> list[Any]:
    """Every case, for `parametrize`; those that a few others stand for are marked as soak.

    What stays in the suite holds every combination that `of` parameters have among the cases (1: every value of each),
    at least `times` times where there are as many. Which cases that are is the same in every process.
    """
    every = [tuple(one) for one in cases]
    order = list(range(len(every)))
    random.Random(len(every)).shuffle(order)
    met: Counter[tuple[tuple[int, str], ...]] = Counter()
    kept = set()
    for number in order:
        found = list(combinations(enumerate(map(repr, every[number])), of))
        if any(met[one] < times for one in found):
            kept.add(number)
            met.update(found)
    return [pytest.param(*one, marks=() if number in kept else pytest.mark.soak) for number, one in enumerate(every)]
