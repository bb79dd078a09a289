"""Sets of blocks as stretches do what sets of numbers do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from cryptolake.sources.onchain.stretches import Stretch, blocks_in, common, joined, without

SOME = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda one: (one[0], one[0] + one[1])), max_size=8
)


def numbers(some: Sequence[Stretch]) -> set[int]:
    return {number for start, end in some for number in range(start, end)}


def sound(some: Sequence[Stretch]) -> bool:
    return all(start < end for start, end in some) and all(a[1] <= b[0] for a, b in itertools.pairwise(some))


@given(SOME, SOME)
def test_stretches_are_sets(one: list[Stretch], other: list[Stretch]) -> None:
    a, b = joined(one), joined(other)
    assert numbers(a) == numbers(one)
    assert all(x[1] < y[0] for x, y in itertools.pairwise(a))
    assert numbers(common(a, b)) == numbers(one) & numbers(other)
    assert numbers(without(a, b)) == numbers(one) - numbers(other)
    assert all(map(sound, (a, common(a, b), without(a, b))))
    assert blocks_in(a) == len(numbers(one))
