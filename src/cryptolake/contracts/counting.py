"""`counted`: a number with its noun, in the singular where it is one.

Whoever tells how many there are says it by this function. What does not belong here: numbers with a unit (`1.0 s`).
"""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`1 market`, `2 markets`; `many` where an s is not enough, or a verb belongs to it (`row is`, `rows are`)."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
