"""DefiLlama over real HTTP against a vendor that misbehaves in every way seen, and its recorded bodies read back."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recorded import recorded
from tests.vendors.server import Reply, Vendor, in_turn, vendor

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.silver.metrics import conform_backfill, conform_live
from cryptolake.sources.defillama import DefiLlama, open_source

ASKED_AT = datetime(2024, 12, 5, 13, 0, tzinfo=UTC)
DAY = Period.of_day(date(2024, 12, 5))
SMALL = (Path(__file__).parents[1] / "sources" / "data" / "stablecoincharts_small.json").read_bytes()


GOOD = Reply(body=SMALL)


@dataclass
class Asked:
    """A vendor that answers from a list, and how long the source would have slept."""

    server: Vendor
    waits: list[float] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        return self.server.asked

    def reply(self, *replies: Reply) -> None:
        self.server.answer = in_turn(*replies)

    def source(
        self,
        http: Http,
        *,
        attempts: int = 5,
        provenance: dict[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> DefiLlama:
        """The source with a sleep that only takes notes."""
        access = Access(
            http,
            urls={"defillama_stablecoins": self.server.url + "/"},
            provenance=provenance or {},
            gates=Gates(sleep=self.waits.append, clock=clock),
        )
        patience = Patience(attempts, sleep=self.waits.append, jitter=lambda: 0.5)
        return DefiLlama(access, patience=patience, asked_at=lambda: ASKED_AT)


@pytest.fixture
def asked() -> Iterator[Asked]:
    with vendor(in_turn(GOOD)) as server:
        yield Asked(server)


def offline(http: Http) -> DefiLlama:
    return DefiLlama(Access(http))


def partition(key: str = "celo-euro") -> Partition:
    return Partition("stablecoin_supply", key, DAY)


def ask(source: DefiLlama, *keys: str) -> list[Raw | Miss]:
    trips = source.trips([partition(key) for key in keys or ("celo-euro",)])
    return [outcome for trip in trips for outcome in source.fetch(trip)]


def raw(body: bytes, key: str = "celo-euro") -> Raw:
    return Raw(partition(key), "defillama", ASKED_AT, ASKED_AT, body)


def test_a_good_answer_is_kept_untouched_and_read(asked: Asked, http: Http) -> None:
    asked.reply(GOOD)
    source = asked.source(http, provenance={"sandbox": "true"})
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert outcome.payload == SMALL
    assert parse_qs(urlsplit(asked.asked[0]).query) == {"stablecoin": ["52"]}
    assert urlsplit(asked.asked[0]).path == "/stablecoincharts/all"
    assert outcome.fetched_at == ASKED_AT
    wanted = {"method": "GET", "path": "/stablecoincharts/all", "stablecoin": "52", "asked_as": "52"}
    assert outcome.request == wanted
    assert outcome.provenance == {"endpoint": "defillama_stablecoins", "sandbox": "true"}
    assert asked.server.url not in str(outcome)
    rows = source.parse(outcome)
    assert [row["value"] for row in rows] == [0.0, 1_000_000.0, 1_200_000.5, 1_200_001.25]
    assert rows[0] == {
        "pulled_at": datetime(2024, 12, 1, tzinfo=UTC),
        "source": "defillama",
        "asset": "celo-euro",
        "metric_name": "STABLECOIN_SUPPLY",
        "value": 0.0,
    }
    assert rows[-1]["pulled_at"] == datetime(2024, 12, 5, 12, 2, 3, tzinfo=UTC)


def test_pull_and_backfill_never_make_two_rows_of_the_running_day(http: Http) -> None:
    rows = offline(http).parse(raw(SMALL))
    live, history = conform_live(rows, ASKED_AT), conform_backfill(rows, ASKED_AT)
    assert live.select("pulled_at", "value").rows() == [(datetime(2024, 12, 5), 1_200_001.25)]
    assert history["value"].to_list() == [0.0, 1_000_000.0]
    assert METRICS.violations(live) == METRICS.violations(history) == []


def test_one_conversation_per_coin_serves_every_period(asked: Asked, http: Http) -> None:
    asked.reply(GOOD)
    source = asked.source(http)
    wanted = [
        Partition("stablecoin_supply", key, Period.of_day(date(2024, 12, day)))
        for key in ("dai", "celo-euro")
        for day in (3, 4, 5)
    ]
    trips = list(source.trips(wanted))
    assert sorted(p for trip in trips for p in trip.partitions) == sorted(wanted)
    assert [len(trip.partitions) for trip in trips] == [3, 3]
    assert len(list(source.fetch(trips[0]))) == 3
    assert len(asked.asked) == 1


def test_402_is_asked_once_in_a_run(asked: Asked, http: Http) -> None:
    asked.reply(Reply(402, b"Upgrade to the paid API plan", {"Content-Type": "text/plain"}))
    outcomes = ask(asked.source(http), "dai", "celo-euro", "usds")
    assert [(one.state, one.reason) for one in outcomes if isinstance(one, Miss)] == [("failed", "entitlement")] * 3
    assert len(asked.asked) == 1
    assert sum(asked.waits) < 0.001


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(403, b"<html>Attention Required! | Cloudflare</html>"), "blocked"),
        (Reply(404, b"404 page not found"), "refused"),
        (Reply(400, b'"Bad request"'), "refused"),
        (Reply(200, b""), "empty_answer"),
        (Reply(200, b"undefined"), "empty_answer"),
        (Reply(200, b" []\n"), "empty_answer"),
        (Reply(200, b'{"statusCode":400,"error":"Bad Request"}'), "vendor_error"),
    ],
)
def test_refusals_are_told_apart_and_not_repeated(asked: Asked, http: Http, reply: Reply, reason: str) -> None:
    asked.reply(reply)
    (outcome,) = ask(asked.source(http))
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", reason)
    assert outcome.message.startswith("defillama celo-euro: ")
    assert "http" not in outcome.message
    assert "\n" not in outcome.message
    assert len(asked.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_trouble_is_retried_with_growing_waits_and_then_given_up(asked: Asked, http: Http, status: int) -> None:
    asked.reply(Reply(status, b'"Internal server error"'))
    (outcome,) = ask(asked.source(http, attempts=4, clock=lambda: len(asked.asked) * 10.0))
    assert isinstance(outcome, Miss)
    assert outcome.reason == "unreachable"
    assert str(status) in outcome.message
    assert len(asked.asked) == 4
    assert [wait for wait in asked.waits if wait > 0.001] == [0.5, 1.0, 2.0]


def test_trouble_that_passes_is_forgotten(asked: Asked, http: Http) -> None:
    asked.reply(Reply(500), Reply(200, b"cut off {"), Reply(200, b'{"statusCode":503}'), GOOD)
    (outcome,) = ask(asked.source(http))
    assert isinstance(outcome, Raw)
    assert outcome.payload == SMALL


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("7", 6.5, 7.5), ("2.5", 2.0, 3.0), ("0", 0.0, 1.0), ("soon", 0.0, 1.0), (None, 0.0, 1.0)],
)
def test_429_waits_as_asked(asked: Asked, http: Http, header: str | None, low: float, high: float) -> None:
    asked.reply(Reply(429, b"slow down", {"Retry-After": header} if header else {}), GOOD)
    (outcome,) = ask(asked.source(http))
    assert isinstance(outcome, Raw)
    assert low <= sum(asked.waits) <= high


def test_429_with_a_date_in_the_past_is_retried_soon(asked: Asked, http: Http) -> None:
    asked.reply(Reply(429, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), GOOD)
    assert isinstance(ask(asked.source(http))[0], Raw)
    assert sum(asked.waits) < 1


def test_429_for_an_hour_is_not_waited_for(asked: Asked, http: Http) -> None:
    asked.reply(Reply(429, b"", {"Retry-After": "3600"}))
    (outcome,) = ask(asked.source(http))
    assert isinstance(outcome, Miss)
    assert outcome.reason == "rate_limited"
    assert "3600 s" in outcome.message
    assert len(asked.asked) == 1


def test_cut_bodies_and_absent_hosts_are_retried(asked: Asked, http: Http) -> None:
    asked.reply(Reply(body=SMALL, cut=True), Reply(200, gzip.compress(SMALL)[:40], {"Content-Encoding": "gzip"}), GOOD)
    assert isinstance(ask(asked.source(http))[0], Raw)
    access = Access(http, urls={"defillama_stablecoins": "http://127.0.0.1:9/secret-key"})
    absent = DefiLlama(access, patience=Patience(2, sleep=asked.waits.append))
    (outcome,) = ask(absent)
    assert isinstance(outcome, Miss)
    assert outcome.reason == "unreachable"
    assert "secret" not in outcome.message


def test_an_unreadable_body_is_kept_as_evidence(asked: Asked, http: Http) -> None:
    asked.reply(Reply(200, b"<html>We are moving</html>"))
    source = asked.source(http, attempts=3)
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert len(asked.asked) == 3
    with pytest.raises(Skip) as caught:
        source.parse(outcome)
    assert caught.value.reason == "unreadable"


def test_the_rate_is_shared_by_all_conversations(asked: Asked, http: Http) -> None:
    """Twelve calls at once, then 7.8 a second: at most 480 in any minute, whoever asks."""
    asked.reply(GOOD)
    source = asked.source(http, clock=lambda: 0.0)
    ask(source, *source.keys("stablecoin_supply"))
    assert len(asked.asked) == 15
    assert asked.waits == pytest.approx([n / 7.8 for n in range(1, 4)])


def drop(name: str) -> Callable[[list[dict[str, object]]], object]:
    def change(points: list[dict[str, object]]) -> object:
        del points[2][name]
        return points

    return change


@pytest.mark.parametrize(
    ("change", "field_name"),
    [
        (drop("date"), "date"),
        (drop("totalCirculating"), "totalCirculating"),
        (lambda points: [{**point, "totalCirculating": {"usd": 1}} for point in points], "totalCirculating.peggedEUR"),
        (lambda points: [{**point, "totalCirculating": {"peggedEUR": "12"}} for point in points], "a number"),
        (lambda points: [{**point, "totalCirculating": [1]} for point in points], "an object"),
        (lambda points: [{**point, "date": "2024-12-01"} for point in points], "seconds since 1970"),
        (lambda points: [{**point, "date": 10**18} for point in points], "seconds since 1970"),
        (lambda points: [[point["date"], 1] for point in points], "a point"),
        (lambda points: {"data": points}, "list of points"),
    ],
)
def test_a_changed_layout_names_the_field(
    http: Http, change: Callable[[list[dict[str, object]]], object], field_name: str
) -> None:
    body = json.dumps(change(json.loads(SMALL))).encode()
    with pytest.raises(Skip, match="changed its format") as caught:
        offline(http).parse(raw(body))
    assert caught.value.reason == "schema_drift"
    assert field_name in str(caught.value)


def test_values_that_are_no_values_are_left_out(http: Http) -> None:
    body = b'[{"date":"86400","totalCirculating":{"peggedUSD":NaN}},{"date":"172800","totalCirculating":0},'
    body += b'{"date":"259200","totalCirculating":{"peggedUSD":Infinity}},{"date":"345600","totalCirculating":null},'
    body += b'{"date":"432000","totalCirculating":{"peggedUSD":1e37}}]'
    assert [row["value"] for row in offline(http).parse(raw(body, "dai"))] == [0.0, 1e37]


def test_a_coin_off_the_watch_list(asked: Asked, http: Http) -> None:
    asked.reply(GOOD)
    source = asked.source(http)
    (outcome,) = ask(source, "no-such-coin")
    assert isinstance(outcome, Miss)
    assert outcome.reason == "unknown_entity"
    assert asked.asked == []
    with pytest.raises(Skip, match="watch list"):
        source.parse(raw(SMALL, "no-such-coin"))


def test_the_app_may_move_the_host(asked: Asked, http: Http) -> None:
    asked.reply(GOOD)
    source = open_source(Access(http, urls={"defillama_stablecoins": asked.server.url}, provenance={"cryptolake": "0"}))
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert outcome.provenance["cryptolake"] == "0"


NOWHERE = DefiLlama(Access(Http()))  # reads, and never asks
_amount = st.one_of(st.none(), st.floats(0, 1e30), st.integers(0, 10**30))


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000), st.booleans(), _amount), max_size=30))
def test_every_number_is_read_and_nothing_else(points: list[tuple[int, bool, float | int | None]]) -> None:
    body = json.dumps(
        [{"date": str(t) if text else t, "totalCirculating": {"peggedUSD": value}} for t, text, value in points]
    )
    rows = NOWHERE.parse(raw(body.encode(), "dai"))
    expected = [(datetime.fromtimestamp(t, UTC), float(v)) for t, _, v in points if v is not None]
    assert [(row["pulled_at"], row["value"]) for row in rows] == expected


@pytest.mark.parametrize(("key", "name", "points"), [("tether", "1_USDT", 3094), ("usd-coin", "2_USDC", 2808)])
def test_recorded_series_are_read_whole(http: Http, key: str, name: str, points: int) -> None:
    body = recorded(f"defillama/stablecoincharts_all_stablecoin{name}.json")
    rows = offline(http).parse(raw(body, key))
    assert len(rows) == points
    document = json.loads(body)
    assert [row["value"] for row in rows] == [float(p["totalCirculating"]["peggedUSD"]) for p in document]
    assert len({row["pulled_at"] for row in rows}) == points
    kept = conform_backfill(rows, rows[-1]["pulled_at"])  # asked at the instant of the newest point, as it was
    assert not METRICS.violations(kept)
    assert kept["pulled_at"].dt.date().is_unique().all(), "the newest day has two points; neither makes a second row"
