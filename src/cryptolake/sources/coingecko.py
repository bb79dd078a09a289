"""CoinGecko: the coin market page by page, the whole market's totals, and price history per coin.

What does not belong here: cleaning and derived columns (`silver.crypto_market`), tiers (`registry.coingecko`) and where
answers are kept. See docs/sources/coingecko.md for endpoints, fields and quirks.
"""

from __future__ import annotations

import copy
import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import structlog

from cryptolake.contracts.coin_fields import FULLY_DILUTED_VALUATION, VENDOR_FIELDS
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import drift, instant, read_json, typed
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.asking import Conversation, Refusal
from cryptolake.net.http import Answer, Http, retry_after
from cryptolake.net.limiter import Limiter
from cryptolake.registry.coingecko import DEMO, ERROR_CODES, KEYLESS, PRO, Tier, watched_coins

log = structlog.get_logger(__name__)

COINS_MARKETS = Dataset(
    "coins_markets",
    feeds="staging_crypto_market",
    doc="the largest coins with price, capitalisation, volume and supply; key topN, the N largest",
    reach="as_of",
    every="hour",
)
MARKET_GLOBAL = Dataset(
    "market_global",
    feeds="crypto_market_global",
    doc="capitalisation and volume of the whole market, for true dominance",
    reach="as_of",
    every="hour",
)
MARKET_CHART = Dataset(
    "market_chart",
    feeds="metrics",
    doc="daily price, capitalisation and volume of a coin, 365 days back (all of it with a pro key), and live its supplies too",
    reach="whole_history",
)
PER_PAGE = 250  # the vendor's largest page
DEFAULT_TOP = 1000
_HOST = "coingecko"  # the setting that overrides the base URL; also the endpoint's name in provenance
_TOP = re.compile(r"top([1-9][0-9]{0,5})(-[0-9]{6}Z)?")
_SERIES = {"prices": "PRICE", "market_caps": "MARKET_CAP", "total_volumes": "VOLUME_24H"}
_LIVE = {
    "PRICE": "current_price",
    "MARKET_CAP": "market_cap",
    "VOLUME_24H": "total_volume",
    "FDV": "fully_diluted_valuation",
    "CIRCULATING_SUPPLY": "circulating_supply",
    "TOTAL_SUPPLY": "total_supply",
    "MAX_SUPPLY": "max_supply",
}
_COIN_FIELDS = (*VENDOR_FIELDS, FULLY_DILUTED_VALUATION)


def top_of(key: str) -> int:
    """How many coins a key (`top1000`, or a run's `top1000-072337Z`) asks for. Raises Skip for any other text."""
    match = _TOP.fullmatch(key)
    if match is None:
        raise Skip(f"coingecko: {key} is no key of {COINS_MARKETS.name}; write top1000", reason="unknown_entity")
    return int(match.group(1))


