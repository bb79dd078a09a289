"""DefiLlama: what is asked, how its many ways of not answering are told apart, and how its bodies are read.

What does not belong here: which point of a series counts (`silver.metrics`) and where answers are kept. See
docs/sources/defillama.md for the endpoint's fields and quirks.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.errors import Retry, Skip
from cryptolake.net.access import Access
from cryptolake.net.http import Answer, Http, retry_after
from cryptolake.net.limiter import Limiter
from cryptolake.registry.stablecoins import Stablecoin, stablecoins

STABLECOIN_SUPPLY = Dataset(
    "stablecoin_supply",
    feeds="metrics",
    doc="circulating supply of each watched stablecoin, in units of its peg, since its first day",
    reach="whole_history",
)
STABLECOINS_URL = "https://stablecoins.llama.fi"
_HOST = "defillama_stablecoins"  # the setting that overrides the base URL; also the endpoint's name in provenance
_PATH = "/stablecoincharts/all"
_CALLS_PER_S = 15.0  # the vendor allows 1000 a minute; 900 leaves room for other users of the same address
_LONGEST_WAIT_S = 120.0  # a longer Retry-After ends the conversation: better to fail now and say when to come back


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer that is none: why (stable code), in words, and whether asking again may help (and after how long)."""

    reason: str
    message: str
    again: bool = False
    after_s: float | None = None


