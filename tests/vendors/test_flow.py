"""Pull and backfill on a real PostgreSQL: conflict rules, the newest point, restatements, alerts, fresh starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recorded import recorded
from tests.vendors.conftest import Lake

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.points import Points
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Trip
from cryptolake.lake.bronze import Bronze
from cryptolake.publish.warehouse import Warehouse
from cryptolake.silver import metrics
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.silver.metrics import conform_backfill, conform_live, without_doubled_days
from cryptolake.state.ledger import Ledger

NOW = datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
TODAY = NOW.replace(hour=0, minute=0)
Series = Mapping[str, Mapping[datetime, float]]


class Told:
    """A vendor that answers what the test told it, per key: instants and values of one metric."""

    name = "defillama"

    def __init__(self, series: Series, metric: str = "TVL", *, dataset: str = "protocol_tvl") -> None:
        self.series, self.metric, self.dataset = series, metric, dataset
        self.asked_for: list[str] = []

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [Dataset(self.dataset, feeds="metrics", doc="told", reach="whole_history")]

    def keys(self, dataset: str) -> Sequence[str]:
        del dataset
        return sorted(self.series)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        for one in partitions:
            yield Trip(self.name, str(one), (one,))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        (partition,) = trip.partitions
        self.asked_for.append(partition.key)
        points = self.series[partition.key]
        body = pl.DataFrame({"at": [int(at.timestamp()) for at in points], "value": list(points.values())})
        yield Raw(partition, self.name, NOW, NOW, body.write_json().encode())

    def parse(self, raw: Raw) -> Points:
        told = json.loads(raw.payload)
        return Points.series(
            self.name, raw.partition.key, self.metric, [one["at"] for one in told], [one["value"] for one in told]
        )


def days(*ago: float) -> list[datetime]:
    return [TODAY - timedelta(days=one) for one in ago]


def test_live_updates_and_backfill_leaves_alone(lake: Lake) -> None:
    lake.run("pull", Told({"x": {NOW: 1.0}}), NOW)
    lake.run("pull", Told({"x": {NOW: 2.0}}), NOW)
    assert lake.rows("pulled_at, value") == [(datetime(2026, 11, 20), 2.0)]
    history = Told({"x": dict(zip(days(2, 1, 0), (5.0, 6.0, 7.0), strict=True))})
    first = lake.run("backfill", history, NOW)
    assert (first.records, first.inserted) == (2, 2), "the running day belongs to live pulls"
    second = lake.run("backfill", Told({"x": {days(2)[0]: 99.0}}), NOW, resume=False)
    assert (second.inserted, second.updated, second.unchanged) == (0, 0, 1)
    assert lake.rows("value") == [(2.0,), (5.0,), (6.0,)]


def test_the_newest_point_never_makes_a_second_row_of_its_day(lake: Lake) -> None:
    """The trap of all five recorded series: a midnight point and a later one on the newest day, asked again and again."""
    moment = TODAY - timedelta(hours=2)
    for minute in range(3):
        newest = moment + timedelta(minutes=minute)
        told = Told({"x": {days(2)[0]: 1.0, days(1)[0]: 2.0, newest: 3.0 + minute}})
        lake.run("backfill", told, NOW, resume=False)
        lake.run("pull", told, NOW)
    assert lake.doubled_days() == 0
    assert [row[0] for row in lake.rows("pulled_at")] == [datetime(2026, 11, 18), datetime(2026, 11, 19)]


def test_an_odd_instant_and_a_midnight_do_not_share_a_day(lake: Lake) -> None:
    odd = days(3)[0] + timedelta(hours=23)
    lake.run("backfill", Told({"x": {odd: 1.0, days(1)[0]: 2.0}}), NOW)
    assert lake.rows("pulled_at, value") == [(datetime(2026, 11, 17, 23), 1.0), (datetime(2026, 11, 19), 2.0)]
    lake.run("backfill", Told({"x": {days(3)[0]: 5.0, days(1)[0]: 2.0}}), NOW, resume=False)
    lake.run("backfill", Told({"x": {odd + timedelta(minutes=1): 6.0, days(1)[0]: 2.0}}), NOW, resume=False)
    assert lake.rows("pulled_at, value") == [(datetime(2026, 11, 17, 23), 1.0), (datetime(2026, 11, 19), 2.0)]
    assert lake.doubled_days() == 0


def test_restate_keeps_what_was_and_when_it_changed(lake: Lake) -> None:
    lake.run("backfill", Told({"x": dict(zip(days(3, 2, 1), (1.0, 2.0, 3.0), strict=True))}), NOW)
    changed = Told({"x": dict(zip(days(4, 3, 2, 1), (0.5, 1.0, 2.5, 3.0), strict=True))})
    result = lake.run("backfill", changed, NOW, resume=False, restate=True)
    assert (result.inserted, result.updated, result.unchanged) == (1, 1, 2)
    again = lake.run("backfill", changed, NOW, resume=False, restate=True)
    assert (again.inserted, again.updated) == (0, 0)
    columns = "revised_at, asset, metric_name, pulled_at, old_value, new_value"
    (row,) = lake.warehouse.query(f"SELECT {columns} FROM metric_revisions").rows()
    assert row[1:] == ("x", "TVL", datetime(2026, 11, 18), 2.0, 2.5)
    assert row[0] == NOW
    assert [value for (value,) in lake.rows("value")] == [0.5, 1.0, 2.5, 3.0]


def test_a_recorded_restatement_is_found_day_by_day(lake: Lake) -> None:
    captures = []
    for month in ("2026-05", "2026-08"):
        told = json.loads(recorded(f"defillama/stablecoincharts_all_{month}.json"))
        captures.append({int(one["date"]): float(one["totalCirculatingUSD"]["peggedUSD"]) for one in told})
    series = [{datetime.fromtimestamp(at, UTC): value for at, value in one.items()} for one in captures]
    lake.run("backfill", Told({"x": series[0]}), NOW)
    result = lake.run("backfill", Told({"x": series[1]}), NOW, resume=False, restate=True)
    common = captures[0].keys() & captures[1].keys()
    expected = {at for at in common if captures[0][at] != captures[1][at]}
    assert len(expected) > 900
    assert result.updated == len(expected)
    found = lake.warehouse.query("SELECT pulled_at, old_value, new_value FROM metric_revisions").rows()
    assert {int(at.replace(tzinfo=UTC).timestamp()) for at, _, _ in found} == expected


def test_a_series_that_disappears_is_an_alert_not_silence(lake: Lake) -> None:
    both = Told({"x": {NOW: 1.0}, "y": {NOW: 1.0}})
    assert lake.run("pull", both, NOW).alerts == ()
    later = NOW + timedelta(days=1)
    result = lake.run("pull", Told({"x": {later: 2.0}, "y": {}}), later)
    assert result.alerts == ("TVL: 1 series disappeared: y (last 2026-11-20)",)
    assert lake.warehouse.query("SELECT alerts FROM pulls ORDER BY pull_id DESC LIMIT 1").item() == result.alerts[0]
    assert lake.run("pull", Told({"x": {later: 2.0}, "y": {}}), later, keys=["x"]).alerts == ()


def test_days_that_can_never_be_filled_are_reported(lake: Lake) -> None:
    def flow(ago: int) -> Told:
        return Told({"x": {NOW - timedelta(days=ago): 1.0}}, "INFLOW", dataset="protocol_flows")

    for ago in (5, 3):
        lake.run("pull", flow(ago), NOW - timedelta(days=ago))
    alerts = lake.run("pull", flow(0), NOW).alerts
    assert alerts == ("INFLOW: 3 days can never be filled: 2026-11-16, 2026-11-18, 2026-11-19",)


def test_a_settled_backfill_is_not_asked_again_but_a_lost_answer_is(lake: Lake) -> None:
    told = Told({"x": {days(1)[0]: 1.0}, "y": {days(1)[0]: 2.0}})
    lake.run("backfill", told, NOW)
    again = lake.run("backfill", told, NOW)
    assert sorted(told.asked_for) == ["x", "y"]
    assert (again.records, again.unchanged, again.status) == (2, 2, "success")
    partition = next(one for one in lake.ledger.states() if one.key == "y")
    lake.bronze.raw_path(partition, "defillama").write_bytes(b"damaged")
    lake.run("backfill", told, NOW)
    assert told.asked_for[2:] == ["y"]


class Dies(Told):
    """As `Told`, but the process ends before the third answer."""

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        if len(self.asked_for) == 2:
            raise KeyboardInterrupt
        yield from super().fetch(trip)


def test_a_backfill_that_was_killed_goes_on_where_it_stopped(lake: Lake) -> None:
    series = {key: {days(1)[0]: 1.0} for key in "abcde"}
    with pytest.raises(KeyboardInterrupt):
        lake.run("backfill", Dies(series), NOW, workers=1)
    assert lake.rows() == []
    told = Told(series)
    assert lake.run("backfill", told, NOW).inserted == 5
    assert told.asked_for == ["c", "d", "e"]


def test_many_pulls_at_once_leave_one_row_a_series(lake: Lake, pg_data: Path, tmp_path: Path) -> None:
    def pull(number: int) -> str:
        folder = tmp_path / str(number)
        with Warehouse.open(pg_data, None) as warehouse:
            mine = Lake(folder, Bronze(folder), Ledger(folder / "l.sqlite"), warehouse)
            return mine.run("pull", Told({key: {NOW: float(number)} for key in "abcdef"}), NOW).status

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(pull, range(6))) == ["success"] * 6
    assert len(lake.rows("asset")) == 6
    assert lake.doubled_days() == 0


_points = st.dictionaries(
    st.datetimes(datetime(2026, 11, 10), datetime(2026, 11, 20, 23)).flatmap(
        lambda at: st.sampled_from([at, at.replace(hour=0, minute=0, second=0, microsecond=0)])
    ),
    st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.just(0.0)),
    max_size=25,
)


def _read(points: Mapping[datetime, float]) -> Points:
    rows = [
        {"pulled_at": at.replace(tzinfo=UTC), "source": "v", "asset": "x", "metric_name": "M", "value": value}
        for at, value in points.items()
    ]
    return Points.of(rows) if rows else Points.join([])


@given(_points)
def test_no_rule_ever_makes_two_rows_of_a_day(points: Mapping[datetime, float]) -> None:
    for conform in (conform_live, conform_backfill):
        frame = conform(_read(points), NOW)
        assert frame["pulled_at"].dt.date().is_unique().all()
        assert METRICS.violations(frame) == []
    history = conform_backfill(_read(points), NOW)
    assert all(at < TODAY.replace(tzinfo=None) for at in history["pulled_at"])
    finite = {at: value for at, value in points.items() if value == value and abs(value) != float("inf")}
    settled = {
        at
        for at in finite
        if at.hour == at.minute == at.second == at.microsecond == 0 and at < TODAY.replace(tzinfo=None)
    }
    assert settled <= set(history["pulled_at"].to_list()), "every midnight point of a past day is kept"
    assert dict(history.select("pulled_at", "value").rows()).items() <= finite.items()


@given(_points, _points)
def test_two_backfills_in_a_row_never_double_a_day(
    first: Mapping[datetime, float], second: Mapping[datetime, float]
) -> None:
    stored = conform_backfill(_read(first), NOW)
    new = without_doubled_days(conform_backfill(_read(second), NOW), stored.select(METRICS.key))
    both = pl.concat([stored, new]).unique(METRICS.key, keep="first")
    assert both["pulled_at"].dt.date().is_unique().all()


def test_points_refuse_what_is_no_series() -> None:
    make: Callable[..., Points] = Points.series
    for seconds, values in (([1], [1.0, 2.0]), ([10**13], [1.0]), ([-5], [1.0]), (["x"], [1.0]), ([1], ["1"])):
        with pytest.raises(ValueError):
            make("v", "x", "M", seconds, values)
    points = make("v", "x", "M", [0, 86400, 172800], [0, None, 2.5])
    assert [row["value"] for row in points] == [0.0, 2.5]
    assert points[1] == points[-1]
    assert len(points[:1]) == 1
    assert metrics.TABLE.columns[0] == "pulled_at"
