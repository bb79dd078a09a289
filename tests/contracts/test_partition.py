"""Periods cut time without gap or overlap, and a partition's text is its identity."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.contracts.partition import Partition, Period, days, hours
from cryptolake.errors import BadInput

dates = st.dates(date(2009, 1, 3), date(2060, 1, 1))
periods = st.one_of(
    st.builds(Period.of_day, dates, st.sampled_from(["utc", "ny"])),
    st.builds(lambda day, hour: list(hours(day, day))[hour], dates, st.integers(0, 23)),
)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)


@given(names, names, periods)
def test_text_and_partition_are_inverse(dataset: str, key: str, period: Period) -> None:
    partition = Partition(dataset, key, period)
    assert Partition.parse(str(partition)) == partition


@given(dates, st.integers(0, 400), st.sampled_from(["utc", "ny"]))
def test_days_meet_without_gap_or_overlap(first: date, length: int, boundary) -> None:
    cut = list(days(first, first + timedelta(days=length), boundary))
    assert len(cut) == length + 1
    assert all(one.end == two.start for one, two in pairwise(cut))
    assert {one.day for one in cut} == {first + timedelta(days=number) for number in range(length + 1)}


def test_new_york_days_have_23_to_25_hours() -> None:
    lengths = {p.end - p.start for p in days(date(2024, 1, 1), date(2024, 12, 31), "ny")}
    assert lengths == {timedelta(hours=hour) for hour in (23, 24, 25)}


@pytest.mark.parametrize(
    "text", ["", "tvl", "tvl/a", "tvl/a/2024-13-01", "tvl/a/b/2024-12-31", "tvl/../2024-12-31", "t v/a/2024-12-31"]
)
def test_text_that_is_no_partition_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Partition.parse(text)


def test_a_period_needs_aware_utc_bounds() -> None:
    with pytest.raises(ValueError, match="UTC"):
        Period(datetime(2024, 1, 1), datetime(2024, 1, 2))
