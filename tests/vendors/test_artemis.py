"""Artemis over real HTTP: the whole matrix, the vendor's words in place of numbers, and batches it cannot bear."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vendors.conftest import Lake
from tests.vendors.server import Query, Reply, in_turn, vendor
from tests.vendors.universe import Universe, answer, urls, value

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import BadInput, Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience
from cryptolake.net.http import Http
from cryptolake.registry.artemis import Watched
from cryptolake.sources.artemis import Artemis
from cryptolake.sources.artemis.readers import MAX_POINTS
from cryptolake.sources.artemis.source import HISTORY_DAYS, _windows

NOW = datetime(2026, 11, 20, 0, 5, tzinfo=UTC)
HOUR, DAY = Period.of_hour(NOW), Period.of_day(NOW.date())


def watched(*assets: str, metric: str = "FEES") -> dict[str, Watched]:
    return {asset: Watched(asset, asset.title(), "App", frozenset({metric})) for asset in assets}


def source(http: Http, url: str, assets: dict[str, Watched] | None = None, *, attempts: int = 2) -> Artemis:
    access = Access(http, urls=urls(url), secrets={"ARTEMIS_API_KEY": "open-sesame"}, rates={"artemis": 600_000})
    return Artemis(access, assets=assets, patience=Patience(attempts, sleep=lambda _s: None), asked_at=lambda: NOW)


def ask(found: Artemis, *assets: str, metric: str = "fees", period: Period = DAY) -> dict[str, Raw | Miss]:
    partitions = [Partition(f"artemis_{metric}", asset, period) for asset in assets]
    return {one.partition.key: one for trip in found.trips(partitions) for one in found.fetch(trip)}


def symbols(body: dict[str, object]) -> Reply:
    return Reply(200, json.dumps({"data": {"symbols": body}}).encode())


def test_the_whole_matrix_live_and_history(http: Http, lake: Lake) -> None:
    universe = Universe(NOW.date(), size=0.02)
    with vendor(lambda path, query: Reply(*answer(universe, path, query))) as server:
        history = lake.run("backfill", source(http, server.url), NOW)
        calls = len(server.asked)
        live = lake.run("pull", source(http, server.url), NOW, datasets=["artemis_price"])
        again = lake.run("backfill", source(http, server.url), NOW)
        assert all(one["x-api-key"] == "open-sesame" for one in server.headers)
        assert all(query["APIKey"] == "open-sesame" for query in server.queries())
        assert all(len(query["symbols"].split(",")) <= 100 for query in server.queries())
        assert re.fullmatch(r"/artemis/data/api/[A-Z0-9_]+/", server.paths()[0])
        assert any("usd*" in query["symbols"].split(",") for query in server.queries()), "also the one with a star"
    assert (history.status, live.status, again.status) == ("success", "success", "success")
    assert history.collected.done + history.collected.empty == 3321
    prices = [query for query, path in zip(server.queries(), server.paths(), strict=True) if path.endswith("/PRICE/")]
    assert len(prices) == live.asked.requests * 3, "two windows of at most a thousand days, and one for the pull"
    assert calls == history.asked.requests
    assert history.inserted == history.records == lake.warehouse.query("SELECT count(*) FROM metrics").item()
    assert live.inserted == 0, "the newest day is the same row"
    assert (again.inserted, again.unchanged, again.asked.requests) == (0, history.records, 0)
    assert lake.doubled_days() == 0
    yesterday = value("PRICE sol", (NOW.date() - date(1970, 1, 1)).days - 1)
    assert lake.rows("value", "asset = 'sol' AND metric_name = 'PRICE' AND pulled_at = '2026-11-19'") == [
        (float(f"{yesterday:.6e}"),)
    ]
    lake.ledger.close()
    for file in lake.folder.rglob("*"):
        assert not file.is_file() or b"open-sesame" not in file.read_bytes()


def test_without_a_key_nothing_is_asked(http: Http, lake: Lake) -> None:
    with vendor(in_turn(Reply())) as server:
        found = Artemis(Access(http, urls=urls(server.url)), assets=watched("aave"))
        assert not any(one.granted for one in found.datasets)
        with pytest.raises(BadInput, match="ARTEMIS_API_KEY"):
            lake.run("pull", found, NOW)
        assert isinstance(ask(found, "aave")["aave"], Miss)
        assert server.asked == []
    assert lake.warehouse.query("SELECT status, error FROM pulls").rows()[0][0] == "error"


@pytest.mark.parametrize(
    "words",
    [
        "Metric not found.",
        "Metric not available for asset.",
        "Market data not available for asset.",
        "Latest data not available for this asset.",
    ],
)
def test_words_in_place_of_numbers_are_no_value_and_no_failure(http: Http, words: str) -> None:
    days: list[object] = [{"date": "2026-11-19", "val": "0.0"}, {"date": "2026-11-18", "val": words}]
    for body in (
        symbols({"aave": {"FEES": words}, "comp": {"fees": [{"date": "2026-11-19", "val": 0}]}}),
        symbols({"aave": words, "COMP": {"FEES": days}}),
    ):
        with vendor(in_turn(body)) as server:
            found = source(http, server.url, watched("aave", "comp"))
            outcomes = ask(found, "aave", "comp", period=HOUR)
        aave, comp = outcomes["aave"], outcomes["comp"]
        assert isinstance(aave, Raw)
        assert isinstance(comp, Raw)
        assert words.encode() in aave.payload, "the words are kept"
        assert len(found.parse(aave)) == 0
        assert [row["value"] for row in found.parse(comp)] == [0.0], "a true zero is a value"
    with vendor(in_turn(Reply(200, json.dumps({"data": {"symbols": words}}).encode()))) as server:
        found = source(http, server.url, watched("aave", "comp"))
        assert all(len(found.parse(one)) == 0 for one in ask(found, "aave", "comp").values() if isinstance(one, Raw))


def test_other_words_are_an_error_that_is_kept(http: Http) -> None:
    with vendor(in_turn(symbols({"aave": {"FEES": "Internal failure, sorry"}}))) as server:
        found = source(http, server.url, watched("aave"))
        outcome = ask(found, "aave")["aave"]
    assert isinstance(outcome, Raw)
    with pytest.raises(Skip, match="words it never used before") as caught:
        found.parse(outcome)
    assert caught.value.reason == "vendor_error"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(200, b'{"result":{}}'), "schema_drift"),
        (symbols({"bitcoin": {"FEES": []}}), "schema_drift"),
        (symbols({"aave": {"CHARGES": [{"date": "2026-11-19", "val": 1}]}}), "schema_drift"),
        (symbols({"aave": {"FEES": [{"day": "2026-11-19", "val": 1}]}}), "schema_drift"),
        (symbols({"aave": {"FEES": [{"date": "2026-11-19", "val": [1]}]}}), "schema_drift"),
        (symbols({"aave": {"FEES": [{"date": "yesterday", "val": 1}]}}), "schema_drift"),
        (symbols({"aave": {"FEES": {"2026-11-19": 1}}}), "schema_drift"),
    ],
)
def test_a_changed_layout_is_said_and_the_raw_kept(http: Http, lake: Lake, reply: Reply, reason: str) -> None:
    with vendor(in_turn(reply)) as server:
        result = lake.run("pull", source(http, server.url, watched("aave")), NOW)
    assert result.status == "error"
    (entry,) = result.collected.failures
    assert entry.reason == reason
    assert lake.bronze.read(entry.partition, "artemis") is not None


def test_values_that_are_no_values(http: Http) -> None:
    values = ("NaN", "Infinity", "1e37", "null", "0", "-3")
    body = ",".join(f'{{"date":"2026-11-{day}","val":{text}}}' for day, text in enumerate(values, start=10))
    reply = Reply(200, b'{"data":{"symbols":{"aave":{"FEES":[' + body.encode() + b"]}}}}")
    with vendor(in_turn(reply)) as server:
        found = source(http, server.url, watched("aave"))
        outcome = ask(found, "aave", period=HOUR)["aave"]
    assert isinstance(outcome, Raw)
    assert [row["value"] for row in found.parse(outcome)] == [1e37, 0.0, -3.0]


def test_the_documented_shapes(http: Http) -> None:
    shapes: list[tuple[dict[str, object], str, str, list[float]]] = [
        ({"data": {"symbols": {"sol": {"FEES": [{"date": "2026-08-01", "val": 5.5}]}}}}, "sol", "fees", [5.5]),
        ({"data": {"sol": {"FEES": [{"date": "2026-08-01", "val": 5.5}]}}}, "sol", "fees", [5.5]),
        ({"data": {"symbols": {"sol": {"fees": 0}}}}, "sol", "fees", [0.0]),
    ]
    for body, asset, metric, expected in shapes:
        with vendor(in_turn(Reply(200, json.dumps(body).encode()))) as server:
            found = source(http, server.url, watched(asset))
            outcome = ask(found, asset, metric=metric, period=HOUR)[asset]
        assert isinstance(outcome, Raw)
        assert [row["value"] for row in found.parse(outcome)] == expected


@pytest.mark.parametrize(
    ("asset", "metric", "found", "values"),
    [
        ("sol", "stablecoin_transfer_volume", [{"date": "2026-08-01", "val": 5398226672.5}], [5398226672.5]),
        ("btc", "price", [{"date": "2024-01-01", "val": 42000.0}], [42000.0]),
        ("btc", "mc", "Metric not available for asset.", []),
        ("btc", "price", 0, None),
        ("eth", "price", "Market data not available for asset.", []),
    ],
)
def test_every_documented_shape_of_a_metric_is_read(
    http: Http, asset: str, metric: str, found: object, values: list[float] | None
) -> None:
    """The vendor's documents and clients show these shapes of an answer; the numbers are invented."""
    with vendor(in_turn(symbols({asset: {metric: found}}))) as server:
        vendor_source = source(http, server.url, watched(asset, metric=metric.upper()))
        outcome = ask(vendor_source, asset, metric=metric, period=HOUR)[asset]
    assert isinstance(outcome, Raw)
    if values is not None:
        assert [row["value"] for row in vendor_source.parse(outcome)] == values