class CoinGecko:
    """One host, chosen by the tier. `coins` are the ids whose history is kept.

    `clock` (monotonic seconds), `sleep`, `jitter` (0 to 1) and `asked_at` are replaceable for tests.
    """

    name = "coingecko"
    datasets: Sequence[Dataset] = (COINS_MARKETS, MARKET_GLOBAL, MARKET_CHART)

    def __init__(
        self,
        http: Http,
        *,
        tier: Tier = KEYLESS,
        key: str | None = None,
        url: str | None = None,
        provenance: Mapping[str, str] | None = None,
        coins: Sequence[str] | None = None,
        attempts: int = 5,
        asked_at: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.tier, self.coins = tier, tuple(sorted(watched_coins() if coins is None else coins))
        self._http, self._url = http, (url or tier.url).rstrip("/")
        self._headers = {tier.header: key} if tier.header and key else {}
        self._provenance = {"endpoint": _HOST, "tier": tier.name, **(provenance or {})}
        self._attempts, self._asked_at = attempts, asked_at
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._lock, self._said = threading.Lock(), threading.Event()
        self._opened: list[Conversation | Refusal] = []  # at most one; shared with the copies that watch other coins

    def watching(self, coins: Sequence[str]) -> CoinGecko:
        """The same conversation and limits, with other coins' history to keep."""
        other = copy.copy(self)
        other.coins = tuple(sorted(set(coins)))
        return other

    def least_seconds(self, top: int) -> float:
        """How long the tier's limit makes a run of the `top` coins take at least."""
        calls = math.ceil(top / PER_PAGE) + 1
        return max(0.0, calls - self.tier.burst) * 60 / self.tier.calls_per_minute

    def keys(self, dataset: str) -> Sequence[str]:
        """`top1000` for the market, `all` for its totals, the watched coin ids for history."""
        return {COINS_MARKETS.name: [f"top{DEFAULT_TOP}"], MARKET_GLOBAL.name: ["all"]}.get(dataset, list(self.coins))

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One per run of the market or of its totals; for coins one per coin's history, and one per 250 live values."""
        groups: dict[tuple[str, ...], list[Partition]] = {}
        for partition in sorted(partitions):
            head = (partition.dataset, str(partition.period), partition.key)
            if partition.dataset == MARKET_CHART.name:
                live = partition.period.granularity == "hour"
                head = (partition.dataset, str(partition.period) if live else "history", "" if live else partition.key)
            groups.setdefault(head, []).append(partition)
        for (dataset, _, key), members in groups.items():
            size = len(members) if key else PER_PAGE
            for start in range(0, len(members), size):
                part = tuple(members[start : start + size])
                yield Trip(self.name, f"{dataset} {key or f'{len(part)} coins'}", part)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask for one run or one coin's history. Refusals become Misses with the reason; an unreadable body is kept as Raw.

        The market and its totals can only be asked for now: another period's partition is `gone`.
        """
        first, asked_at = trip.partitions[0], self._asked_at()
        as_of = first.dataset != MARKET_CHART.name
        if as_of and not first.period.start <= asked_at < first.period.end:
            message = f"{self.name} answers {first.dataset} for the present only, not for {first.period}"
            yield from (Miss(partition, "gone", "past", message) for partition in trip.partitions)
            return
        if not as_of and first.period.granularity == "hour":
            yield from self._live(trip, asked_at)
            return
        request: dict[str, str] = {"method": "GET", "vs_currency": "usd"}
        if first.dataset == COINS_MARKETS.name:
            answer = self._pages(top_of(first.key), request)
        elif first.dataset == MARKET_GLOBAL.name:
            request = {"method": "GET", "path": "/global"}
            answer = self._ask("/global", {})
        else:
            answer = self._chart(first, request)
        for partition in trip.partitions:
            if isinstance(answer, Refusal) and answer.body is None:
                yield Miss(partition, "failed", answer.reason, f"{self.name} {partition.key}: {answer.message}")
            else:
                payload = answer.body if isinstance(answer, Refusal) else answer
                assert payload is not None
                yield Raw(partition, self.name, asked_at, asked_at, payload, request, self._provenance)

    def _pages(self, top: int, request: dict[str, str]) -> bytes | Refusal:
        """Every page up to `top`, as one JSON list of the untouched page bodies in the order they were asked.

        The ranking moves while we page: a coin seen again on a later page means that another one slipped to an earlier
        page unseen, so that page is asked once more. The list's end is believed only when the page after a short one is
        empty too.
        """
        size = min(PER_PAGE, top)
        bodies: list[bytes] = []
        page_of: dict[str, int] = {}
        moved: set[int] = set()
        last = math.ceil(top / size)
        page, short = 0, False
        while page < last or short:
            page += 1
            answer = self._page(page, size)
            if isinstance(answer, Refusal):
                return replace(answer, message=f"page {page} of {last}: {answer.message}", body=None)
            ids, body = answer
            if ids and short:
                message = f"page {page - 1} is short but not the last; the answer is incomplete, run again later"
                return Refusal("incomplete", message)
            bodies.append(body)
            moved |= {page_of[one] for one in ids if one in page_of}
            page_of |= dict.fromkeys(ids, page)
            if not ids:
                break
            short = len(ids) < size
        for page in sorted(moved):
            answer = self._page(page, size)
            if isinstance(answer, Refusal):
                return replace(answer, message=f"page {page} again: {answer.message}", body=None)
            bodies.append(answer[1])
        request |= {"path": "/coins/markets", "per_page": str(size), "pages": str(len(bodies)), "top": str(top)}
        request["asked_again"] = ",".join(map(str, sorted(moved)))
        return b"[" + b",\n".join(bodies) + b"]"

    def _page(self, page: int, size: int) -> tuple[list[str], bytes] | Refusal:
        params = {"vs_currency": "usd", "order": "market_cap_desc", "per_page": str(size), "page": str(page)}
        answer = self._page_of(params)
        if isinstance(answer, Refusal):
            return answer
        items, body = answer
        return [str(item.get("id")) for item in items if isinstance(item, dict)], body

    def _page_of(self, params: Mapping[str, str]) -> tuple[list[object], bytes] | Refusal:
        """The coins of one `/coins/markets` answer and its body."""
        body = self._ask("/coins/markets", params)
        if isinstance(body, Refusal):
            return body
        items = read_json(body)
        if not isinstance(items, list):
            return Refusal("vendor_error", "the answer is no list of coins; run again later")
        return items, body

    def _live(self, trip: Trip, asked_at: datetime) -> Iterator[Raw | Miss]:
        """The present values of up to 250 coins by one question; every coin's part of the answer is kept as its own."""
        ids = ",".join(partition.key for partition in trip.partitions)  # the vendor trips over a space after the comma
        params = {"vs_currency": "usd", "ids": ids, "per_page": str(PER_PAGE), "page": "1"}
        answer = self._page_of(params)
        if isinstance(answer, Refusal):
            for partition in trip.partitions:
                yield Miss(partition, "failed", answer.reason, f"{self.name} {partition.key}: {answer.message}")
            return
        items = {item["id"]: item for item in answer[0] if isinstance(item, dict) and "id" in item}
        request = {"method": "GET", "path": "/coins/markets", "vs_currency": "usd", "coins": str(len(trip.partitions))}
        for partition in trip.partitions:
            if partition.key in items:
                payload = orjson.dumps({"coin": items[partition.key]})
                yield Raw(partition, self.name, asked_at, asked_at, payload, request, self._provenance)
            else:
                message = f"{self.name} {partition.key}: the vendor leaves this coin out; check the id"
                yield Miss(partition, "failed", "unknown_entity", message)

    def _chart(self, partition: Partition, request: dict[str, str]) -> bytes | Refusal:
        """A coin's daily history as far back as the tier allows; a cut is said once per run and stands in the request."""
        path, reach = f"/coins/{partition.key}/market_chart", self.tier.history_days
        params = {"vs_currency": "usd", "days": str(reach or "max"), "interval": "daily"}
        if reach:
            request["clamped_to_days"] = str(reach)
            if not self._said.is_set():
                self._said.set()
                log.warning(
                    "history is cut; a pro key reaches further", source=self.name, days=reach, tier=self.tier.name
                )
        request |= {"path": path, **params}
        return self._ask(path, params)

    def _ask(self, path: str, params: Mapping[str, str]) -> bytes | Refusal:
        opened = self._open()
        if isinstance(opened, Refusal):
            return opened
        answer = opened.ask(self._url + path, params=params, headers=self._headers)
        return answer if isinstance(answer, Refusal) else answer.body

    def _open(self) -> Conversation | Refusal:
        """The conversation, limited as the plan allows; a pro plan is asked for its limit first, once per run."""
        with self._lock:
            if not self._opened:
                conversation = self._conversation(self.tier.calls_per_minute, self.tier.burst)
                self._opened.append(self._sized(conversation) if self.tier is PRO else conversation)
            return self._opened[0]

    def _conversation(self, per_minute: float, burst: float) -> Conversation:
        limiter = Limiter(per_minute / 60, burst, clock=self._clock, sleep=self._sleep)
        return Conversation(
            self._http,
            limiter,
            _judge,
            attempts=self._attempts,
            limited_pause_s=max(5.0, 60 / per_minute),
            sleep=self._sleep,
            jitter=self._jitter,
        )

    def _sized(self, conversation: Conversation) -> Conversation | Refusal:
        answer = conversation.ask(self._url + "/key", headers=self._headers)
        if isinstance(answer, Refusal):
            # A wrong key fails every later question too; anything else (no such endpoint) leaves the smallest plan's limit.
            return answer if answer.reason == "bad_key" else conversation
        plan = read_json(answer.body)
        found = plan if isinstance(plan, dict) else {}
        left, limit = found.get("current_remaining_monthly_calls"), found.get("rate_limit_request_per_minute")
        if isinstance(left, int) and left <= 0:
            return Refusal("quota", "the plan's monthly calls are used up; wait for the next month or upgrade")
        if isinstance(limit, int) and limit > 0:
            return self._conversation(limit * 0.9, max(1.0, limit * 0.1))
        return conversation

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of the dataset's table. Numbers are the vendor's own; null stays null.

        Raises Skip: `unreadable` when the body is no JSON, `schema_drift` (naming the field) when the layout changed.
        """
        what = f"{self.name} {raw.partition.key}"
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise Skip(f"{what}: the stored answer is no JSON; collect it again", reason="unreadable") from None
        if raw.partition.dataset == COINS_MARKETS.name:
            return _coins(what, document)
        if raw.partition.dataset == MARKET_GLOBAL.name:
            return [_totals(what, document)]
        return _points(what, raw.partition.key, document)


def open_source(access: Access) -> CoinGecko:
    """The source as the app opens it: a pro key wins over a demo key, without one it is keyless.

    CRYPTOLAKE_URL_COINGECKO overrides the host.
    """
    pro, demo = access.secrets.get("COINGECKO_PRO_API_KEY"), access.secrets.get("COINGECKO_DEMO_API_KEY")
    tier = PRO if pro else DEMO if demo else KEYLESS
    return CoinGecko(
        access.http,
        tier=tier,
        key=pro or demo,
        url=access.url(_HOST, tier.url),
        provenance=access.provenance,
        asked_at=access.now,
    )


def _judge(answer: Answer) -> Refusal | None:
    """Why an answer is none; None for a good one."""
    status = answer.status
    after_s = retry_after(answer.headers.get("retry-after"))
    if status == 429:
        wait = f" for {after_s:.0f} s" if after_s else ""
        return Refusal(
            "rate_limited", f"too many requests (429); wait{wait}, then run again", True, after_s, limited=True
        )
    try:
        document = read_json(answer.body)
    except ValueError:
        document = None
        if status == 200:
            return Refusal("unreadable", "the answer is no JSON", again=True, body=answer.body)
    code = _error_code(document)
    if code is not None and code in ERROR_CODES:
        reason, words = ERROR_CODES[code]
        return Refusal(reason, f"{words} (error {code})")
    if status == 200 and code is None and not (isinstance(document, dict) and "error" in document):
        return None
    if status == 404:
        return Refusal("unknown_entity", "the vendor does not know this coin (404); check the id")
    if status == 401:
        return Refusal("bad_key", "the key is refused (401); check COINGECKO_DEMO_API_KEY or COINGECKO_PRO_API_KEY")
    if status == 403:
        return Refusal("blocked", "the vendor's firewall refused us (403); try later or from another network")
    if status >= 500 or status == 408:
        return Refusal("unreachable", f"the vendor is in trouble ({status}); run the same command later", True, after_s)
    return Refusal("refused", f"answered with status {status} and an error; check CRYPTOLAKE_URL_COINGECKO")


def _error_code(document: object) -> int | None:
    """The vendor's error code: `{"status": {"error_code"}}`, the same inside `error`, or a bare `error_code`."""
    for _ in range(3):
        if not isinstance(document, dict):
            return None
        if isinstance(code := document.get("error_code"), int):
            return code
        document = document.get("error") if isinstance(document.get("error"), dict) else document.get("status")
    return None


def _coins(what: str, document: object) -> list[Row]:
    if not isinstance(document, list) or not all(isinstance(page, list) for page in document):
        raise drift(what, "list of pages")
    items = [item for page in document for item in page]
    if not all(isinstance(item, dict) for item in items):
        raise drift(what, "coin (an object)")
    if items:
        for field in _COIN_FIELDS:
            if not any(field.name in item for item in items):
                raise drift(what, field.name)
    return [
        {f.name: typed(what, f.name, f.dtype, item.get(f.name), null=f.null) for f in _COIN_FIELDS} for item in items
    ]


def _totals(what: str, document: object) -> Row:
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict):
        raise drift(what, "data (an object)")

    def usd(name: str) -> object:
        amounts = data.get(name)
        return amounts.get("usd") if isinstance(amounts, dict) else None

    shares = data.get("market_cap_percentage")
    bitcoin = shares.get("btc") if isinstance(shares, dict) else None
    change = data.get("market_cap_change_percentage_24h_usd")
    return {
        "active_cryptocurrencies": typed(what, "active_cryptocurrencies", "int32", data.get("active_cryptocurrencies")),
        "markets": typed(what, "markets", "int32", data.get("markets")),
        "total_market_cap": typed(what, "total_market_cap.usd", "float64", usd("total_market_cap")),
        "total_volume": typed(what, "total_volume.usd", "float64", usd("total_volume")),
        "market_cap_change_percentage_24h": typed(
            what, "market_cap_change_percentage_24h_usd", "float64", change, null=True
        ),
        "bitcoin_dominance_pct": typed(what, "market_cap_percentage.btc", "float64", bitcoin, null=True),
        "last_updated": None if (at := data.get("updated_at")) is None else instant(what, "updated_at", at),
    }


def _points(what: str, key: str, document: object) -> list[Row]:
    """Rows of `metrics`: the three series of a history, or the seven present values of a live answer."""
    if not isinstance(document, dict):
        raise drift(what, "object")
    if (item := document.get("coin")) is not None:
        (coin,) = _coins(what, [[item]])
        if coin["id"] != key or coin["last_updated"] is None:
            raise drift(what, f"coin {key} with last_updated")
        found = [(metric, coin["last_updated"], coin[name]) for metric, name in _LIVE.items()]
    else:
        found = [point for series, metric in _SERIES.items() for point in _series(what, metric, series, document)]
    return [
        {"pulled_at": at, "source": "coingecko", "asset": key, "metric_name": metric, "value": value}
        for metric, at, value in found
        if value is not None
    ]


def _series(what: str, metric: str, name: str, document: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    points = document.get(name)
    if not isinstance(points, list):
        raise drift(what, name)
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise drift(what, f"{name} point ([milliseconds, value])")
        value = typed(what, name, "float64", point[1], null=True)
        yield metric, instant(what, name, point[0], per_second=1000), value
