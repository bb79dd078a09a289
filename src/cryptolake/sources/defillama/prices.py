"""DefiLlama's historical prices: `batchHistorical`, many tokens and instants per question, nearest point within four hours.

Ids it has no price for are left out of its answers in silence; that they were asked is kept, so that nobody asks again.
What does not belong here: host, key and limit (`asking`), and which price wins (`silver.prices`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import orjson

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.prices import PriceSource, Wanted
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import kept_json, read_json
from cryptolake.contracts.source import Asked, Dataset, Row, Trip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience, Refusal, judge_plainly
from cryptolake.registry.chains import Chain
from cryptolake.sources.defillama.asking import DefiLlamaAsking

PRICES = PriceSource("defillama", rung=20, max_age_s=14_400)  # a point further than four hours off is no closing price
DATASET = Dataset("defillama_prices", feeds="quotes", doc="price of each token nearest to the snapshot", reach="as_of")
_HOST = "defillama_coins"
_NEAREST_S = int(PRICES.max_age_s)
_DAYS_PER_TRIP = 10
_QUESTION_CHARS = 5_000  # of JSON in the query string; servers refuse lines above about 8 kB
_CONFIDENT = 0.5  # the vendor's own library takes no price below this
_NAMED = {"eth": "coingecko:ethereum", "btc": "coingecko:bitcoin"}


class DefiLlamaPrices:
    """The coins host, for what `wanted` lists."""

    name = "defillama_prices"
    datasets: Sequence[Dataset] = (DATASET,)

    def __init__(
        self, access: Access, chains: Mapping[str, Chain], wanted: Wanted, *, patience: Patience | None = None
    ) -> None:
        self._asking = DefiLlamaAsking(access, patience=patience)
        self._wanted, self._chains, self._now = wanted, chains, access.now
        self._provenance = {"endpoint": self._asking.endpoint(_HOST), **access.provenance}

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self._asking.tally.asked

    def keys(self, dataset: str) -> Sequence[str]:
        """The chains asked about, sorted; `any` stands for eth and btc themselves."""
        del dataset
        return sorted({partition.key for partition in self._wanted})

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Up to ten days of one chain."""
        by_key: dict[str, list[Partition]] = {}
        for partition in sorted(partitions):
            by_key.setdefault(partition.key, []).append(partition)
        for key, members in by_key.items():
            for start in range(0, len(members), _DAYS_PER_TRIP):
                piece = tuple(members[start : start + _DAYS_PER_TRIP])
                yield Trip(self.name, f"prices {key} {piece[0].period}", piece)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask in questions that fit a line; each day keeps the points nearest to its own instant as they came."""
        key = trip.partitions[0].key
        ids = {asset: self._id(key, asset) for partition in trip.partitions for asset in self._wanted[partition]}
        if any(one is None for one in ids.values()):
            for partition in trip.partitions:
                yield Miss(partition, "gone", "unknown_entity", f"DefiLlama has no name for chain {key}")
            return
        series: dict[str, list[Mapping[str, object]]] = {}
        for question in self._questions(trip, ids):
            answer = self._points(question)
            if isinstance(answer, Refusal):
                for partition in trip.partitions:
                    yield Miss(partition, "failed", answer.reason, f"DefiLlama prices of {key}: {answer.message}")
                return
            for name, points in answer.items():
                series.setdefault(name.lower(), []).extend(points)
        asked_at = self._now()
        for partition in trip.partitions:
            asked = dict(self._wanted[partition])
            found = {
                a: p for a, at in asked.items() if (p := _nearest(series.get(str(ids[a]).lower(), ()), at)) is not None
            }
            payload = kept_json(f"DefiLlama prices of {key}", {"asked": asked, "points": found})
            request = {"method": "GET", "path": "/batchHistorical", "chain": key}
            yield Raw(partition, self.name, asked_at, asked_at, payload, request, self._provenance)

    def _points(self, question: Mapping[str, str]) -> dict[str, list[Mapping[str, object]]] | Refusal:
        """The series by id."""
        body = self._asking.ask(_HOST, "/batchHistorical", question, judge_plainly)
        if isinstance(body, Refusal):
            return body
        try:
            document = read_json(body)
        except ValueError:
            return Refusal("unreadable", "the answer is no JSON; run the same command again later")
        coins = document.get("coins") if isinstance(document, dict) else None
        if not isinstance(coins, dict) or not all(isinstance(one, dict) for one in coins.values()):
            return Refusal("schema_drift", "the answer has no `coins`; the vendor changed its format")
        series = {name: one.get("prices") or [] for name, one in coins.items()}
        if not all(isinstance(one, list) and all(map(_is_point, one)) for one in series.values()):
            return Refusal("schema_drift", "a price has no instant; the vendor changed its format")
        return series

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `quotes`. A point below the vendor's own confidence line, or without a positive price, is none."""
        document = orjson.loads(raw.payload)
        rows: list[Row] = []
        for asset, point in document["points"].items():
            price, confidence = point.get("price"), point.get("confidence")
            if not isinstance(price, int | float) or not math.isfinite(price) or price <= 0:
                continue
            if confidence is not None and confidence < _CONFIDENT:
                continue
            rows.append(
                {
                    "date": raw.partition.period.day,
                    "chain": raw.partition.key,
                    "asset": asset,
                    "source": PRICES.name,
                    "quoted_by": "defillama",
                    "quote_price": float(price),
                    "quote": "usd",
                    "observed_at": datetime.fromtimestamp(int(point["timestamp"]), UTC),
                    "age_s": float(document["asked"][asset] - int(point["timestamp"])),
                    "weight": 1.0 if confidence is None else float(confidence),
                }
            )
        return rows

    def _id(self, key: str, asset: str) -> str | None:
        if asset in _NAMED:
            return _NAMED[asset]
        chain = self._chains.get(key)
        name = chain.defillama_name if chain is not None else None
        return f"{name}:{asset}" if name else None

    def _questions(self, trip: Trip, ids: Mapping[str, str | None]) -> Iterator[dict[str, str]]:
        """The trip's tokens and instants in as few query strings as fit."""
        wanted: dict[str, list[int]] = {}
        for partition in trip.partitions:
            for asset, at in self._wanted[partition].items():
                wanted.setdefault(str(ids[asset]), []).append(at)
        piece: dict[str, list[int]] = {}
        size = 0
        for name, instants in sorted(wanted.items()):
            more = len(name) + 6 + 11 * len(instants)
            if piece and size + more > _QUESTION_CHARS:
                yield _question(piece)
                piece, size = {}, 0
            piece[name] = sorted(set(instants))
            size += more
        if piece:
            yield _question(piece)


def open_prices(access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> DefiLlamaPrices:
    """The source as the app opens it, for what `wanted` lists; key and hosts are those of `defillama`."""
    return DefiLlamaPrices(access, chains, wanted)


def _question(piece: Mapping[str, Sequence[int]]) -> dict[str, str]:
    return {"coins": orjson.dumps(piece).decode(), "searchWidth": f"{_NEAREST_S // 3600}h"}


def _is_point(point: object) -> bool:
    """Whether it has what is needed to choose among points; prices are judged when they are read."""
    if not isinstance(point, dict) or not isinstance(point.get("confidence"), int | float | None):
        return False
    return isinstance(at := point.get("timestamp"), int) or (isinstance(at, str) and at.isdecimal())


def _nearest(points: Iterable[Mapping[str, object]], at: int) -> Mapping[str, object] | None:
    """The point nearest to `at`, none when all are further away than four hours."""
    best = min(points, key=lambda point: abs(int(str(point["timestamp"])) - at), default=None)
    return best if best is not None and abs(int(str(best["timestamp"])) - at) <= _NEAREST_S else None