def batches(bears: int, status: int = 500) -> tuple[Callable[[str, Query], Reply], list[int]]:
    """A vendor that breaks on more than `bears` symbols; and the sizes it was asked for."""
    sizes: list[int] = []

    def reply(_path: str, query: Query) -> Reply:
        wanted = query["symbols"].split(",")
        sizes.append(len(wanted))
        if len(wanted) > bears:
            return Reply(status, b"Internal Server Error")
        return symbols({one: {"FEES": [{"date": query["endDate"], "val": 1}]} for one in wanted})

    return reply, sizes


@pytest.mark.parametrize("status", [500, 413, 414, 400])
def test_a_batch_that_breaks_the_server_is_halved_and_the_size_remembered(http: Http, status: int) -> None:
    reply, sizes = batches(13, status)
    names = [f"a{n:02d}" for n in range(40)]
    with vendor(reply) as server:
        found = source(http, server.url, watched(*names))
        first = ask(found, *names, period=HOUR)
        assert sizes == [40, 20, 10, 10, 10, 10]
        assert all(isinstance(one, Raw) for one in first.values())
        ask(found, *names, period=HOUR)
    assert sizes[6:] == [10, 10, 10, 10]


def test_one_bad_symbol_does_not_void_the_others(http: Http) -> None:
    def reply(_path: str, query: Query) -> Reply:
        wanted = query["symbols"].split(",")
        if "bad" in wanted:
            return Reply(400, b'{"error":"invalid symbol"}')
        return symbols({one: {"FEES": [{"date": "2026-11-19", "val": 1}]} for one in wanted})

    with vendor(reply) as server:
        found = source(http, server.url, watched("bad", "good", "fine"))
        outcomes = ask(found, "bad", "good", "fine", period=HOUR)
    bad = outcomes.pop("bad")
    assert isinstance(bad, Miss)
    assert (bad.state, bad.reason) == ("gone", "no_data")
    assert all(isinstance(one, Raw) for one in outcomes.values())