class DefiLlama:
    """The free stablecoin host. One conversation per coin; `attempts` bounds the questions of one conversation.

    `clock` (monotonic seconds), `sleep`, `jitter` (0 to 1) and `asked_at` are replaceable for tests.
    """

    name = "defillama"
    datasets: Sequence[Dataset] = (STABLECOIN_SUPPLY,)

    def __init__(
        self,
        http: Http,
        *,
        stablecoins_url: str = STABLECOINS_URL,
        provenance: Mapping[str, str] | None = None,
        coins: Mapping[str, Stablecoin] | None = None,
        attempts: int = 5,
        asked_at: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._http, self._url = http, stablecoins_url.rstrip("/")
        self._provenance = {"endpoint": _HOST, **(provenance or {})}
        self._coins = stablecoins() if coins is None else coins
        self._attempts, self._asked_at, self._sleep, self._jitter = attempts, asked_at, sleep, jitter
        self._limiter = Limiter(_CALLS_PER_S, clock=clock, sleep=sleep)
        self._needs_key = threading.Event()  # a 402 holds for every coin and for the whole run

    def keys(self, dataset: str) -> Sequence[str]:
        """The watched coins (CoinGecko ids), sorted."""
        del dataset
        return sorted(self._coins)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One per coin: an answer holds the whole history, so it serves every period asked for."""
        by_key: dict[str, list[Partition]] = {}
        for partition in sorted(partitions):
            by_key.setdefault(partition.key, []).append(partition)
        for key, members in by_key.items():
            yield Trip(self.name, f"{STABLECOIN_SUPPLY.name} {key}", tuple(members))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask for one coin's series. Refusals become Misses with the reason; an unreadable body is kept as Raw."""
        key = trip.partitions[0].key
        coin = self._coins.get(key)
        if coin is None:
            message = f"{key} is not on the stablecoin watch list; see `cryptolake sources`"
            yield from (Miss(partition, "failed", "unknown_entity", message) for partition in trip.partitions)
            return
        asked_at = self._asked_at()
        answer = self._converse(coin)
        for partition in trip.partitions:
            if isinstance(answer, _Refusal):
                yield Miss(partition, "failed", answer.reason, f"{self.name} {key}: {answer.message}")
            else:
                request = {"method": "GET", "path": _PATH, "stablecoin": coin.id}
                yield Raw(partition, self.name, asked_at, asked_at, answer, request, self._provenance)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `metrics` in the vendor's order with the vendor's own timestamps. Zero is kept; a missing value is left out.

        Raises Skip: `unreadable` when the body is no JSON, `schema_drift` (naming the field) when the layout changed.
        """
        key = raw.partition.key
        coin = self._coins.get(key)
        if coin is None:
            raise Skip(f"{self.name} {key}: not on the stablecoin watch list", reason="unknown_entity")
        try:
            points = _read_json(raw.payload)
        except ValueError:
            message = f"{self.name} {key}: the stored answer is no JSON; collect it again"
            raise Skip(message, reason="unreadable") from None
        if not isinstance(points, list):
            raise _drift(key, "the list of points")
        rows: list[Row] = []
        with_peg = False
        for point in points:
            if not isinstance(point, dict):
                raise _drift(key, "a point (an object)")
            for name in ("date", "totalCirculating"):
                if name not in point:
                    raise _drift(key, name)
            amounts = point["totalCirculating"]
            if amounts is None or amounts == 0:  # some bodies write the number 0 where an object with zero is meant
                amounts = {coin.peg: amounts}
            if not isinstance(amounts, dict):
                raise _drift(key, "totalCirculating (an object)")
            with_peg |= coin.peg in amounts
            value = amounts.get(coin.peg)
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _drift(key, f"totalCirculating.{coin.peg} (a number)")
            rows.append(
                {
                    "pulled_at": _instant(key, point["date"]),
                    "source": self.name,
                    "asset": key,
                    "metric_name": "STABLECOIN_SUPPLY",
                    "value": float(value),
                }
            )
        if points and not with_peg:
            raise _drift(key, f"totalCirculating.{coin.peg}")
        return rows

    def _converse(self, coin: Stablecoin) -> bytes | _Refusal:
        """Ask until there is a body worth keeping, a refusal that will not change, or the attempts are used up."""
        unreadable: bytes | None = None
        refusal = _Refusal("unreachable", "was not asked")
        for attempt in range(1, self._attempts + 1):
            if self._needs_key.is_set():
                return _ENTITLEMENT
            self._limiter.acquire()
            try:
                answer = self._http.get(self._url + _PATH, params={"stablecoin": coin.id})
            except Retry as error:
                refusal, unreadable = _Refusal("unreachable", str(error), again=True), None
            else:
                judged = _judge(answer)
                if judged is None:
                    return answer.body
                refusal = judged
                unreadable = answer.body if refusal.reason == "unreadable" else None
            if refusal.reason == "entitlement":
                self._needs_key.set()
            if not refusal.again or attempt == self._attempts or (refusal.after_s or 0) > _LONGEST_WAIT_S:
                break
            self._wait(refusal, attempt)
        # A body we cannot read is still evidence: it is kept, and `parse` says what is wrong with it.
        return unreadable if unreadable is not None else refusal

    def _wait(self, refusal: _Refusal, attempt: int) -> None:
        """Back off: doubled each time from half a second, with jitter; a 429 holds up every thread, not this one only."""
        pause = min(30.0, 0.5 * 2 ** (attempt - 1)) * (0.5 + self._jitter())
        if refusal.reason == "rate_limited":
            self._limiter.push_back(max(pause, refusal.after_s or 0.0))
        else:
            self._sleep(max(pause, refusal.after_s or 0.0))


_ENTITLEMENT = _Refusal("entitlement", "this endpoint needs a paid key (402); it is not asked again in this run")


def open_source(access: Access) -> DefiLlama:
    """The source as the app opens it; CRYPTOLAKE_URL_DEFILLAMA_STABLECOINS overrides the host."""
    return DefiLlama(
        access.http,
        stablecoins_url=access.url(_HOST, STABLECOINS_URL),
        provenance=access.provenance,
        asked_at=access.now,
    )


def _judge(answer: Answer) -> _Refusal | None:
    """Why an answer is none; None for a good one.

    The vendor puts errors into bodies with status 200 and sends permanent refusals as text or HTML.
    """
    status = answer.status
    if status == 402:
        return _ENTITLEMENT
    if status == 403:
        return _Refusal("blocked", "the vendor's firewall refused us (403); try later or from another network")
    if status == 429:
        after_s = retry_after(answer.headers.get("retry-after"))
        wait = f" for {after_s:.0f} s" if after_s else ""
        return _Refusal("rate_limited", f"too many requests (429); leave it alone{wait}, then run again", True, after_s)
    if status >= 500 or status == 408:
        after_s = retry_after(answer.headers.get("retry-after"))
        return _Refusal(
            "unreachable", f"the vendor is in trouble ({status}); run the same command later", True, after_s
        )
    if status != 200:
        return _Refusal("refused", f"answered with status {status}; check CRYPTOLAKE_URL_{_HOST.upper()}")
    body = answer.body.strip()
    if body in {b"", b"undefined", b"null", b"[]", b"{}", b'""'}:
        return _Refusal("empty_answer", "the answer is empty, so the vendor may have dropped this coin; check its id")
    try:
        document = _read_json(body)
    except ValueError:
        return _Refusal("unreadable", "the answer is no JSON", again=True)
    if isinstance(document, dict) and (code := document.get("statusCode")) is not None:
        return _Refusal(
            "vendor_error",
            f"an error came inside a good answer (statusCode {code})",
            again=code in (429, 500, 502, 503),
        )
    return None


def _read_json(body: bytes) -> object:
    """JSON, also with the bare NaN and Infinity that some servers write. Raises ValueError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        document: object = json.loads(body)
        return document


def _instant(key: str, date: object) -> datetime:
    """The aware UTC instant of a point's `date`: seconds since 1970 as a number or as text, whichever the vendor sends."""
    try:
        if isinstance(date, bool) or not isinstance(date, int | float | str):
            raise ValueError
        return datetime.fromtimestamp(int(date), UTC)
    except (ValueError, OverflowError, OSError):
        raise _drift(key, "date (seconds since 1970)") from None


def _drift(key: str, field: str) -> Skip:
    return Skip(
        f"defillama {key}: the answer has no {field}; the vendor changed its format, the answer is kept, "
        "upgrade cryptolake and refine again",
        reason="schema_drift",
    )
