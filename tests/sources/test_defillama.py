"""DefiLlama over real HTTP against a vendor that misbehaves in every way seen, and its recorded bodies read back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.loopback import Answer, serving

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.http import Http
from cryptolake.silver.metrics import METRICS, conform_backfill, conform_live
from cryptolake.sources.defillama import DefiLlama, open_source

ASKED_AT = datetime(2024, 12, 5, 13, 0, tzinfo=UTC)
DAY = Period.of_day(date(2024, 12, 5))
SMALL = (Path(__file__).parent / "data" / "stablecoincharts_small.json").read_bytes()
RECORDED = (
    Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "apis" / "recorded" / "defillama"
) / "stablecoins"


@dataclass
class Reply:
    """What the vendor answers next; `cut` announces more bytes than it sends."""

    status: int = 200
    body: bytes = SMALL
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Vendor:
    """A real HTTP server that answers from a list (the last reply repeats) and remembers what it was asked."""

    url: str
    replies: list[Reply]
    asked: list[str]
    waits: list[float]

    def source(self, http: Http, **options: object) -> DefiLlama:
        """The source with a sleep that only takes notes."""
        return DefiLlama(
            http,
            stablecoins_url=self.url + "/",
            asked_at=lambda: ASKED_AT,
            sleep=self.waits.append,
            jitter=lambda: 0.5,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    found = Vendor("", [], [], [])

    def answer(asked: str, _headers: Mapping[str, str]) -> Answer:
        found.asked.append(asked)
        reply = found.replies.pop(0) if len(found.replies) > 1 else found.replies[0]
        length = len(reply.body) + (1000 if reply.cut else 0)
        return reply.status, {**reply.headers, "Content-Length": str(length)}, reply.body

    with serving(answer) as found.url:
        yield found


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(timeout_s=20)
    yield client
    client.close()


def partition(key: str = "celo-euro") -> Partition:
    return Partition("stablecoin_supply", key, DAY)


def ask(source: DefiLlama, *keys: str) -> list[Raw | Miss]:
    trips = source.trips([partition(key) for key in keys or ("celo-euro",)])
    return [outcome for trip in trips for outcome in source.fetch(trip)]


def raw(body: bytes, key: str = "celo-euro") -> Raw:
    return Raw(partition(key), "defillama", ASKED_AT, ASKED_AT, body)


def test_a_good_answer_is_kept_untouched_and_read(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply()]
    source = vendor.source(http, provenance={"sandbox": "true"})
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert outcome.payload == SMALL
    assert parse_qs(urlsplit(vendor.asked[0]).query) == {"stablecoin": ["52"]}
    assert urlsplit(vendor.asked[0]).path == "/stablecoincharts/all"
    assert outcome.fetched_at == ASKED_AT
    assert outcome.request == {"method": "GET", "path": "/stablecoincharts/all", "stablecoin": "52"}
    assert outcome.provenance == {"endpoint": "defillama_stablecoins", "sandbox": "true"}
    assert vendor.url not in str(outcome)
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
    rows = DefiLlama(http).parse(raw(SMALL))
    live, history = conform_live(rows, ASKED_AT), conform_backfill(rows, ASKED_AT)
    assert live.select("pulled_at", "value").rows() == [(datetime(2024, 12, 5), 1_200_001.25)]
    assert history["value"].to_list() == [0.0, 1_000_000.0]
    assert METRICS.violations(live) == METRICS.violations(history) == []


def test_one_conversation_per_coin_serves_every_period(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply()]
    source = vendor.source(http)
    wanted = [
        Partition("stablecoin_supply", key, Period.of_day(date(2024, 12, day)))
        for key in ("dai", "celo-euro")
        for day in (3, 4, 5)
    ]
    trips = list(source.trips(wanted))
    assert sorted(p for trip in trips for p in trip.partitions) == sorted(wanted)
    assert [len(trip.partitions) for trip in trips] == [3, 3]
    assert len(list(source.fetch(trips[0]))) == 3
    assert len(vendor.asked) == 1


def test_402_is_asked_once_in_a_run(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply(402, b"Upgrade to the paid API plan", {"Content-Type": "text/plain"})]
    outcomes = ask(vendor.source(http), "dai", "celo-euro", "usds")
    assert [(one.state, one.reason) for one in outcomes if isinstance(one, Miss)] == [("failed", "entitlement")] * 3
    assert len(vendor.asked) == 1
    assert sum(vendor.waits) < 0.001


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(403, b"<html>Attention Required! | Cloudflare</html>"), "blocked"),
        (Reply(404, b"404 page not found"), "refused"),
        (Reply(400, b'"Protocol not found"'), "refused"),
        (Reply(200, b""), "empty_answer"),
        (Reply(200, b"undefined"), "empty_answer"),
        (Reply(200, b" []\n"), "empty_answer"),
        (Reply(200, b'{"statusCode":400,"error":"Bad Request"}'), "vendor_error"),
    ],
)
def test_refusals_are_told_apart_and_not_repeated(vendor: Vendor, http: Http, reply: Reply, reason: str) -> None:
    vendor.replies = [reply]
    (outcome,) = ask(vendor.source(http))
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", reason)
    assert outcome.message.startswith("defillama celo-euro: ")
    assert "http" not in outcome.message
    assert "\n" not in outcome.message
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_trouble_is_retried_with_growing_waits_and_then_given_up(vendor: Vendor, http: Http, status: int) -> None:
    vendor.replies = [Reply(status, b'"Internal server error"')]
    (outcome,) = ask(vendor.source(http, attempts=4, clock=lambda: len(vendor.asked) * 10.0))
    assert isinstance(outcome, Miss)
    assert outcome.reason == "unreachable"
    assert str(status) in outcome.message
    assert len(vendor.asked) == 4
    assert [wait for wait in vendor.waits if wait > 0.001] == [0.5, 1.0, 2.0]


def test_trouble_that_passes_is_forgotten(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply(500), Reply(200, b"cut off {"), Reply(200, b'{"statusCode":503}'), Reply()]
    (outcome,) = ask(vendor.source(http))
    assert isinstance(outcome, Raw)
    assert outcome.payload == SMALL


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("7", 6.5, 7.5), ("2.5", 2.0, 3.0), ("0", 0.0, 1.0), ("soon", 0.0, 1.0), (None, 0.0, 1.0)],
)
def test_429_waits_as_asked(vendor: Vendor, http: Http, header: str | None, low: float, high: float) -> None:
    vendor.replies = [Reply(429, b"slow down", {"Retry-After": header} if header else {}), Reply()]
    (outcome,) = ask(vendor.source(http))
    assert isinstance(outcome, Raw)
    assert low <= sum(vendor.waits) <= high


def test_429_with_a_date_in_the_past_is_retried_soon(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply(429, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), Reply()]
    assert isinstance(ask(vendor.source(http))[0], Raw)
    assert sum(vendor.waits) < 1


def test_429_for_an_hour_is_not_waited_for(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply(429, b"", {"Retry-After": "3600"})]
    (outcome,) = ask(vendor.source(http))
    assert isinstance(outcome, Miss)
    assert outcome.reason == "rate_limited"
    assert "3600 s" in outcome.message
    assert len(vendor.asked) == 1


def test_cut_bodies_and_absent_hosts_are_retried(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply(cut=True), Reply(200, gzip.compress(SMALL)[:40], {"Content-Encoding": "gzip"}), Reply()]
    assert isinstance(ask(vendor.source(http))[0], Raw)
    absent = DefiLlama(http, stablecoins_url="http://127.0.0.1:9/secret-key", attempts=2, sleep=vendor.waits.append)
    (outcome,) = ask(absent)
    assert isinstance(outcome, Miss)
    assert outcome.reason == "unreachable"
    assert "secret" not in outcome.message


def test_an_unreadable_body_is_kept_as_evidence(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply(200, b"<html>We are moving</html>")]
    source = vendor.source(http, attempts=3)
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert len(vendor.asked) == 3
    with pytest.raises(Skip) as caught:
        source.parse(outcome)
    assert caught.value.reason == "unreadable"


def test_the_rate_is_shared_by_all_conversations(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply()]
    source = vendor.source(http, clock=lambda: 0.0)
    ask(source, *source.keys("stablecoin_supply"))
    assert vendor.waits == pytest.approx([n / 15 for n in range(1, len(vendor.asked))])


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
        DefiLlama(http).parse(raw(body))
    assert caught.value.reason == "schema_drift"
    assert field_name in str(caught.value)


def test_values_that_are_no_values_are_left_out(http: Http) -> None:
    body = b'[{"date":"86400","totalCirculating":{"peggedUSD":NaN}},{"date":"172800","totalCirculating":0},'
    body += b'{"date":"259200","totalCirculating":{"peggedUSD":Infinity}},{"date":"345600","totalCirculating":null},'
    body += b'{"date":"432000","totalCirculating":{"peggedUSD":1e37}}]'
    assert [row["value"] for row in DefiLlama(http).parse(raw(body, "dai"))] == [0.0, 1e37]


def test_a_coin_off_the_watch_list(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply()]
    source = vendor.source(http)
    (outcome,) = ask(source, "no-such-coin")
    assert isinstance(outcome, Miss)
    assert outcome.reason == "unknown_entity"
    assert vendor.asked == []
    with pytest.raises(Skip, match="watch list"):
        source.parse(raw(SMALL, "no-such-coin"))


def test_the_app_may_move_the_host(vendor: Vendor, http: Http) -> None:
    vendor.replies = [Reply()]
    source = open_source(Access(http, urls={"defillama_stablecoins": vendor.url}, provenance={"cryptolake": "0"}))
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert outcome.provenance["cryptolake"] == "0"


_amount = st.one_of(st.none(), st.floats(0, 1e30), st.integers(0, 10**30))


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000), st.booleans(), _amount), max_size=30))
def test_every_number_is_read_and_nothing_else(points: list[tuple[int, bool, float | int | None]]) -> None:
    body = json.dumps(
        [{"date": str(t) if text else t, "totalCirculating": {"peggedUSD": value}} for t, text, value in points]
    )
    client = Http()
    rows = DefiLlama(client).parse(raw(body.encode(), "dai"))
    client.close()
    expected = [(datetime.fromtimestamp(t, UTC), float(v)) for t, _, v in points if v is not None]
    assert [(row["pulled_at"], row["value"]) for row in rows] == expected


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the vendor's recorded bodies are not beside this checkout")
@pytest.mark.parametrize(("key", "name", "points"), [("tether", "1_USDT", 3094), ("usd-coin", "2_USDC", 2808)])
def test_recorded_series_are_read_whole(http: Http, key: str, name: str, points: int) -> None:
    body = (RECORDED / f"stablecoincharts_all_stablecoin{name}.json").read_bytes()
    rows = DefiLlama(http).parse(raw(body, key))
    assert len(rows) == points
    document = json.loads(body)
    assert [row["value"] for row in rows] == [float(p["totalCirculating"]["peggedUSD"]) for p in document]
    assert len({row["pulled_at"] for row in rows}) == points
    assert not METRICS.violations(conform_backfill(rows, ASKED_AT))
