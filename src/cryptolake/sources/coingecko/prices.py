"""CoinGecko's historical prices by token contract: one range per token, hourly points, nearest within four hours.

The demo key (and no key) reaches back 365 days; older questions are refused and stay failed with the reason. What does
not belong here: host, key and limit (`asking`), and which price wins (`silver.prices`).
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
from cryptolake.net.conversation import Patience, Refusal
from cryptolake.registry.chains import Chain
from cryptolake.sources.coingecko.asking import CoinGeckoAsking

PRICES = PriceSource("coingecko", rung=30, max_age_s=14_400)  # a point further than four hours off is no closing price
DATASET = Dataset("coingecko_prices", feeds="quotes", doc="price of each token nearest to the snapshot", reach="as_of")
_NEAREST_S = int(PRICES.max_age_s)
_DAYS_PER_TRIP = 80  # up to 90 days a range has hourly points, beyond that daily ones
_NAMED = {"eth": "ethereum", "btc": "bitcoin"}
# Our chain -> CoinGecko's platform id, as seen in its coin list; a chain that is not here cannot be asked.
PLATFORMS = {
    "ethereum": "ethereum",
    "polygon": "polygon-pos",
    "avalanche": "avalanche",
    "arbitrum": "arbitrum-one",
    "optimism": "optimistic-ethereum",
    "base": "base",
    "binance": "binance-smart-chain",
    "gnosis": "xdai",
    "linea": "linea",
    "scroll": "scroll",
    "sonic": "sonic",
    "cronos": "cronos",
    "meter": "meter",
    "mantle": "mantle",
    "metis": "metis-andromeda",
    "celo": "celo",
    "zksync": "zksync",
    "fantom": "fantom",
    "harmony": "harmony-shard-0",
    "moonbeam": "moonbeam",
    "moonriver": "moonriver",
}


class CoinGeckoPrices:
    """The price ranges of what `wanted` lists."""

    name = "coingecko_prices"
    datasets: Sequence[Dataset] = (DATASET,)

    def __init__(self, access: Access, wanted: Wanted, *, patience: Patience | None = None) -> None:
        self._asking = CoinGeckoAsking(access, patience=patience)
        self._wanted, self._provenance, self._now = wanted, self._asking.provenance, access.now

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self._asking.tally.asked

    def keys(self, dataset: str) -> Sequence[str]:
        """The chains asked about, sorted; `any` stands for eth and btc themselves."""
        del dataset
        return sorted({partition.key for partition in self._wanted})

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Up to 80 days of one chain that lie within 80 days of each other."""
        open_trip: list[Partition] = []
        for partition in sorted(partitions, key=lambda one: (one.key, one.period)):
            first = open_trip[0] if open_trip else partition
            if partition.key != first.key or (partition.period.day - first.period.day).days >= _DAYS_PER_TRIP:
                yield Trip(self.name, f"prices {first.key} {first.period}", tuple(open_trip))
                open_trip = []
            open_trip.append(partition)
        if open_trip:
            yield Trip(self.name, f"prices {open_trip[0].key} {open_trip[0].period}", tuple(open_trip))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """One range per token; a token the vendor does not know is kept as asked and not found."""
        key = trip.partitions[0].key
        instants: dict[str, list[int]] = {}
        for partition in trip.partitions:
            for asset, at in self._wanted[partition].items():
                instants.setdefault(asset, []).append(at)
        series: dict[str, list[tuple[int, float]]] = {}
        for asset, wanted_at in sorted(instants.items()):
            path = _path(key, asset)
            if path is None:
                for partition in trip.partitions:
                    yield Miss(partition, "gone", "unknown_entity", f"CoinGecko has no name for chain {key}")
                return
            span = {"from": str(min(wanted_at) - _NEAREST_S), "to": str(max(wanted_at) + _NEAREST_S)}
            found = self._series(path, span)
            if isinstance(found, Refusal) and found.reason != "unknown_entity":
                for partition in trip.partitions:
                    yield Miss(partition, "failed", found.reason, f"CoinGecko {key} {asset}: {found.message}")
                return
            series[asset] = [] if isinstance(found, Refusal) else found
        asked_at = self._now()
        for partition in trip.partitions:
            asked = dict(self._wanted[partition])
            points = {asset: p for asset, at in asked.items() if (p := _nearest(series[asset], at)) is not None}
            payload = kept_json(f"CoinGecko {key}", {"asked": asked, "points": points})
            request = {"method": "GET", "path": "market_chart/range", "chain": key}
            yield Raw(partition, self.name, asked_at, asked_at, payload, request, self._provenance)

    def _series(self, path: str, span: Mapping[str, str]) -> list[tuple[int, float]] | Refusal:
        """`[[milliseconds, price], ...]`; points without a finite price are left out."""
        body = self._asking.ask(path, {"vs_currency": "usd", **span})
        if isinstance(body, Refusal):
            return body
        document = read_json(body)
        points = document.get("prices") if isinstance(document, dict) else None
        if not isinstance(points, list):
            return Refusal("schema_drift", "the answer has no `prices`; the vendor changed its format")
        try:
            return [(int(s), float(p)) for s, p in points if isinstance(p, int | float) and math.isfinite(p)]
        except (TypeError, ValueError, OverflowError):
            return Refusal("schema_drift", "the answer has no points of two numbers; the vendor changed its format")

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `quotes`; points are `[milliseconds, price]` as they came."""
        document = orjson.loads(raw.payload)
        return [
            {
                "date": raw.partition.period.day,
                "chain": raw.partition.key,
                "asset": asset,
                "source": PRICES.name,
                "quoted_by": "coingecko",
                "quote_price": float(price),
                "quote": "usd",
                "observed_at": datetime.fromtimestamp(int(stamp) // 1000, UTC),
                "age_s": float(document["asked"][asset] - int(stamp) // 1000),
                "weight": 1.0,
            }
            for asset, (stamp, price) in document["points"].items()
            if price > 0
        ]


def open_prices(access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> CoinGeckoPrices:
    """The source as the app opens it, for what `wanted` lists; key and host are those of `coingecko`."""
    del chains
    return CoinGeckoPrices(access, wanted)


def _path(chain: str, asset: str) -> str | None:
    if asset in _NAMED:
        return f"/coins/{_NAMED[asset]}/market_chart/range"
    platform = PLATFORMS.get(chain)
    return f"/coins/{platform}/contract/{asset.lower()}/market_chart/range" if platform else None


def _nearest(points: Sequence[tuple[int, float]], at: int) -> tuple[int, float] | None:
    best = min(points, key=lambda point: abs(point[0] // 1000 - at), default=None)
    return best if best is not None and abs(best[0] // 1000 - at) <= _NEAREST_S else None
