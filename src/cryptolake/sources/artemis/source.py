"""Artemis: the assets and metrics of a matrix, asked in batches of symbols and windows of days.

Its errors come as words in place of numbers inside good answers, and too big a batch breaks its server: batches shrink
until it bears them. What does not belong here: which point counts (`silver.metrics`). See docs/sources/artemis.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from urllib.parse import quote

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.points import Points
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import no_json, read_json
from cryptolake.contracts.source import Asked, Dataset, Trip
from cryptolake.contracts.vendor import Key, Vendor
from cryptolake.net.access import Access
from cryptolake.net.conversation import STRANGE, Patience, Refusal, Tally, converse, judge_plainly, worth_keeping
from cryptolake.net.http import Answer
from cryptolake.registry.artemis import Watched, artemis_assets, key_of
from cryptolake.registry.metrics import metrics
from cryptolake.sources.artemis.readers import MAX_POINTS, Piece, drift, points_of, series_in, take_apart

KEY = "ARTEMIS_API_KEY"
VENDOR = Vendor(
    name="artemis",
    hosts={"artemis": "https://data-svc.artemisxyz.com"},
    per_minute=480,  # no limit is published; eight a second is what its users live with
    burst=8,
    keys=(Key(KEY, "Artemis key; nothing of Artemis is free"),),
    watch_list="CSV matrix (name,asset,category,Pull,<metric>...) that replaces the shipped Artemis one",
)
HISTORY_DAYS, LIVE_DAYS = 5 * 365 + 2, 14  # how far a backfill and a pull look back
_WINDOW_DAYS = MAX_POINTS - 1  # a full answer is then always a cut one
_BATCH, _MARKET_BATCH = 50, 100  # symbols a call
_MARKET = frozenset({"PRICE", "MC", "FDMC", "SPOT_VOLUME", "PERP_VOLUME", "OPEN_INTEREST"})
_PREFIX = "artemis_"
_BREAKER = 8  # conversations in a row without any answer: then the rest is not tried


class Artemis:
    """All of Artemis. An hour partition is the newest point of a series, a day partition its five years.

    One dataset per metric, one key per asset. `patience` and `asked_at` are replaceable for tests.
    """

    name = VENDOR.name

    def __init__(
        self,
        access: Access,
        *,
        assets: Mapping[str, Watched] | None = None,
        patience: Patience | None = None,
        asked_at: Callable[[], datetime] | None = None,
    ) -> None:
        self._access = access
        self._key = access.secrets.get(KEY, "")
        watched = artemis_assets(access.configs.get(self.name)) if assets is None else assets
        self._assets = {key_of(asset): one for asset, one in watched.items()}
        self._metrics = sorted({metric for one in watched.values() for metric in one.metrics})
        self._patience, self._asked_at = patience or Patience(), asked_at or access.now
        self._tally = Tally()
        self._lock = threading.Lock()
        self._bearable: dict[str, int] = {}  # symbols a call that the server bore, by metric
        self._silent = 0
        self._refused: Refusal | None = None  # the key was refused: it holds for the whole run

    @property
    def datasets(self) -> Sequence[Dataset]:
        """One per metric of the matrix."""
        known = metrics()
        return [
            Dataset(
                _PREFIX + metric.lower(),
                feeds="metrics",
                doc=known["artemis", metric].how if ("artemis", metric) in known else metric,
                reach="whole_history",
                every="day",
                at_minute=5,
                needs=KEY,
                granted=bool(self._key),
            )
            for metric in self._metrics
        ]

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self._tally.asked

    def keys(self, dataset: str) -> Sequence[str]:
        """The assets whose cell in the metric's column is switched on, sorted."""
        metric = _metric(dataset)
        return sorted(key for key, one in self._assets.items() if metric in one.metrics)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Batches of symbols of one metric."""
        groups: dict[tuple[object, ...], list[Partition]] = {}
        for partition in sorted(partitions):
            groups.setdefault((partition.dataset, partition.period), []).append(partition)
        for (dataset, _), group in groups.items():
            size = _MARKET_BATCH if _metric(str(dataset)) in _MARKET else _BATCH
            for start in range(0, len(group), size):
                yield Trip(self.name, f"{dataset} {start + 1}..{start + size}", tuple(group[start : start + size]))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask for one batch over all its windows. Each asset's own piece of the answers is kept, byte for byte."""
        first = trip.partitions[0]
        metric, asked_at = _metric(first.dataset), self._asked_at()
        if not self._key:
            message = f"{self.name}: needs a key; set {KEY}"
            yield from (Miss(one, "failed", "entitlement", message) for one in trip.partitions)
            return
        by_asset = {self._assets[one.key].asset: one for one in trip.partitions if one.key in self._assets}
        for one in trip.partitions:
            if one.key not in self._assets:
                message = f"{self.name} {one.key}: not on the watch list; see `cryptolake entities`"
                yield Miss(one, "failed", "unknown_entity", message)
        back = LIVE_DAYS if first.period.granularity == "hour" else HISTORY_DAYS
        pieces: dict[str, list[Piece]] = {asset: [] for asset in by_asset}
        windows = list(_windows(asked_at.date(), back))
        for start, end in windows:
            for asset, piece in self._ask(metric, list(by_asset), start, end).items():
                pieces[asset].append(piece)
        span = f"{windows[0][0]}..{windows[-1][1]}"
        for asset, partition in by_asset.items():
            refusal = next((one for one in pieces[asset] if isinstance(one, Refusal)), None)
            if refusal is not None:
                message = f"{self.name} {asset}: {metric}: {refusal.message}"
                yield Miss(partition, "gone" if refusal.reason == "no_data" else "failed", refusal.reason, message)
                continue
            payload = b"[" + b",".join(one for one in pieces[asset] if isinstance(one, bytes)) + b"]"
            request = {"method": "GET", "path": "/data/api/{metric}/", "metric": metric, "symbol": asset, "days": span}
            provenance = {"endpoint": self.name, **self._access.provenance}
            yield Raw(partition, self.name, asked_at, asked_at, payload, request, provenance)

    def parse(self, raw: Raw) -> Points:
        """Rows of `metrics`. Words in place of numbers are "no value"; other words and changed layouts raise Skip."""
        metric = _metric(raw.partition.dataset)
        one = self._assets.get(raw.partition.key)
        asset = one.asset if one else raw.partition.key
        try:
            pieces = read_json(raw.payload)
        except ValueError:
            raise no_json(f"{self.name} {asset}") from None
        if not isinstance(pieces, list):
            raise drift(asset, "windows (a list)")
        seconds: list[int] = []
        values: list[float | int | None] = []
        for piece in pieces:
            series = series_in(piece, metric, asset)
            if isinstance(series, int | float) and not isinstance(series, bool):  # the form without dates
                seconds.append(int(raw.observed_at.timestamp()))
                values.append(series)
            elif series is not None:
                at, numbers = points_of(series, asset)
                seconds += at
                values += numbers
        try:
            return Points.series(self.name, asset, metric, seconds, values)
        except ValueError as error:
            raise drift(asset, f"date ({error})") from None

    # Asking

    def try_key(self) -> Refusal | None:
        """Ask once for a coin's price of one day; why the key is not good, None for a good one."""
        asset, day = "btc", self._asked_at().date() - timedelta(days=2)
        answer = self._converse("PRICE", [asset], day, day)
        taken = take_apart(answer, "PRICE", [asset]) if isinstance(answer, bytes) else answer
        if isinstance(taken, Refusal):
            return taken
        piece = taken[asset]  # words in place of the asset's values say nothing of the key
        try:
            return None if isinstance(piece, bytes) and isinstance(read_json(piece), dict) else STRANGE
        except ValueError:
            return STRANGE

    def _ask(self, metric: str, assets: Sequence[str], start: date, end: date) -> dict[str, Piece]:
        """Every asset's piece of one window; batches that break the server are halved, down to a single symbol."""
        bearable = self._bearable.get(metric, len(assets))
        if len(assets) > bearable:
            found: dict[str, Piece] = {}
            for low in range(0, len(assets), bearable):
                found |= self._ask(metric, assets[low : low + bearable], start, end)
            return found
        answer = self._converse(metric, assets, start, end)
        if isinstance(answer, bytes):
            taken = take_apart(answer, metric, assets)
            if not isinstance(taken, Refusal):
                return taken
            if (
                taken.reason == "schema_drift"
            ):  # the whole body is evidence, kept once; `parse` says what is wrong with it
                return {**dict.fromkeys(assets, taken), assets[0]: answer}
            answer = taken
        if answer.reason != "too_big" or len(assets) == 1:
            return dict.fromkeys(assets, answer)
        half = (len(assets) + 1) // 2
        with self._lock:
            self._bearable[metric] = min(half, self._bearable.get(metric, half))
        return self._ask(metric, assets, start, end)

    def _converse(self, metric: str, assets: Sequence[str], start: date, end: date) -> Piece:
        answer = converse(
            self._access.http,
            f"{self._access.base(VENDOR)}/data/api/{quote(metric, safe='')}/",
            params={
                "symbols": ",".join(assets),
                "startDate": start.isoformat(),
                "endDate": end.isoformat(),
                "granularity": "DAY",
                "limit": str(MAX_POINTS),
                "APIKey": self._key,  # the vendor still demands it here beside the header
            },
            headers={"X-API-Key": self._key},
            limiter=self._access.limiter(VENDOR),
            tally=self._tally,
            judge=lambda answer: _judge(answer, len(assets)),
            patience=self._patience,
            refused=self._hopeless,
        )
        with self._lock:
            if isinstance(answer, Refusal) and answer.reason in {"key_refused", "entitlement"}:
                self._refused = answer
            silent = isinstance(answer, Refusal) and answer.reason == "unreachable"
            self._silent = self._silent + 1 if silent else 0
        return worth_keeping(answer)

    def _hopeless(self) -> Refusal | None:
        """Why asking on is pointless: the key was refused, or nobody answers any more."""
        with self._lock:
            if self._silent >= _BREAKER:
                return Refusal("unreachable", "the vendor stopped answering; run the same command later")
            return self._refused


