"""Which answers stand for a market's day: its own, or its hours' where they make a whole day; never a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.entry import SUSPECT, Entry, State
from cryptolake.contracts.grades import EVIDENCE, Grade
from cryptolake.contracts.partition import Partition, Period, hours
from cryptolake.work.standing import ANSWERED, Standing, market_day, standing

AT = datetime(2025, 1, 1, tzinfo=UTC)
DAY = date(2024, 12, 5)
STATES: tuple[State, ...] = ("claimed", "landed", "done", "empty", "failed", "gone")


def entry(period: Period, state: State, dataset: str = "liquidations", reason: str | None = None) -> Entry:
    rows = {"done": 2, "empty": 0}.get(state)
    return Entry(Partition(dataset, "a", period), state, AT, rows=rows, digest=f"{period}", reason=reason)


def of(entries: Sequence[Entry]) -> Standing:
    (found,) = standing({one.partition: one for one in entries}).values()
    return found


def a_day_of(states: Sequence[State | None], dataset: str = "liquidations") -> Standing:
    pairs = zip(hours(DAY, DAY), states, strict=True)
    return of([entry(period, state, dataset, "not_deployed") for period, state in pairs if state is not None])


def test_one_failed_hour_is_a_failed_day_and_never_a_sum_of_the_others() -> None:
    every: list[State | None] = ["done"] * 24
    assert (a_day_of(every).state, a_day_of(every).rows) == ("done", 48)
    for state, says in (("failed", "failed"), ("landed", "landed"), (None, "pending")):
        for place in (0, 11, 23):
            states = list(every)
            states[place] = state  # type: ignore[assignment]
            found = a_day_of(states)
            assert (found.state, found.entries) == (says, ())


def test_a_state_at_the_end_of_a_day_is_that_of_its_last_hour() -> None:
    found = a_day_of([None] * 23 + ["done"], "tvl")
    assert (found.state, [str(one.partition.period) for one in found.entries]) == ("done", ["2024-12-05T23"])
    assert a_day_of(["done"] * 23 + [None], "tvl").state == "pending"
    assert a_day_of(["done"] * 23 + ["failed"], "tvl").state == "failed"


def test_hours_before_the_deployment_count_and_hours_that_can_never_be_answered_do_not() -> None:
    born = [entry(one, "gone", reason="not_deployed") for one in list(hours(DAY, DAY))[:5]]
    rest = [entry(one, "empty") for one in list(hours(DAY, DAY))[5:]]
    assert (of([*born, *rest]).state, len(of([*born, *rest]).entries)) == ("empty", 19)
    lost = [entry(one.partition.period, "gone", reason="no_archive") for one in born]
    assert (of([*lost, *rest]).state, of([*lost, *rest]).reason) == ("gone", "no_archive")


def test_of_a_day_and_its_hours_what_is_answered_counts() -> None:
    whole = entry(Period.of_day(DAY), "done")
    every = [entry(one, "done") for one in hours(DAY, DAY)]
    assert of([whole, *every[:20]]).entries == (whole,)
    assert of([entry(Period.of_day(DAY), "failed"), *every]).entries == tuple(every)
    assert of([whole, *every]).entries == tuple(every), "once, not twice"


@pytest.mark.parametrize("dataset", ["tvl", "liquidations"])
@pytest.mark.parametrize("of_the_day", EVIDENCE)
@pytest.mark.parametrize("of_the_hours", EVIDENCE)
@pytest.mark.parametrize("doubted", [(), ("day",), ("hours",)])
@pytest.mark.parametrize("told", [2, 3])
def test_hours_that_are_proven_less_far_never_take_the_place_of_a_day(
    dataset: str, of_the_day: Grade, of_the_hours: Grade, doubted: tuple[str, ...], told: int
) -> None:
    """One hour of less proof is enough; what the two tell otherwise, or what is in doubt in what stands, is never sound."""
    whole = replace(entry(Period.of_day(DAY), "done", dataset), grade=of_the_day, rows=told)
    every = [replace(entry(one, "empty", dataset), grade="receipts_root") for one in hours(DAY, DAY)]
    every[23] = replace(every[23], state="done", grade=of_the_hours, rows=2)
    whole, every[23] = (
        replace(one, reason=SUSPECT if name in doubted else None)
        for name, one in (("day", whole), ("hours", every[23]))
    )
    found = of([*every, whole])
    weaker = EVIDENCE.index(of_the_hours) < EVIDENCE.index(of_the_day)
    stands = "day" if weaker or (of_the_hours == of_the_day and doubted == ("day",)) else "hours"
    assert (whole in found.entries) == (stands == "day")
    assert (found.reason == SUSPECT) == (stands in doubted or (dataset == "liquidations" and told != 2))


@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from([*STATES, None]), min_size=24, max_size=24))
def test_a_day_of_hours_is_answered_only_by_all_of_them(states: list[State | None]) -> None:
    if not any(states):
        return
    settled = all(state in {"done", "empty", "gone"} for state in states)
    whole = settled and any(state in ANSWERED for state in states)
    found = a_day_of(states)
    assert (found.state in ANSWERED) == whole
    assert len(found.entries) == (sum(state in ANSWERED for state in states) if whole else 0)


def test_only_the_days_asked_for_are_looked_at() -> None:
    one, other = entry(Period.of_day(DAY), "done"), entry(Period.of_day(DAY + timedelta(days=1)), "done")
    found = standing({each.partition: each for each in (one, other)}, [market_day(other.partition)])
    assert list(found) == [market_day(other.partition)]