def test_a_dead_vendor_is_left_alone_soon(http: Http) -> None:
    with vendor(in_turn(Reply(503, b"down"))) as server:
        found = source(http, server.url, watched(*(f"a{n}" for n in range(60))))
        outcomes = [one for n in range(60) for one in ask(found, f"a{n}", period=HOUR).values()]
    assert {one.reason for one in outcomes if isinstance(one, Miss)} == {"unreachable"}
    assert len(outcomes) == 60
    assert len(server.asked) <= 20


def test_a_refused_key_is_said_once(http: Http) -> None:
    with vendor(in_turn(Reply(401, b"nope"))) as server:
        found = source(http, server.url, watched("a", "b"))
        first, second = ask(found, "a")["a"], ask(found, "b")["b"]
    assert isinstance(first, Miss)
    assert isinstance(second, Miss)
    assert first.reason == second.reason == "key_refused"
    assert "ARTEMIS_API_KEY" in second.message
    assert len(server.asked) <= 2


def test_empty_answers_are_throttling(http: Http) -> None:
    good = symbols({"a": {"FEES": [{"date": "2026-11-19", "val": 1}]}})
    with vendor(in_turn(Reply(200, b""), good)) as server:
        outcome = ask(source(http, server.url, watched("a")), "a", period=HOUR)["a"]
    assert isinstance(outcome, Raw)


def test_an_answer_cut_at_the_limit_is_asked_in_smaller_pieces(http: Http) -> None:
    """Should the limit of a thousand points hold for the whole answer, no point is lost in silence."""

    def reply(_path: str, query: Query) -> Reply:
        start, end = (date.fromisoformat(query[name]) for name in ("startDate", "endDate"))
        days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
        left = int(query["limit"])
        body: dict[str, object] = {}
        for one in query["symbols"].split(","):
            points = [{"date": str(day), "val": 1} for day in days][:left]
            left -= len(points)
            body[one] = {"FEES": points}
        return symbols(body)

    with vendor(reply) as server:
        found = source(http, server.url, watched("a", "b", "c"))
        outcomes = ask(found, "a", "b", "c")
    for one in outcomes.values():
        assert isinstance(one, Raw)
        assert len(found.parse(one)) == HISTORY_DAYS


@given(st.dates(date(2015, 1, 1), date(2040, 1, 1)), st.integers(1, 6000))
def test_windows_cover_the_range_exactly_once(last: date, days: int) -> None:
    found = list(_windows(last, days))
    covered = [start + timedelta(days=n) for start, end in found for n in range((end - start).days + 1)]
    assert covered == [last - timedelta(days=days - 1 - n) for n in range(days)]
    assert all((end - start).days + 1 < MAX_POINTS for start, end in found)
