"""How many examples a property is tried with: few in the suite of every change, many in `make soak`, by hypothesis's profile.

What does not belong here: the profiles themselves (tests/conftest.py).
"""

from __future__ import annotations

from hypothesis import settings

USUAL = 60


def examples(many: int) -> int:
    """For a property that needs `many` where others have `USUAL`: as many as the profile that is loaded allows."""
    return max(3, many * settings.default.max_examples // USUAL)  # type: ignore[union-attr]
