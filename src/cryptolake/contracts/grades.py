"""Grades of evidence: how far it is proven that an answer lacks nothing and invents nothing. The words of every layer.

A certificate earns a grade by what was really asked and compared; nobody may claim one. What does not belong here: how the
evidence is gathered (net, sources) and what an answer is worth as a number (states).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

Grade = Literal["unproven", "one_voice", "two_voices_sampled", "two_voices", "receipts_root"]

UNPROVEN: Final = "unproven"
"""Less than any grade: nobody was asked, somebody's file says so. It is asked again, and until then its state is no `ok`."""

EVIDENCE: Final[tuple[Grade, ...]] = get_args(Grade)
"""Everything that may be said of an answer's proof, the weakest first."""

GRADES: Final[tuple[Grade, ...]] = EVIDENCE[1:]
"""Every grade that asking earns, the weakest first."""

UNPROVEN_DOC: Final = "nobody was asked: it is taken over from a file that somebody kept, and is asked again"

GRADE_DOCS: Final[dict[Grade, str]] = {
    "one_voice": "one operator was asked: what it left out or made up stays unseen",
    "two_voices_sampled": "a sample of the questions was asked at a second operator too; the certificate states with which "
    "probability one dropped log is noticed",
    "two_voices": "every question was asked at two operators and they agree, or their differences were settled by block hash; "
    "what both leave out stays unseen",
    "receipts_root": "the receipts were rebuilt to the receipts root of headers that two operators agree on: no log can be "
    "left out; what was read of contracts for it is borne out by two operators",
}


def at_least(grade: Grade, wanted: Grade) -> bool:
    """Whether `grade` is as strong as `wanted`, or stronger."""
    return EVIDENCE.index(grade) >= EVIDENCE.index(wanted)


def is_borne_out(grade: Grade) -> bool:
    """Whether anybody else says the same."""
    return at_least(grade, "two_voices_sampled")


def weakest(grades: Iterable[Grade]) -> Grade:
    """The weakest of some grades: what may be said of all together. `one_voice` when there is none, the least there is."""
    return min(grades, key=EVIDENCE.index, default="one_voice")


def grade_of(text: str | None) -> Grade:
    """The grade that a stored text names; `one_voice` for none or an unknown word: what is not proven is not claimed."""
    return next((one for one in EVIDENCE if one == text), "one_voice")
