"""CoinGecko over real HTTP: a ranking that moves, tiers, limits, every refusal seen; recorded bodies read back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.coins.vendor import ASKED_AT, TOTALS, Vendor, coin, coins_of
from tests.recorded import recorded

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Asked
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter
from cryptolake.registry.coingecko import DEMO, KEYLESS, PRO, Tier, watched_coins
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.silver.metrics import conform_backfill, conform_live
from cryptolake.silver.staging_crypto_market import TABLE as STAGING
from cryptolake.silver.staging_crypto_market import conform
from cryptolake.sources.coingecko import CoinGecko, open_source
from cryptolake.work.coin_runs import run_of, totals_of

DAY = Period.of_day(ASKED_AT.date())
KEY = "CG-secretsecret"
PAID = {"COINGECKO_PRO_API_KEY": KEY}


def ask(source: CoinGecko, partition: Partition) -> Raw | Miss:
    (trip,) = source.trips([partition])
    (outcome,) = source.fetch(trip)
    return outcome


def ids(source: CoinGecko, outcome: Raw | Miss) -> list[str]:
    assert isinstance(outcome, Raw), outcome
    return [str(row["id"]) for row in source.parse(outcome)]


def raw(body: object, dataset: str = "coins_markets", key: str = "top250") -> Raw:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Raw(Partition(dataset, key, DAY), "coingecko", ASKED_AT, ASKED_AT, payload)


@pytest.mark.parametrize(
    ("top", "there", "pages", "got"), [(1000, 1200, 4, 1000), (100, 300, 1, 100), (600, 500, 3, 500)]
)
def test_pages_to_any_depth(source: CoinGecko, vendor: Vendor, top: int, there: int, pages: int, got: int) -> None:
    vendor.coins = coins_of(there)
    outcome = ask(source, run_of(top, ASKED_AT))
    assert ids(source, outcome) == [f"coin-{rank}" for rank in range(1, got + 1)]
    assert [query["page"] for _, query, _ in vendor.asked] == [str(page) for page in range(1, pages + 1)]
    assert {query["per_page"] for _, query, _ in vendor.asked} == {str(min(250, top))}


def test_a_body_is_kept_as_it_came(source: CoinGecko, vendor: Vendor) -> None:
    body = b'[{"id": "a",   "odd":1e5}]'
    vendor.replies = [(200, {}, body), (200, {}, b"[]")]
    outcome = ask(source, run_of(250, ASKED_AT))
    assert isinstance(outcome, Raw)
    assert body in outcome.payload


@pytest.mark.parametrize("moves", [1, 3])
def test_a_coin_that_slips_past_while_we_page_is_found(source: CoinGecko, vendor: Vendor, moves: int) -> None:
    vendor.coins = coins_of(750)

    def climb(_path: str, query: dict[str, str]) -> None:
        if query.get("page") == "2":  # coins of page 2 climb to page 1 that was read already; others fall onto page 2
            risen = vendor.coins[250 : 250 + moves]
            vendor.coins = [*vendor.coins[:240], *risen, *vendor.coins[240:250], *vendor.coins[250 + moves :]]
            vendor.before = lambda _path, _query: None

    vendor.before = climb
    outcome = ask(source, run_of(750, ASKED_AT))
    assert isinstance(outcome, Raw)
    rows = source.parse(outcome)
    assert {row["id"] for row in rows} == {one["id"] for one in vendor.coins}
    assert outcome.request["asked_again"] == "1"
    made = conform(rows, [], top=750, processed_at=ASKED_AT)
    assert made.staging.height == 750
    assert made.repeated == 250


def test_a_short_page_in_the_middle_is_not_the_end(source: CoinGecko, vendor: Vendor) -> None:
    vendor.coins = coins_of(750)

    def cut(_path: str, query: dict[str, str]) -> None:
        if query.get("page") == "2":
            vendor.replies = [(200, {}, json.dumps(vendor.coins[250:320]).encode())]

    vendor.before = cut
    outcome = ask(source, run_of(750, ASKED_AT))
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", "incomplete")


def test_another_period_cannot_be_answered(source: CoinGecko, vendor: Vendor) -> None:
    yesterday = run_of(100, ASKED_AT - timedelta(days=1))
    for partition in (yesterday, totals_of(yesterday)):
        outcome = ask(source, partition)
        assert isinstance(outcome, Miss)
        assert (outcome.state, outcome.reason) == ("gone", "past")
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("secrets", "tier", "header"),
    [
        ({}, KEYLESS, None),
        ({"COINGECKO_DEMO_API_KEY": KEY}, DEMO, "x-cg-demo-api-key"),
        ({"COINGECKO_PRO_API_KEY": KEY}, PRO, "x-cg-pro-api-key"),
        ({"COINGECKO_DEMO_API_KEY": "CG-other", "COINGECKO_PRO_API_KEY": KEY}, PRO, "x-cg-pro-api-key"),
    ],
)
def test_the_key_decides_tier_host_and_header(
    vendor: Vendor, http: Http, secrets: dict[str, str], tier: Tier, header: str | None
) -> None:
    assert open_source(Access(http, secrets=secrets)).asking.url == tier.url
    vendor.coins = coins_of(10)
    source = open_source(Access(http, urls={"coingecko": vendor.url + "/"}, secrets=secrets))
    assert source.tier is tier
    source._asked_at = lambda: ASKED_AT
    outcome = ask(source, run_of(10, ASKED_AT))
    assert isinstance(outcome, Raw)
    assert outcome.provenance["tier"] == tier.name
    assert KEY not in repr(outcome)
    for path, query, headers in vendor.asked:
        assert KEY not in path + str(query)
        assert {name: value for name, value in headers.items() if name.startswith("x-cg")} == (
            {header: KEY} if header else {}
        )


def test_a_pro_plan_is_asked_for_its_limit_once(vendor: Vendor, access: Access, waits: list[float]) -> None:
    vendor.coins, vendor.plan = (
        coins_of(900),
        {"rate_limit_request_per_minute": 30, "current_remaining_monthly_calls": 9},
    )
    paid = replace(access, secrets=PAID, gates=Gates(clock=lambda: 1000.0, sleep=waits.append))
    source = CoinGecko(paid, asked_at=lambda: ASKED_AT)
    assert isinstance(ask(source, run_of(900, ASKED_AT)), Raw)
    assert isinstance(ask(source, totals_of(run_of(900, ASKED_AT))), Raw)
    assert [path for path, *_ in vendor.asked] == ["/key", *["/coins/markets"] * 5, "/global"]
    asked_for_the_plan = 60 / 225  # is a call too, taken at the smallest plan's pace
    assert [wait for wait in waits if wait > 1e-9] == pytest.approx(
        [asked_for_the_plan + 60 / 27 * number for number in range(4)]
    ), "27 a minute after a burst of 3"
    assert source.asked == Asked(7, 0)


def test_the_users_own_limit_wins_over_the_plans(vendor: Vendor, access: Access) -> None:
    vendor.coins, vendor.plan = coins_of(10), {"rate_limit_request_per_minute": 500}
    source = CoinGecko(replace(access, secrets=PAID, rates={"coingecko": 85}), asked_at=lambda: ASKED_AT)
    limiter = source.asking.limiter()
    assert isinstance(limiter, Limiter)
    assert limiter.rate == pytest.approx((85 - 25) / 60)


def test_processes_with_one_key_hold_one_limit(vendor: Vendor, access: Access, tmp_path: Path) -> None:
    """Two runs that share nothing but the folder of limits: together they get one burst, then one pace."""
    vendor.coins = coins_of(10)
    waits: list[float] = []
    gates = [Gates(tmp_path, clock=lambda: 1000.0, sleep=waits.append) for _ in range(2)]
    runs = [
        CoinGecko(replace(access, secrets={"COINGECKO_DEMO_API_KEY": KEY}, gates=one), asked_at=lambda: ASKED_AT)
        for one in gates
    ]
    for _ in range(7):
        for run in runs:
            assert isinstance(ask(run, totals_of(run_of(10, ASKED_AT))), Raw)
    assert waits == pytest.approx([0.75, 1.5, 2.25, 3.0])
    vendor.replies = [(429, {"Retry-After": "30"}, b"")]
    assert isinstance(ask(runs[0], totals_of(run_of(10, ASKED_AT))), Raw)
    limiter = runs[1].asking.limiter()
    assert isinstance(limiter, Limiter)
    assert limiter.reserve() >= 30, "a 429 for one holds up the other"
    assert not any(KEY in file.name for file in tmp_path.iterdir())
    for one in gates:
        one.close()


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"current_remaining_monthly_calls": 0, "rate_limit_request_per_minute": 500}, "quota"),
        ("odd", None),
        ([], None),
    ],
)
def test_a_plan_that_is_used_up_is_said(vendor: Vendor, access: Access, plan: object, reason: str | None) -> None:
    vendor.coins, vendor.plan = coins_of(10), plan
    source = CoinGecko(replace(access, secrets=PAID), asked_at=lambda: ASKED_AT)
    outcome = ask(source, run_of(10, ASKED_AT))
    assert (outcome.reason if isinstance(outcome, Miss) else None) == reason


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason", "questions", "words"),
    [
        (401, {}, b'{"status":{"error_code":10002,"error_message":"x"}}', "bad_key", 1, "COINGECKO_DEMO_API_KEY"),
        (400, {}, b'{"error":{"status":{"error_code":10010}}}', "bad_key", 1, "set it as COINGECKO_PRO_API_KEY"),
        (400, {}, b'{"status":{"error_code":10011}}', "bad_key", 1, "set it as COINGECKO_DEMO_API_KEY"),
        (401, {}, b'{"error":{"status":{"timestamp":"t","error_code":10012}}}', "entitlement", 1, "pro key"),
        (403, {}, b'{"error_code":10005}', "entitlement", 1, "plan"),
        (401, {}, b"", "bad_key", 1, "refused"),
        (403, {}, b"<html>error code: 1020</html>", "blocked", 1, "firewall"),
        (404, {}, b'{"error":"coin not found"}', "unknown_entity", 1, "404"),
        (422, {}, b'{"error":"Missing parameter vs_currency"}', "refused", 1, "422"),
        (200, {}, b'{"error":"Could not find coin"}', "refused", 1, "error"),
        (200, {}, b'{"bitcoin":{}}', "vendor_error", 1, "no list"),
        (500, {}, b'{"status":500,"error":"Internal Server Error"}', "unreachable", 5, "500"),
        (503, {}, b"", "unreachable", 5, "503"),
        (408, {}, b"", "unreachable", 5, "408"),
        (429, {}, b"", "rate_limited", 5, "429"),
        (429, {"Retry-After": "3600"}, b"{}", "rate_limited", 1, "3600"),
        (200, {}, b"<html>", "unreadable", 5, "no JSON"),
        (200, {}, b"", "unreadable", 5, "no JSON"),
    ],
)
def test_a_refusal_is_told_apart(
    source: CoinGecko,
    vendor: Vendor,
    status: int,
    headers: dict[str, str],
    body: bytes,
    reason: str,
    questions: int,
    words: str,
) -> None:
    vendor.before = lambda _path, _query: vendor.replies.append((status, headers, body))
    outcome = ask(source, run_of(250, ASKED_AT))
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", reason)
    assert words in outcome.message
    assert "\n" not in outcome.message
    assert vendor.url not in outcome.message
    assert len(vendor.asked) == questions


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "7"}), (500, {}), (503, {"Retry-After": "7"})])
def test_a_passing_trouble_is_waited_out(
    source: CoinGecko, vendor: Vendor, waits: list[float], status: int, headers: dict[str, str]
) -> None:
    vendor.coins = coins_of(300)
    vendor.replies = [(status, headers, b"")]
    assert len(ids(source, ask(source, run_of(250, ASKED_AT)))) == 250
    assert max(waits) >= (7 if headers else 0.5)


def test_a_page_that_fails_fails_the_run_and_names_it(source: CoinGecko, vendor: Vendor) -> None:
    vendor.coins = coins_of(750)

    def fail(_path: str, query: dict[str, str]) -> None:
        if query.get("page") == "3":
            vendor.replies.append((500, {}, b""))

    vendor.before = fail
    outcome = ask(source, run_of(750, ASKED_AT))
    assert isinstance(outcome, Miss)
    assert "page 3 of 3" in outcome.message


def test_no_minute_sees_more_calls_than_the_tier_allows() -> None:
    for tier, allowed in ((KEYLESS, 5), (DEMO, 100), (PRO, 250)):
        assert tier.per_minute <= allowed


@pytest.mark.parametrize(("tier", "days"), [(KEYLESS, "365"), (DEMO, "365"), (PRO, "max")])
def test_history_reaches_as_far_as_the_tier(vendor: Vendor, access: Access, tier: Tier, days: str) -> None:
    vendor.charts["bitcoin"] = {"prices": [[0, 1]], "market_caps": [[0, None]], "total_volumes": [[0, 2.5]]}
    keyed = replace(access, secrets={tier.secret: KEY} if tier.secret else {})
    source = CoinGecko(keyed, coins=["bitcoin"], asked_at=lambda: ASKED_AT)
    assert source.tier is tier
    outcome = ask(source, Partition("market_chart", "bitcoin", DAY))
    assert isinstance(outcome, Raw)
    assert vendor.asked[-1][1] == {"vs_currency": "usd", "days": days, "interval": "daily"}
    assert outcome.request.get("clamped_to_days") == (None if tier is PRO else "365")
    assert [(row["metric_name"], row["value"]) for row in source.parse(outcome)] == [
        ("PRICE", 1.0),
        ("VOLUME_24H", 2.5),
    ]


def test_live_values_of_many_coins_are_one_question(source: CoinGecko, vendor: Vendor) -> None:
    vendor.coins = coins_of(300)
    hour = Period.of_hour(ASKED_AT)
    wanted = [Partition("market_chart", one, hour) for one in ("coin-3", "coin-1", "gone-coin")]
    found = {outcome.partition.key: outcome for trip in source.trips(wanted) for outcome in source.fetch(trip)}
    ((path, query, _),) = vendor.asked
    assert (path, query["ids"]) == ("/coins/markets", "coin-1,coin-3,gone-coin")
    missing, third = found["gone-coin"], found["coin-3"]
    assert isinstance(missing, Miss)
    assert missing.reason == "unknown_entity"
    assert isinstance(third, Raw)
    rows = {str(row["metric_name"]): row["value"] for row in source.parse(third)}
    assert rows["PRICE"] == vendor.coins[2]["current_price"]
    assert rows["FDV"] == vendor.coins[2]["fully_diluted_valuation"]
    assert set(rows) <= {
        *("PRICE", "MARKET_CAP", "VOLUME_24H", "FDV"),
        *("CIRCULATING_SUPPLY", "TOTAL_SUPPLY", "MAX_SUPPLY"),
    }
    many = [Partition("market_chart", f"c{number}", hour) for number in range(501)]
    assert [len(trip.partitions) for trip in source.trips(many)] == [250, 250, 1]


def test_a_live_refusal_fails_every_coin_of_it(source: CoinGecko, vendor: Vendor) -> None:
    vendor.before = lambda _path, _query: vendor.replies.append((403, {}, b""))
    hour = Period.of_hour(ASKED_AT)
    (trip,) = source.trips([Partition("market_chart", one, hour) for one in ("a", "b")])
    assert [(one.reason, one.partition.key) for one in source.fetch(trip) if isinstance(one, Miss)] == [
        ("blocked", "a"),
        ("blocked", "b"),
    ]


def test_an_unreadable_history_is_kept_as_evidence(source: CoinGecko, vendor: Vendor) -> None:
    vendor.before = lambda _path, _query: vendor.replies.append((200, {}, b"<html>"))
    outcome = ask(source, Partition("market_chart", "bitcoin", DAY))
    assert isinstance(outcome, Raw)
    with pytest.raises(Skip, match="no JSON"):
        source.parse(outcome)


def test_other_coins_share_the_limits(source: CoinGecko, vendor: Vendor) -> None:
    other = source.watching(["b", "a", "b"])
    assert other.keys("market_chart") == ["a", "b"]
    assert source.keys("market_chart") == list(watched_coins())
    assert other.keys("coins_markets") == ["top1000"]
    assert other.asking.limiter() is source.asking.limiter()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"current_price": "12"}, "current_price"),
        ({"current_price": True}, "current_price"),
        ({"market_cap_rank": 1.5}, "market_cap_rank"),
        ({"market_cap_rank": 2**40}, "market_cap_rank"),
        ({"id": None}, "id"),
        ({"last_updated": "yesterday"}, "last_updated"),
        ({"total_volume": 10**400}, "total_volume"),
    ],
)
def test_a_changed_type_is_drift_naming_the_field(source: CoinGecko, changes: dict[str, object], word: str) -> None:
    with pytest.raises(Skip, match=word) as caught:
        source.parse(raw([[coin(1), coin(2, **changes)]]))
    assert caught.value.reason == "schema_drift"


@pytest.mark.parametrize("body", [{}, [1], [[1]], [{"id": "a"}], [[{"id": "a"}]]])
def test_a_changed_layout_is_drift(source: CoinGecko, body: object) -> None:
    with pytest.raises(Skip) as caught:
        source.parse(raw(body))
    assert caught.value.reason == "schema_drift"


def test_a_field_only_some_coins_have_is_null_for_the_others(source: CoinGecko) -> None:
    bare = {k: v for k, v in coin(2).items() if k != "fully_diluted_valuation"}
    rows = source.parse(raw([[coin(1), bare]]))
    assert rows[1]["fully_diluted_valuation"] is None
    assert source.parse(raw([[]])) == []


def test_nan_and_null_are_unknown_and_zero_is_zero(source: CoinGecko) -> None:
    body = json.dumps([[coin(1, current_price=float("nan")), coin(2, market_cap=0), coin(3, ath=None)]]).encode()
    first, second, third = source.parse(raw(body))
    assert (first["current_price"], second["market_cap"], third["ath"]) == (None, 0.0, None)


def test_the_totals_are_in_dollars(source: CoinGecko) -> None:
    (row,) = source.parse(raw(TOTALS, "market_global", "all"))
    assert row["total_market_cap"] == 2.5e12
    assert row["last_updated"] == ASKED_AT - timedelta(minutes=1)
    with pytest.raises(Skip, match="total_market_cap"):
        source.parse(raw({"data": {**TOTALS["data"], "total_market_cap": {"eur": 1}}}, "market_global", "all"))


@pytest.mark.parametrize("key", ["1000", "top", "top0", "top10x", "top10-1Z"])
def test_a_key_that_names_no_depth(source: CoinGecko, key: str) -> None:
    with pytest.raises(Skip, match="top1000"):
        list(source.fetch(next(iter(source.trips([Partition("coins_markets", key, DAY)])))))


_number = st.none() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)


@given(price=_number, cap=_number, supply=_number)
def test_every_number_is_read_as_it_is(price: Any, cap: Any, supply: Any) -> None:
    client = Http()
    (row,) = CoinGecko(Access(client)).parse(raw([[coin(1, current_price=price, market_cap=cap, max_supply=supply)]]))
    client.close()
    found = (row["current_price"], row["market_cap"], row["max_supply"])
    assert found == tuple(None if one is None else float(one) for one in (price, cap, supply))


@pytest.mark.parametrize("name", ["markets_bitcoin_usd", "markets_two_eth"])
def test_a_recorded_page_is_read_whole(source: CoinGecko, name: str) -> None:
    body = recorded(f"coingecko/{name}.json")
    rows = source.parse(raw(b"[" + body + b"]"))
    document = json.loads(body)
    assert [row["id"] for row in rows] == [one["id"] for one in document]
    for field in ("current_price", "atl_change_percentage", "max_supply", "high_24h", "total_volume"):
        assert [row[field] for row in rows] == [one[field] for one in document]
    made = conform(rows, [], top=250, processed_at=datetime(2021, 5, 15, 16, 5, tzinfo=UTC))
    assert not STAGING.violations(made.staging)
    assert made.staging["id"].to_list() == [one["id"] for one in document]
    assert made.staging["max_supply"].null_count() == sum(one["max_supply"] is None for one in document)


def test_recorded_totals_and_history_are_read(source: CoinGecko) -> None:
    body = recorded("coingecko/global.json")
    (row,) = source.parse(raw(body, "market_global", "all"))
    assert row["total_market_cap"] == json.loads(body)["data"]["total_market_cap"]["usd"]
    chart = json.loads(recorded("coingecko/market_chart_bitcoin_90_days.json"))
    rows = source.parse(raw(chart, "market_chart", "bitcoin"))
    assert len(rows) == 3 * 91
    asked_at = max(row["pulled_at"] for row in rows)  # the last point is the instant of asking
    assert isinstance(asked_at, datetime)
    kept = conform_backfill(rows, asked_at)
    assert kept.height == 3 * 89, "the day of asking has two points; both belong to live pulls"
    assert not METRICS.violations(kept)
    assert set(conform_live(rows, asked_at)["pulled_at"]) == {datetime.combine(asked_at.date(), datetime.min.time())}


def test_the_watch_list_is_sound() -> None:
    coins = watched_coins()
    assert len(coins) == len(set(coins)) >= 100
    assert {"bitcoin", "ethereum", "tether"} <= set(coins)
