"""The ordered states and grades: the worst wins, nothing that is not known passes for good."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import get_args

import pytest

from cryptolake.contracts import entry
from cryptolake.contracts.grades import GRADE_DOCS, GRADES, at_least, grade_of, weakest
from cryptolake.contracts.states import STATE_DOCS, STATES, state_of, worst


def test_the_worst_state_wins_whatever_the_order() -> None:
    for some in permutations(STATES, 3):
        assert worst(some) == min(some, key=STATES.index)
    assert worst([]) == "not_asked"


def test_every_state_and_grade_is_explained() -> None:
    assert tuple(STATE_DOCS) == STATES
    assert tuple(GRADE_DOCS) == GRADES


@pytest.mark.parametrize("reason", [None, "suspect", "not_deployed", "not_yet", "rpc", "made_up"])
def test_only_an_undoubted_answer_is_ok(reason: str | None) -> None:
    for progress in (None, "made_up", *get_args(entry.State)):
        answered = progress in {"done", "empty"} and reason != "suspect"
        assert (state_of(progress, reason) == "ok") == answered


def test_words_of_the_ledger() -> None:
    assert state_of(None) == "not_asked"
    assert state_of("landed") == state_of("claimed") == state_of("failed", "not_yet") == "pending"
    assert state_of("gone", "not_deployed") == "not_deployed"
    assert state_of("gone", "no_archive") == state_of("failed", "not_deployed") == "failed"
    assert state_of("empty", "suspect") == state_of("done", "suspect") == "suspect"


def test_grades_are_ordered_and_never_claimed() -> None:
    for place, grade in enumerate(GRADES):
        assert [at_least(grade, other) for other in GRADES] == [number <= place for number in range(len(GRADES))]
        assert weakest([grade, *GRADES]) == "one_voice"
        assert grade_of(grade) == grade
    assert weakest(["two_voices", "receipts_root"]) == "two_voices"
    assert weakest([]) == grade_of(None) == grade_of("certain") == "one_voice"


def test_the_glossary_explains_every_state_and_grade() -> None:
    glossary = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")
    assert [word for word in (*STATES, *GRADES) if f"`{word}`: " not in glossary] == []
