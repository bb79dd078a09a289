"""Times that cannot be, in every vendor's answers: nothing is loaded of them, and the next true answer counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from tests.loopback import Answer, serving, target
from tests.vendors.conftest import Lake

from cryptolake.catalogue import fed_by_any_source
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Prepares, Row, Source
from cryptolake.demo import invented
from cryptolake.errors import Skip
from cryptolake.flow.reading import read
from cryptolake.net.access import Access
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.sources.found import find_sources, open_all

NOW = datetime.now(UTC)
FOUND = find_sources()
SOURCES = [file.vendor.name for file in FOUND.files if file.vendor is not None and file.open_source is not None]
AGO = {
    "ath_date",
    "atl_date",
    "opened_at",
    "hour",
    "last_updated",
}  # facts, which no row is filed by, and the hours that were asked for


class Clock:
    """A vendor's server whose answers (invented) are of another day than today."""

    def __init__(self) -> None:
        self.ahead, self.url = timedelta(), ""

    def answer(self, path: str, _headers: Mapping[str, str]) -> Answer:
        asked, query = target(path)
        try:
            found = invented.answer(asked, query, NOW + self.ahead)
        except (KeyError, ValueError):
            found = None
        return (404, {}, b"{}") if found is None else (200, {}, json.dumps(found).encode())


@pytest.fixture
def clock() -> Iterator[Clock]:
    found = Clock()
    with serving(found.answer) as found.url:
        yield found


@pytest.fixture
def source(clock: Clock, http: Http) -> Callable[[str], Source]:
    hosts = {host for file in FOUND.files if file.vendor is not None for host in file.vendor.hosts}
    urls = {host: f"{clock.url}{invented.PREFIX}{host}" for host in hosts}
    access = Access(http, urls, dict.fromkeys(FOUND.keys, "key"), gates=Gates(sleep=lambda _s: None))
    return lambda name: open_all(FOUND, access, fed_by_any_source(), ()).all()[name]


def rows_of(source: Source) -> Iterator[Row]:
    """What is read of one key of every dataset, pulled and backfilled."""
    for way, dataset in product(("hour", "day"), source.datasets):
        period = Period.of_hour(NOW) if way == "hour" else Period.of_day(NOW.date() - timedelta(days=1))
        for key in list(source.keys(dataset.name))[:1]:
            if isinstance(source, Prepares):
                source.prepare([dataset.name], period.granularity)
            for trip in source.trips([Partition(dataset.name, key, period)]):
                for one in source.fetch(trip):
                    if isinstance(one, Raw):
                        try:
                            yield from read(source, one)
                        except Skip as error:
                            assert error.reason == "impossible_time", error


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=2)])
def test_no_row_is_of_the_future(clock: Clock, source: Callable[[str], Source], name: str, ahead: timedelta) -> None:
    clock.ahead = ahead
    for row in rows_of(source(name)):
        for column, value in row.items():
            if isinstance(value, date) and column not in AGO:
                at = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
                assert at <= NOW + timedelta(days=1, hours=1), column


@pytest.mark.parametrize("stamp", [0, 1_000, 4_000_000_000, "in 400 days"])
def test_a_false_time_hides_no_true_one(lake: Lake, http: Http, stamp: int | str) -> None:
    stamp = int((NOW + timedelta(days=400)).timestamp()) if isinstance(stamp, str) else stamp
    told = {"value": "47", "timestamp": str(stamp)}
    with serving(lambda *_: (200, {}, json.dumps({"data": [told]}).encode())) as url:
        access = Access(http, {"alternative_me": url}, gates=Gates(sleep=lambda _s: None))
        source = open_all(FOUND, access, fed_by_any_source(), ()).all()["alternative_me"]
        first = lake.run("pull", source, NOW)
        assert (first.status, first.records) == ("error", 0)
        (failure,) = first.collected.failures
        assert failure.reason == "impossible_time"
        told |= {"value": "48", "timestamp": str(int(NOW.timestamp()))}
        assert lake.run("pull", source, NOW).status == "success"
    newest = lake.warehouse.query("SELECT value FROM metrics ORDER BY pulled_at DESC LIMIT 1")
    assert newest["value"].to_list() == [48.0]
