"""Sets of blocks as sorted stretches `(first, end)` that do not touch, the end left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Stretch = tuple[int, int]


def joined(some: Iterable[Stretch]) -> list[Stretch]:
    """The blocks of all of them."""
    found: list[Stretch] = []
    for start, end in sorted(one for one in some if one[0] < one[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def common(one: Sequence[Stretch], other: Sequence[Stretch]) -> list[Stretch]:
    """The blocks that are in both."""
    found: list[Stretch] = []
    a = b = 0
    while a < len(one) and b < len(other):
        start, end = max(one[a][0], other[b][0]), min(one[a][1], other[b][1])
        if start < end:
            found.append((start, end))
        a, b = (a + 1, b) if one[a][1] < other[b][1] else (a, b + 1)
    return found


def without(some: Sequence[Stretch], others: Sequence[Stretch]) -> list[Stretch]:
    """The blocks of the first that are not in the second."""
    found: list[Stretch] = []
    at = 0
    for start, end in some:
        while at < len(others) and others[at][1] <= start:
            at += 1
        here = at
        while here < len(others) and others[here][0] < end:
            if start < others[here][0]:
                found.append((start, others[here][0]))
            start = max(start, others[here][1])
            here += 1
        if start < end:
            found.append((start, end))
    return found


def blocks_in(some: Iterable[Stretch]) -> int:
    """How many blocks there are."""
    return sum(end - start for start, end in some)
