"""A day and its hours are the same blocks: what is doubted of one is of the other, and where they differ both say so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.flow.scripted import Answer, Scripted, day

from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import Partition, hours
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Stands
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.state.ledger import Ledger

DAY = day(1)
HOURS = [Partition("tvl", "a", one) for one in hours(DAY.period.day, DAY.period.day)]
EVENTS = day(1, dataset="liquidations")
OF_EVENTS = [Partition("liquidations", "a", one.period) for one in HOURS]


def answer(partition: Partition, said: Mapping[str, int], grade: Grade = "one_voice") -> Raw:
    """What it says of instants (hours by number)."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return Raw(partition, "onchain", now, now, orjson.dumps({"of": str(partition), "grade": grade, "said": said}))


class Blocks(Scripted):
    """Answers are compared where both say something of an instant."""

    def grade(self, raw: Raw) -> Grade:
        found: Grade = orjson.loads(raw.payload)["grade"]
        return found

    def compare(self, new: Raw, kept: Raw) -> Stands:
        ours, theirs = (orjson.loads(one.payload)["said"] for one in (new, kept))
        apart = any(ours[one] != theirs[one] for one in ours.keys() & theirs.keys())
        if not apart:
            return Stands(at_least(self.grade(new), self.grade(kept)), why="it is proven less far")
        if self.decides(new) != self.decides(kept):
            return Stands(self.decides(new), why="what two operators bear out is kept", apart=True)
        return Stands(False, "somebody says otherwise", "somebody says otherwise", apart=True)

    def decides(self, raw: Raw) -> bool:
        return at_least(self.grade(raw), "two_voices")


class Run:
    def __init__(self, folder: Path) -> None:
        self.bronze, self.ledger = Bronze(folder), Ledger(folder / "ledger.sqlite")

    def collect(self, *told: Answer) -> None:
        script = {one.partition: [one] for one in told if isinstance(one, Raw | Miss)}
        collect(Blocks(script), script, bronze=self.bronze, ledger=self.ledger, workers=1, attempts=1)

    def suspect(self, *partitions: Partition) -> list[bool]:
        return [self.ledger.of([one])[one].reason == "suspect" for one in partitions]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_dispute_about_a_day_holds_for_its_last_hour_and_the_other_way_round(run: Run) -> None:
    run.collect(Miss(DAY, "failed", "rpc", "two say different things", disputed=True))
    run.collect(*(answer(one, {str(number): 7}) for number, one in enumerate(HOURS)))
    assert run.suspect(*HOURS) == [False] * 23 + [True], "the day's state is its last hour's"
    run.collect(answer(HOURS[-1], {"23": 8}, "two_voices"))
    assert run.suspect(HOURS[-1]) == [False]
    other = Run(run.bronze.raw_path(DAY, "onchain").parent)
    other.collect(Miss(HOURS[-1], "failed", "rpc", "two say different things", disputed=True))
    other.collect(answer(DAY, {"23": 7}))
    assert other.suspect(DAY) == [True]


@pytest.mark.parametrize("first", ["day", "hours"])
def test_a_day_and_its_hours_that_differ_are_suspect_whichever_comes_first(run: Run, first: str) -> None:
    of_day = [answer(EVENTS, {str(one): 1 for one in range(24)})]
    of_hours = [answer(one, {str(number): 1 + (number == 9)}) for number, one in enumerate(OF_EVENTS)]
    for one in (of_day, of_hours) if first == "day" else (of_hours, of_day):
        run.collect(*one)
    assert run.suspect(EVENTS, *OF_EVENTS) == [True, *(number == 9 for number in range(24))]
    run.collect(
        answer(OF_EVENTS[9], {"9": 1}, "two_voices"), answer(EVENTS, {str(one): 1 for one in range(24)}, "two_voices")
    )
    assert not any(run.suspect(EVENTS, *OF_EVENTS))


def test_what_is_proven_stands_and_only_what_contradicts_it_is_suspect(run: Run) -> None:
    run.collect(answer(DAY, {"23": 1}, "two_voices"))
    run.collect(answer(HOURS[-1], {"23": 2}))
    assert run.suspect(DAY, HOURS[-1]) == [False, True]


def test_a_day_and_its_hours_that_say_the_same_are_sound_however_far_each_is_proven(run: Run) -> None:
    run.collect(answer(DAY, {"23": 1}, "two_voices"), answer(HOURS[-1], {"23": 1}))
    run.collect(answer(HOURS[3], {"3": 5}))
    assert not any(run.suspect(DAY, HOURS[-1], HOURS[3]))