def open_source(access: Access) -> Artemis:
    """The source as the app opens it; CRYPTOLAKE_URL_ARTEMIS, ARTEMIS_API_KEY and the matrix come with `access`."""
    return Artemis(access)


def try_key(access: Access) -> Refusal | None:
    """Whether the vendor takes the one key of `access`, asked once (`cryptolake.sources.found`)."""
    return Artemis(access, assets={}, patience=Patience(attempts=1)).try_key()


def _judge(answer: Answer, symbols: int) -> Refusal | None:
    if answer.status == 401:
        return Refusal("key_refused", f"the vendor refuses the key (401); check {KEY}", of_key=True)
    if answer.status in {413, 414} or (answer.status in {400, 500, 502, 504} and symbols > 1):
        return Refusal("too_big", f"the vendor cannot bear {counted(symbols, 'symbol')} in one call ({answer.status})")
    if answer.status == 400:
        return Refusal("no_data", "the vendor has no such metric for this asset (400)")
    if answer.status == 200 and not answer.body.strip():  # what it does when it is asked too fast
        return Refusal("rate_limited", "empty answers (throttled); leave it alone, then run again", again=True)
    return judge_plainly(answer)


def _windows(last: date, days: int) -> Iterator[tuple[date, date]]:
    """Adjoining windows of at most `_WINDOW_DAYS` days that end on `last`, the oldest first, of even length."""
    count = -(-days // _WINDOW_DAYS)
    for number in range(count):
        start = last - timedelta(days=days - 1 - number * days // count)
        end = last - timedelta(days=days - (number + 1) * days // count)
        yield start, end


def _metric(dataset: str) -> str:
    return dataset.removeprefix(_PREFIX).upper()
