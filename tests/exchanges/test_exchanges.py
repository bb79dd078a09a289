"""Binance, Coinbase and Kraken through the real ccxt over real HTTP: gaps, reach, refusals, spreads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.exchanges.venue import HOUR, Venues, price, serve
from tests.recorded import recorded
from tests.stores import stores_of

from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import Retry, Skip, Stop
from cryptolake.gold import exchange_spread
from cryptolake.net.access import Access
from cryptolake.net.http import Http
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.exchanges import EXCHANGES, watched_pairs
from cryptolake.silver.exchange_candles import TABLE as CANDLES
from cryptolake.silver.exchange_candles import conform as conform_candles
from cryptolake.silver.exchange_tickers import TABLE as TICKERS
from cryptolake.sources.exchanges import Exchanges, _connect, open_source
from cryptolake.state.ledger import Ledger
from cryptolake.work import exchanges as flow

ccxt = pytest.importorskip("ccxt", reason="the extra `exchanges` is not installed")

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
YESTERDAY = date(2026, 11, 20)
PAIRS = {"binance": ["BTC/USDT"], "coinbase": ["BTC/USD", "BTC/USDT"], "kraken": ["BTC/USD", "BTC/USDT"]}


@pytest.fixture
def venues() -> Iterator[Venues]:
    with serve() as found:
        yield found


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def source(venues: Venues, waits: list[float]) -> Exchanges:
    urls = {name: f"{venues.url}/{name}" for name in EXCHANGES}
    return Exchanges(urls=urls, pairs=PAIRS, asked_at=lambda: NOW, sleep=waits.append, per_minute=60_000)


def ask(source: Exchanges, *partitions: Partition) -> list[Raw | Miss]:
    return [outcome for trip in source.trips(partitions) for outcome in source.fetch(trip)]


def candle(key: str, day: date = YESTERDAY) -> Partition:
    return Partition("candles", key, Period.of_day(day))


def epoch(day: date, hour: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("key", ["binance:BTC-USDT", "coinbase:BTC-USD", "kraken:BTC-USD"])
def test_a_day_has_every_hour_once_whatever_the_exchange_leaves_out(
    source: Exchanges, venues: Venues, key: str
) -> None:
    venues.silent = {epoch(YESTERDAY, hour) for hour in (3, 4, 23)}
    (outcome,) = ask(source, candle(key))
    assert isinstance(outcome, Raw), outcome
    rows = source.parse(outcome)
    frame = conform_candles(rows)
    assert not CANDLES.violations(frame)
    assert frame["opened_at"].dt.hour().to_list() == list(range(24))
    assert [hour for hour, filled in enumerate(frame["filled"]) if filled] == [3, 4, 23]
    told = frame.filter(~pl.col("filled"))
    assert told["open"].to_list() == [price(epoch(YESTERDAY, hour)) for hour in told["opened_at"].dt.hour()]
    assert set(told["volume"]) == {2.5}
    before = price(epoch(YESTERDAY, 2)) + 0.5
    gap = frame.filter(pl.col("opened_at").dt.hour() == 4).row(0, named=True)
    assert (gap["open"], gap["high"], gap["low"], gap["close"], gap["volume"]) == (before, before, before, before, 0.0)


def test_the_first_hour_of_a_day_is_filled_from_the_day_before(source: Exchanges, venues: Venues) -> None:
    venues.silent = {epoch(YESTERDAY, 0)}
    (outcome,) = ask(source, candle("binance:BTC-USDT"))
    assert isinstance(outcome, Raw)
    first = source.parse(outcome)[0]
    assert first["close"] == price(epoch(YESTERDAY) - HOUR) + 0.5
    venues.silent |= {epoch(YESTERDAY) - HOUR}
    (outcome,) = ask(source, candle("binance:BTC-USDT"))
    assert isinstance(outcome, Raw)
    assert [source.parse(outcome)[0][name] for name in ("close", "volume", "filled")] == [None, None, True]


def test_a_silent_day_is_missing_not_filled(source: Exchanges, venues: Venues) -> None:
    venues.silent = {epoch(YESTERDAY, hour) for hour in range(24)}
    (outcome,) = ask(source, candle("coinbase:BTC-USD"))
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", "no_candles")


def test_today_is_not_over_and_old_days_are_out_of_krakens_reach(source: Exchanges, venues: Venues) -> None:
    today, old = candle("kraken:BTC-USD", NOW.date()), candle("kraken:BTC-USD", NOW.date() - timedelta(days=31))
    found = {outcome.partition: outcome for outcome in ask(source, today, old)}
    assert {(one.state, one.reason) for one in found.values() if isinstance(one, Miss)} == {
        ("failed", "not_yet"),
        ("gone", "out_of_reach"),
    }
    assert venues.asked == []


def test_days_are_asked_together_and_split_exactly(source: Exchanges, venues: Venues) -> None:
    wanted = [Partition("candles", "binance:BTC-USDT", day) for day in days(date(2026, 10, 1), date(2026, 10, 30))]
    found = ask(source, *wanted)
    assert [outcome.partition for outcome in found] == wanted
    assert venues.asked.count("/binance/klines") == 3
    for outcome in found:
        assert isinstance(outcome, Raw)
        assert [row["opened_at"].hour for row in source.parse(outcome)] == list(range(24))  # type: ignore[attr-defined]


@given(st.sets(st.integers(0, 400), max_size=60))
def test_every_partition_is_in_exactly_one_trip_of_consecutive_days(offsets: set[int]) -> None:
    first = date(2025, 1, 1)
    wanted = [candle(key, first + timedelta(days=n)) for n in offsets for key in ("kraken:BTC-USD", "binance:BTC-USDT")]
    trips = list(Exchanges(pairs=PAIRS).trips(wanted))
    assert sorted(one for trip in trips for one in trip.partitions) == sorted(wanted)
    for trip in trips:
        assert len(trip.partitions) <= 12
        assert len({one.key for one in trip.partitions}) == 1
        starts = [one.period.start for one in trip.partitions]
        assert starts == [starts[0] + timedelta(days=n) for n in range(len(starts))]


@pytest.mark.parametrize(
    ("replies", "kind", "words", "questions"),
    [
        ([(451, b"{}")] * 9, Skip, "blocked region", 1),
        ([(403, b"<html>")] * 9, Skip, "blocked region", 1),
        ([(429, b"{}")] * 9, Retry, "slow down", 4),
        ([(503, b"")] * 9, Retry, "does not answer", 4),
    ],
)
def test_a_refusal_is_one_line_without_the_address(
    source: Exchanges,
    venues: Venues,
    replies: list[tuple[int, bytes]],
    kind: type[Exception],
    words: str,
    questions: int,
) -> None:
    venues.replies = list(replies)
    with pytest.raises(kind, match=words) as caught:
        ask(source, candle("binance:BTC-USDT"))
    assert "http" not in str(caught.value)
    assert venues.url not in str(caught.value)
    assert venues.asked.count("/binance/klines") == questions


def test_a_passing_trouble_is_waited_out(source: Exchanges, venues: Venues, waits: list[float]) -> None:
    venues.replies = [(503, b""), (429, b"{}")]
    (outcome,) = ask(source, candle("binance:BTC-USDT"))
    assert isinstance(outcome, Raw)
    assert waits == [2.0, 4.0]


def test_an_unknown_pair_or_exchange_is_said(source: Exchanges) -> None:
    with pytest.raises(Skip, match="does not know NO/PAIR"):
        ask(source, candle("binance:NO-PAIR"))
    with pytest.raises(Skip, match="known: binance, coinbase, kraken"):
        ask(source, candle("mtgox:BTC-USD"))


def test_without_the_extra_the_remedy_is_said(source: Exchanges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(Stop, match=r"pip install 'cryptolake\[exchanges\]'"):
        ask(source, candle("binance:BTC-USDT"))


@pytest.mark.parametrize(
    "body", [b"<", b"[]", b'{"candles": {}}', b'{"candles": [[1, 2]]}', b'{"candles": [[1800000001000,1,1,1,1,1]]}']
)
def test_a_changed_layout_is_told(source: Exchanges, body: bytes) -> None:
    with pytest.raises(Skip):
        source.parse(Raw(candle("binance:BTC-USDT"), "exchanges", NOW, NOW, body))


def ticker_rows(quotes: list[tuple[str, str, float | None, float | None, int]]) -> pl.DataFrame:
    hour = NOW.replace(minute=0)
    rows = [
        dict.fromkeys(TICKERS.columns)
        | {"exchange": e, "symbol": s, "bid": b, "ask": a, "hour": hour, "observed_at": hour + timedelta(seconds=t)}
        for e, s, b, a, t in quotes
    ]
    return pl.DataFrame(rows, schema=TICKERS.polars_schema())


def test_spreads_compare_like_with_like() -> None:
    frame = exchange_spread.build(
        ticker_rows(
            [
                ("kraken", "BTC/USD", 59990, 60005, 3),
                ("coinbase", "BTC/USD", 60020, 60030, 1),
                ("binance", "BTC/USDT", 1, 2, 1),  # nobody else quotes it
                ("kraken", "ETH/USD", 3000, None, 1),  # one side only
                ("coinbase", "ETH/USD", 3000, 3001, 1),
                ("coinbase", "BTC/USD", 1, 2, 0),  # an older quote of the same hour
            ]
        )
    )
    (row,) = frame.rows(named=True)
    assert (row["symbol"], row["exchanges"], row["asked_apart_s"]) == ("BTC/USD", 2, 2.0)
    assert (row["best_bid"], row["best_bid_exchange"]) == (60020, "coinbase")
    assert (row["best_ask"], row["best_ask_exchange"]) == (60005, "kraken")
    assert row["crossing_pct"] == pytest.approx(15 / 60012.5 * 100)
    assert row["mid_dispersion_pct"] == pytest.approx((60025 / 59997.5 - 1) * 100)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["binance", "coinbase", "kraken"]),
            st.sampled_from(["A/B", "C/D"]),
            st.floats(1, 1e6),
            st.floats(1, 1e6),
            st.integers(0, 3000),
        ),
        max_size=12,
        unique_by=lambda quote: (quote[0], quote[1], quote[4]),
    ),
    st.randoms(use_true_random=False),
)
def test_a_spread_is_the_best_of_each_side_whatever_the_order(quotes: list, random: object) -> None:
    frame = exchange_spread.build(ticker_rows(quotes))
    shuffled = list(quotes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert exchange_spread.build(ticker_rows(shuffled)).equals(frame)
    newest: dict[tuple[str, str], tuple[float, float, int]] = {}
    for exchange, symbol, bid, ask_, at in sorted(quotes, key=lambda quote: quote[4]):
        newest[exchange, symbol] = (bid, ask_, at)
    for row in frame.rows(named=True):
        same = [quote for (_, symbol), quote in newest.items() if symbol == row["symbol"]]
        assert row["exchanges"] == len(same) >= 2
        assert row["best_bid"] == max(quote[0] for quote in same)
        assert row["best_ask"] == min(quote[1] for quote in same)
    assert not exchange_spread.TABLE.violations(frame)


def test_the_whole_river(source: Exchanges, venues: Venues, tmp_path: Path, warehouse: Warehouse) -> None:
    stores = stores_of(tmp_path, Ledger(tmp_path / "l.sqlite"), warehouse)
    venues.symbols = ("BTC/USD", "BTC/USDT")
    quoted = flow.tickers(source, stores, keys=source.keys("tickers"), now=lambda: NOW)
    assert (quoted.collected.done, quoted.rows, quoted.loaded.inserted) == (3, 5, 5)
    assert quoted.spread["symbol"].to_list() == ["BTC/USD", "BTC/USDT"]
    assert quoted.spread["exchanges"].to_list() == [2, 3]
    assert (tmp_path / "gold" / "exchange_spread.parquet").exists()

    span = {"first": date(2026, 11, 18), "last": YESTERDAY, "keys": source.keys("candles")}
    made = flow.candles(source, stores, **span)  # type: ignore[arg-type]
    assert (made.collected.done, made.rows, made.loaded.inserted) == (15, 15 * 24, 15 * 24)
    questions = len(venues.asked)
    again = flow.candles(source, stores, **span)  # type: ignore[arg-type]
    assert len(venues.asked) == questions, "settled days are not asked again"
    assert again.loaded.unchanged == 15 * 24
    stored = stores.tables.read(CANDLES)
    assert stored.height == 15 * 24
    sql = (
        "SELECT count(*) FROM (SELECT opened_at - lag(opened_at) OVER (PARTITION BY exchange, symbol ORDER BY opened_at) "
        "AS step FROM exchange_candles) AS steps WHERE step <> interval '1 hour'"
    )
    assert warehouse.query(sql).rows() == [(0,)]
    logged = warehouse.query("SELECT operation, status, records_count FROM pulls ORDER BY pull_id").rows()
    assert logged == [("pull", "success", 5), ("backfill", "success", 360), ("backfill", "success", 360)]
    stores.ledger.close()


def test_a_pair_an_exchange_dropped_is_named_and_the_others_are_kept(source: Exchanges, venues: Venues) -> None:
    venues.symbols = ("BTC/USDT",)
    (outcome,) = ask(source, Partition("tickers", "kraken", Period.of_hour(NOW)))
    assert isinstance(outcome, Raw)
    assert outcome.request["missing"] == "BTC/USD"
    assert [row["symbol"] for row in source.parse(outcome)] == ["BTC/USDT"]
    (past,) = ask(source, Partition("tickers", "kraken", Period.of_hour(NOW - timedelta(hours=1))))
    assert isinstance(past, Miss)
    assert past.reason == "past"


@pytest.mark.parametrize(
    ("name", "file", "method", "symbols"),
    [
        ("coinbase", "coinbase_products", "publicGetProducts", {"BTC/USD", "ETH/USD"}),
        ("kraken", "kraken_asset_pairs", "publicGetAssetPairs", {"BTC/USD", "ETH/USD", "BTC/USDT"}),
    ],
)
def test_recorded_market_lists_hold_the_watched_pairs(name: str, file: str, method: str, symbols: set[str]) -> None:
    body = json.loads(recorded(f"exchanges/{file}.json"))
    api = _connect(ccxt, EXCHANGES[name], None, None)
    setattr(api, method, lambda _params=None: body)
    api.load_markets()
    assert symbols <= set(api.markets)
    assert symbols <= set(watched_pairs()[name])


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_users_rate_takes_the_place_of_the_pace_ccxt_keeps(name: str) -> None:
    own = getattr(ccxt, EXCHANGES[name].ccxt_id)().rateLimit
    assert _connect(ccxt, EXCHANGES[name], None, None).rateLimit == own  # type: ignore[attr-defined]
    assert _connect(ccxt, EXCHANGES[name], None, None, 120).rateLimit == 500  # type: ignore[attr-defined]
    told = open_source(Access(Http(), rates={"exchanges": 120}))
    assert told._per_minute == 120
