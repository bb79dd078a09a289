"""Binance, Coinbase and Kraken through ccxt: hourly candles of finished days, and best bid and ask now.

What does not belong here: which pairs are watched (`registry.exchanges`) and comparing exchanges (`gold.exchange_spread`).
ccxt is an extra of two seconds and 90 MB; it is imported when an exchange is first asked. See docs/sources/exchanges.md.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Protocol, TypeVar, cast

from cryptolake.contracts.contact import Assumption, told
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import drift, instant, kept_json, no_json, read_json, typed
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.contracts.vendor import Vendor
from cryptolake.errors import Retry, Skip, Stop
from cryptolake.net.access import Access
from cryptolake.net.counted import CountedHttp
from cryptolake.registry.exchanges import EXCHANGES, Exchange, watched_pairs
from cryptolake.waiting import pause

# ccxt knows each exchange's pace and address, and keeps to that pace; the user's own rate and address take their place.
VENDOR = Vendor(name="exchanges", hosts=dict.fromkeys(EXCHANGES, ""))
CANDLES = Dataset(
    "candles",
    feeds="exchange_candles",
    doc="hourly candles of the watched pairs, for finished days; key exchange:BASE-QUOTE",
    reach="window",
)
TICKERS = Dataset(
    "tickers",
    feeds="exchange_tickers",
    doc="best bid and ask of the watched pairs; key exchange",
    reach="as_of",
    every="hour",
    history=False,
)
_HOUR_MS = 3_600_000
_DAYS_PER_CALL = 12  # 288 hourly candles and the one before them; Coinbase tells at most 300 at once
_HOUR = timedelta(hours=1)
_SETTLES = timedelta(minutes=1)  # the last candle of a day may appear a moment late


class _Ccxt(Protocol):
    """What is used of a ccxt exchange."""

    markets: Mapping[str, object]

    def load_markets(self) -> object: ...
    def fetch_ohlcv(
        self, symbol: str, timeframe: str, since: int, limit: int, params: Mapping[str, object]
    ) -> list[list[float | None]]: ...
    def fetch_tickers(self, symbols: Sequence[str]) -> Mapping[str, object]: ...
    def fetch_ticker(self, symbol: str) -> object: ...


T = TypeVar("T")


class Exchanges:
    """The three exchanges as one source. Questions to one exchange go one after the other, at the pace ccxt keeps for it.

    `per_minute` calls to each of them replace that pace; `attempts` bounds one question; `sleep` and `asked_at` are
    replaceable for tests.
    """

    name = VENDOR.name
    datasets: Sequence[Dataset] = (CANDLES, TICKERS)

    def __init__(
        self,
        *,
        urls: Mapping[str, str] | None = None,
        provenance: Mapping[str, str] | None = None,
        pairs: Mapping[str, Sequence[str]] | None = None,
        attempts: int = 4,
        asked_at: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = pause,
        http: CountedHttp | None = None,
        per_minute: int | None = None,
    ) -> None:
        self._urls, self._provenance = dict(urls or {}), dict(provenance or {})
        self._pairs = watched_pairs() if pairs is None else pairs
        self._attempts, self._asked_at, self._sleep = attempts, asked_at, sleep
        self._locks = {name: threading.Lock() for name in EXCHANGES}
        self._open: dict[str, _Ccxt] = {}
        self._per_minute = per_minute
        self._http = http  # counts what ccxt asks with its own client; None: nobody counts

    def keys(self, dataset: str) -> Sequence[str]:
        """`binance:BTC-USDT` for candles, `binance` for tickers."""
        if dataset == TICKERS.name:
            return sorted(name for name, symbols in self._pairs.items() if symbols)
        return sorted(f"{name}:{one.replace('/', '-')}" for name, symbols in self._pairs.items() for one in symbols)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Candles: consecutive days of one pair, as many as one answer holds. Tickers: one per exchange."""
        for (dataset, key), members in groupby(sorted(partitions), key=lambda one: (one.dataset, one.key)):
            run: list[Partition] = []
            for partition in members:
                full = dataset == TICKERS.name or len(run) == _DAYS_PER_CALL
                if run and (full or run[-1].period.end != partition.period.start):
                    yield Trip(self.name, f"{dataset} {key}", tuple(run))
                    run = []
                run.append(partition)
            yield Trip(self.name, f"{dataset} {key}", tuple(run))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask for a pair's candles or an exchange's tickers. Raises Skip, Retry or Stop without any address in the words."""
        first = trip.partitions[0]
        exchange = EXCHANGES.get(first.key.partition(":")[0])
        if exchange is None:
            raise Skip(f"{first.key}: no such exchange; known: {', '.join(EXCHANGES)}", reason="unknown_entity")
        yield from self._candles(exchange, trip) if first.dataset == CANDLES.name else self._tickers(exchange, trip)

    def _candles(self, exchange: Exchange, trip: Trip) -> Iterator[Raw | Miss]:
        asked_at, symbol = self._asked_at(), _symbol(trip.partitions[0])
        wanted = []
        for partition in trip.partitions:
            if partition.period.end + _SETTLES > asked_at:
                yield Miss(partition, "failed", "not_yet", f"{partition}: the day is not over; run again later")
            elif exchange.reach_hours and partition.period.start < asked_at - exchange.reach_hours * _HOUR:
                words = f"{exchange.name} tells only its newest {exchange.reach_hours} hourly candles"
                yield Miss(partition, "gone", "out_of_reach", f"{partition}: {words}")
            else:
                wanted.append(partition)
        if not wanted:
            return
        since, until = wanted[0].period.start - _HOUR, wanted[-1].period.end
        hours = (until - since) // _HOUR

        def question(api: _Ccxt) -> list[list[float | None]]:
            _require(exchange, api, symbol)
            params = {"until": _ms(until) - 1}
            return api.fetch_ohlcv(symbol, "1h", _ms(since), hours, params)

        candles = self._ask(exchange, question)
        for partition in wanted:
            low, high = _ms(partition.period.start) - _HOUR_MS, _ms(partition.period.end)
            mine = [one for one in candles if one[0] is not None and low <= one[0] < high]
            if not any(one[0] is not None and one[0] > low for one in mine):
                words = "the exchange tells no candle of this day; not listed yet, delisted or an outage"
                yield Miss(partition, "failed", "no_candles", f"{partition}: {words}")
                continue
            yield self._raw(partition, exchange, asked_at, {"candles": mine}, {"symbol": symbol, "timeframe": "1h"})

    def _tickers(self, exchange: Exchange, trip: Trip) -> Iterator[Raw | Miss]:
        asked_at, symbols = self._asked_at(), list(self._pairs.get(exchange.name, ()))
        wanted = []
        for partition in trip.partitions:
            if partition.period.start <= asked_at < partition.period.end:
                wanted.append(partition)
            else:
                yield Miss(partition, "gone", "past", f"{partition}: tickers are told for the present only")
        if not wanted:
            return
        missing: list[str] = []

        def question(api: _Ccxt) -> dict[str, object]:
            api.load_markets()
            there = [symbol for symbol in symbols if symbol in api.markets]
            missing[:] = sorted(set(symbols) - set(there))
            if not there:
                raise Skip(f"{exchange.name} knows none of the watched pairs", reason="unknown_entity")
            if exchange.bulk_tickers:
                return dict(api.fetch_tickers(there))
            return {symbol: api.fetch_ticker(symbol) for symbol in there}

        tickers = self._ask(exchange, question)
        for partition in wanted:
            request = {"symbols": ",".join(symbols), "missing": ",".join(missing)}
            yield self._raw(partition, exchange, asked_at, {"tickers": tickers}, request)

    def _raw(
        self, partition: Partition, exchange: Exchange, asked_at: datetime, payload: object, request: dict[str, str]
    ) -> Raw:
        observed_at = min(asked_at, partition.period.end)
        marks = {"endpoint": exchange.name, "reader": "ccxt", **self._provenance}
        return Raw(partition, self.name, asked_at, observed_at, kept_json(str(partition), payload), request, marks)

    def _ask(self, exchange: Exchange, question: Callable[[_Ccxt], T]) -> T:
        """One question, asked again while that may help. ccxt's own words hold addresses and are never repeated."""
        module = _ccxt()
        with self._locks[exchange.name]:
            if exchange.name not in self._open:
                url = self._urls.get(exchange.name)
                self._open[exchange.name] = _connect(module, exchange, url, self._http, self._per_minute)
            api = self._open[exchange.name]
            for attempt in range(1, self._attempts + 1):
                try:
                    return question(api)
                except module.BadSymbol:
                    raise Skip(f"{exchange.name} does not know this pair", reason="unknown_entity") from None
                except module.NetworkError as error:
                    if " 451 " in str(error) or " 403 " in str(error):
                        words = "refuses this address (blocked region or firewall); ask from another network"
                        raise Skip(f"{exchange.name} {words}", reason="blocked") from None
                    if attempt == self._attempts:
                        limits = (module.RateLimitExceeded, module.DDoSProtection)
                        kind = "asks us to slow down" if isinstance(error, limits) else "does not answer"
                        raise Retry(f"{exchange.name} {kind}; run the same command again later") from None
                    self._sleep(2.0**attempt)
                except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
                    # ccxt reads the answers itself, and trips over those of another layout
                    words = f"{exchange.name}: ccxt cannot read the answer ({type(error).__name__}); run it again later"
                    raise Skip(words, reason="unreadable") from None
                except module.BaseError as error:
                    kind = type(error).__name__
                    raise Skip(f"{exchange.name} refuses the question ({kind})", reason="refused") from None
        raise AssertionError("unreachable")

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `exchange_candles` (every hour of the day) or `exchange_tickers`. Raises Skip for a changed layout."""
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise no_json(str(raw.partition)) from None
        what, section = f"exchanges {raw.partition.key}", raw.partition.dataset
        found = document.get(section) if isinstance(document, dict) else None
        if section == CANDLES.name and isinstance(found, list):
            return _candle_rows(what, raw.partition, found)
        if section == TICKERS.name and isinstance(found, dict):
            return [_ticker_row(what, raw, str(symbol), one) for symbol, one in sorted(found.items())]
        raise drift(what, section)


def open_source(access: Access) -> Exchanges:
    """The source as the app opens it; CRYPTOLAKE_URL_BINANCE, _COINBASE and _KRAKEN override the hosts."""
    urls = {name: access.urls[name] for name in EXCHANGES if name in access.urls}
    rate = access.rates.get(VENDOR.name)
    return Exchanges(urls=urls, provenance=access.provenance, asked_at=access.now, per_minute=rate)


def first_contact(access: Access) -> Iterator[Assumption]:
    """A day of candles of one pair and the tickers, at every exchange."""
    urls = {name: access.urls[name] for name in EXCHANGES if name in access.urls}
    http = access.http if isinstance(access.http, CountedHttp) else None
    source = Exchanges(urls=urls, attempts=1, http=http)
    settled, now = Period.of_day(access.now().date() - timedelta(days=2)), access.now()
    for name in EXCHANGES:
        for dataset, period in ((CANDLES, settled), (TICKERS, Period.of_hour(now))):
            keys = [key for key in source.keys(dataset.name) if key.partition(":")[0] == name]
            if keys:
                what = f"an answer that is read into rows of `{dataset.feeds}`"
                partition = Partition(dataset.name, keys[0], period)
                yield Assumption(f"{name} {dataset.name}", what, lambda one=partition: told(source, one))  # type: ignore[misc]


class _Module(Protocol):
    BaseError: type[Exception]
    BadSymbol: type[Exception]
    NetworkError: type[Exception]
    RateLimitExceeded: type[Exception]
    DDoSProtection: type[Exception]
    __version__: str


def _ccxt() -> _Module:
    try:
        return cast(_Module, importlib.import_module("ccxt"))
    except ModuleNotFoundError:
        raise Stop("the exchanges need an extra; install it with: pip install 'cryptolake[exchanges]'") from None


def _connect(
    module: _Module, exchange: Exchange, url: str | None, http: CountedHttp | None, per_minute: int | None = None
) -> _Ccxt:
    """A ccxt exchange for public spot questions only, without the look-up of currencies that nothing here needs."""
    pace = {} if per_minute is None else {"rateLimit": 60_000 / per_minute}  # milliseconds between calls
    api = getattr(module, exchange.ccxt_id)(
        {"timeout": 30_000, "enableRateLimit": True, "options": {"fetchMarkets": {"types": ["spot"]}}, **pace}
    )
    api.has["fetchCurrencies"] = False
    if url is not None:
        api.urls["api"]["public"] = url.rstrip("/")
    if http is not None:
        _count(api, http)
    return cast(_Ccxt, api)


def _count(api: Any, http: CountedHttp) -> None:
    """Let `http` count and keep what ccxt asks with its own client."""
    fetch = api.fetch

    def counted(url: str, *words: object, **named: object) -> object:
        http.count()
        answer = fetch(url, *words, **named)
        http.keep(url, int(getattr(api, "last_http_status", None) or 200), str(api.last_http_response or "").encode())
        return answer

    api.fetch = counted


def _require(exchange: Exchange, api: _Ccxt, symbol: str) -> None:
    api.load_markets()
    if symbol not in api.markets:
        raise Skip(f"{exchange.name} does not know {symbol}; see `cryptolake sources`", reason="unknown_entity")


def _symbol(partition: Partition) -> str:
    return partition.key.partition(":")[2].replace("-", "/")


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def _candle_rows(what: str, partition: Partition, candles: Sequence[object]) -> list[Row]:
    """Every hour of the day once. An hour the exchange left out repeats the close before it, with volume 0."""
    told: dict[datetime, tuple[object, ...]] = {}
    for candle in candles:
        if not isinstance(candle, list) or len(candle) < 6:
            raise drift(what, "candle ([milliseconds, open, high, low, close, volume])")
        opened_at = instant(what, "candle", candle[0], per_second=1000)
        if Period.of_hour(opened_at).start != opened_at:
            raise drift(what, "candle at a full hour")
        told[opened_at] = tuple(typed(what, "candle", "float64", one) for one in candle[1:6])
    close = told[before][3] if (before := partition.period.start - _HOUR) in told else None
    rows: list[Row] = []
    opened_at = partition.period.start
    while opened_at < partition.period.end:
        values = told.get(opened_at)
        filled = values is None
        if values is None:
            values = (close, close, close, close, None if close is None else 0.0)
        close = values[3]
        exchange, _, pair = partition.key.partition(":")
        head = {
            "exchange": exchange,
            "symbol": pair.replace("-", "/"),
            "opened_at": opened_at,
            "date": opened_at.date(),
        }
        prices = dict(zip(("open", "high", "low", "close", "volume"), values, strict=True))
        rows.append({**head, **prices, "filled": filled})
        opened_at += _HOUR
    return rows


def _ticker_row(what: str, raw: Raw, symbol: str, ticker: object) -> Row:
    if not isinstance(ticker, dict):
        raise drift(what, "ticker (an object)")

    def value(name: str) -> object:
        return typed(what, f"{symbol} {name}", "float64", ticker.get(name), null=True)

    at = ticker.get("timestamp")
    return {
        "exchange": raw.partition.key,
        "symbol": symbol,
        "observed_at": raw.observed_at,
        "hour": raw.partition.period.start,
        "bid": value("bid"),
        "ask": value("ask"),
        "last": value("last"),
        "high_24h": value("high"),
        "low_24h": value("low"),
        "volume_24h": value("baseVolume"),
        "exchange_time": None if at is None else instant(what, "timestamp", at, per_second=1000),
    }
