"""Slots: a fixed grid of UTC that no summer time moves, cut without gap or overlap however the span is cut."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cryptolake.contracts.source import Dataset
from cryptolake.flow.schedule import ScheduledJob, jobs_of

instants = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
jobs = st.one_of(
    st.builds(ScheduledJob, st.just("a"), st.just("a"), st.just(()), st.just("hour"), st.integers(0, 59)),
    st.builds(ScheduledJob, st.just("a"), st.just("a"), st.just(()), st.just("day"), st.integers(0, 1439)),
)


@given(jobs, instants, st.lists(st.integers(0, 200_000), max_size=5))
def test_a_span_cut_anywhere_has_the_same_slots(job: ScheduledJob, start: datetime, cuts: list[int]) -> None:
    end = start + timedelta(seconds=400_000)
    marks = [start, *(start + timedelta(seconds=cut) for cut in sorted(cuts)), end]
    pieces = [slot for low, high in itertools.pairwise(marks) for slot in job.between(low, high)]
    assert pieces == job.between(start, end)


@given(jobs, instants)
def test_a_slot_lies_at_its_minute_and_is_the_next_one(job: ScheduledJob, now: datetime) -> None:
    slot = job.after(now)
    minute = slot.minute if job.every == "hour" else slot.hour * 60 + slot.minute
    assert (minute, slot.second, slot.microsecond) == (job.at_minute, 0, 0)
    assert timedelta() < slot - now <= timedelta(hours=1 if job.every == "hour" else 24)
    assert job.after(slot - timedelta(microseconds=1)) == slot


def test_a_day_with_a_change_of_summer_time_has_its_24_hours() -> None:
    job = ScheduledJob("a", "a", (), "hour", 5)
    for day in (
        datetime(2026, 3, 8, tzinfo=ZoneInfo("America/New_York")),
        datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Paris")),
    ):
        start = day.astimezone(UTC)
        assert len(job.between(start, start + timedelta(hours=24))) == 24


def test_the_documented_cadences() -> None:
    assert ScheduledJob("defillama_hourly", "defillama", (), "hour", 5).cron == "5 * * * *"
    assert ScheduledJob("artemis_daily", "artemis", (), "day", 5).cron == "5 0 * * *"
    assert ScheduledJob("x", "x", (), "day", 95).cron == "35 1 * * *"


class _Source:
    name = "one"


def test_datasets_with_the_same_cadence_share_a_job() -> None:
    found = [
        Dataset("b", "metrics", "", "as_of", "hour", 5),
        Dataset("a", "metrics", "", "as_of", "hour", 5),
        Dataset("c", "metrics", "", "as_of", "day", 5),
        Dataset("d", "metrics", "", "as_of", "day", 30),
    ]
    named = {job.name: job.datasets for job in jobs_of(_Source(), found)}  # type: ignore[arg-type]
    assert named == {"one_hourly": ("a", "b"), "one_daily_05": ("c",), "one_daily_30": ("d",)}
