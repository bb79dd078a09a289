"""The simulated universe: every watched DefiLlama entity and Artemis asset with bodies of realistic shape and size.

Synthetic throughout: values come from formulas over names and days, none is market data. Point texts have a fixed width,
so that a slice of a history is a slice of bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from urllib.parse import unquote

from cryptolake.registry.artemis import artemis_assets
from cryptolake.registry.defillama import bridges, chain_keys, defillama_entities, last_known_chains
from cryptolake.registry.stablecoins import stablecoins

EPOCH = date(2011, 1, 1)
Query = dict[str, str]


def number(text: str) -> int:
    """A number that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def value(series: str, day: int) -> float:
    """The value of a series on a day since 1970: zero now and then, else somewhere between ten and ten billion."""
    seed = number(series)
    if (seed + day) % 97 == 0:
        return 0.0
    return 10.0 ** (1 + seed % 9) * (1 + ((seed >> 3) + day * 7919) % 1000 / 1000)


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - date(1970, 1, 1)).days


@dataclass(slots=True)
class Universe:
    """What the vendors know on the day `today`. `size` scales the number of days of every history."""

    today: date
    size: float = 1.0
    padding: int = 6000  # entries of the protocol list that nobody watches
    lists: dict[str, bytes] = field(default_factory=dict)

    def length(self, series: str, mean: int, longest: int) -> int:
        """How many days of history a series has: spread around the mean, one in fifty the longest."""
        if number(series) % 50 == 0:
            return max(2, int(longest * self.size))
        return max(2, int(mean * self.size * (0.4 + 1.2 * (number(series + "length") % 1000) / 1000)))

    # DefiLlama

    def defillama(self, path: str, query: Query) -> tuple[int, bytes]:
        """The main host."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        kind = query.get("dataType", "")
        match parts:
            case ["v2", "chains"]:
                return 200, self._listed("chains", self._chains)
            case ["protocols"]:
                return 200, self._listed("protocols", self._protocols)
            case ["overview", what]:
                return 200, self._listed(f"{what}{kind}", lambda: self._overview(what + kind))
            case ["overview", what, chain]:
                return self._dimension(
                    f"chain {what}{kind} {chain.lower()}", chain.lower() in self.chains_with(what), query
                )
            case ["summary", what, slug]:
                has = slug in self.slugs() and self.has(what, slug)
                status, body = self._dimension(f"{what}{kind} {slug}", has, query)
                return (status, body) if status == 200 else (400, json.dumps(f"{what} for {slug} not found").encode())
            case ["v2", "historicalChainTvl", chain]:
                if chain.lower() not in self.chain_names():
                    return 400, json.dumps(f"There is no chain with that name: {chain}").encode()
                return 200, self._history(f"tvl {chain.lower()}", 800, 1700, b'{"date":%d,"tvl":%s}', live=False)
            case ["protocol", slug]:
                if slug not in self.slugs():
                    return 400, b'"Protocol not found"'
                points = self._history(f"tvl {slug}", 800, 2500, b'{"date":%d,"totalLiquidityUSD":%s}', live=True)
                return 200, b'{"name":"%s","tvl":%s,"chainTvls":{}}' % (slug.encode(), points)
            case ["v2", "metrics", "derivatives", "chain", chain]:
                return 200, json.dumps({"total24h": value(f"perps {chain}", 1), "chain": chain}).encode()
            case ["v2", "chart", "derivatives", "chain", chain]:
                return 200, self._history(f"perps {chain}", 300, 1000, b"[%d,%s]", live=False)
            case ["inflows", slug, _]:
                if slug not in self.slugs():
                    return 400, b'"No data at that timestamp"'
                return 200, json.dumps({"outflows": value(slug, 3) - value(slug, 4), "oldTokens": {}}).encode()
        return 404, b"404 page not found"

    def defillama_stablecoins(self, path: str, query: Query) -> tuple[int, bytes]:
        """The stablecoin host."""
        if path == "/stablecoins":
            coins = [
                {"id": one.id, "pegType": one.peg, "circulating": {one.peg: value(one.key, 5)}, "chains": []}
                for one in stablecoins().values()
            ]
            return 200, json.dumps({"peggedAssets": coins}).encode()
        pegs = {one.id: one for one in stablecoins().values()}
        one = pegs.get(query.get("stablecoin", ""))
        if one is None:
            return 200, b""
        template = b'{"date":"%%d","totalCirculating":{"%s":%%s}}' % one.peg.encode()
        return 200, self._history(f"coin {one.id}", 1500, 3000, template, live=True)

    def defillama_bridges(self, path: str, query: Query) -> tuple[int, bytes]:
        """The bridge paths of the Pro host."""
        names = sorted(name for name in bridges().values() if name)
        if path == "/bridges":
            listed = [
                {
                    "id": 10 + index,
                    "name": name,
                    "displayName": name.title(),
                    "lastDailyVolume": value(name, 1),
                    "weeklyVolume": value(name, 7),
                    "monthlyVolume": value(name, 30),
                }
                for index, name in enumerate(names)
            ]
            return 200, json.dumps({"bridges": listed}).encode()
        template = b'{"date":"%d","depositUSD":%s,"withdrawUSD":2.0,"depositTxs":1,"withdrawTxs":1}'
        return 200, self._history(f"bridge {query.get('id')}", 500, 1200, template, live=False)

    def chain_names(self) -> frozenset[str]:
        """Names of the listed chains, in lower case."""
        return frozenset(one.name.lower() for one in last_known_chains())

    def chains_with(self, what: str) -> frozenset[str]:
        """Names of the chains that have data of a kind, in lower case."""
        return frozenset(name for name in self.chain_names() if name == "solana" or number(f"{what} {name}") % 3)

    @staticmethod
    def has(what: str, slug: str) -> bool:
        """Whether a protocol has data of a kind."""
        return slug == "lido" or number(f"{what} {slug}") % 2 == 0

    @staticmethod
    @cache
    def slugs() -> frozenset[str]:
        """Slugs of the watched protocols."""
        entities = defillama_entities()
        chains = chain_keys(entities, last_known_chains())
        return frozenset(one.slug for key, one in entities.items() if key not in chains)

    def _listed(self, name: str, make: object) -> bytes:
        if name not in self.lists:
            assert callable(make)
            self.lists[name] = json.dumps(make(), separators=(",", ":")).encode()
        return self.lists[name]

    def _chains(self) -> object:
        return [
            {"gecko_id": one.gecko_id or None, "tvl": value(one.name, 2), "tokenSymbol": None, "name": one.name}
            for one in last_known_chains()
        ]

    def _protocols(self) -> object:
        entities = defillama_entities()
        watched = [
            {
                "id": str(number(key)),
                "name": one.name,
                "slug": one.slug,
                "gecko_id": key,
                "tvl": value(one.slug, 1),
                "category": one.category,
                "chainTvls": {"Ethereum": value(one.slug, 2)},
            }
            for key, one in entities.items()
            if one.slug in self.slugs()
        ]
        filler = "methodology and description " * 45
        others = [
            {
                "id": f"x{n}",
                "name": f"Nobody {n}",
                "slug": f"nobody-{n}",
                "gecko_id": None,
                "tvl": n,
                "methodology": filler,
            }
            for n in range(self.padding)
        ]
        return [*others[: self.padding // 2], *watched, *others[self.padding // 2 :]]

    def _overview(self, what: str) -> object:
        dimension = what.replace("dailyRevenue", "")
        return {
            "totalDataChart": [],
            "allChains": sorted(
                one.name for one in last_known_chains() if one.name.lower() in self.chains_with(dimension)
            ),
            "protocols": [
                {
                    "defillamaId": slug,
                    "slug": slug,
                    "name": slug,
                    "total24h": value(f"{what} {slug}", 1),
                    "total7d": 1.0,
                }
                for slug in sorted(self.slugs())
                if self.has(dimension, slug)
            ],
        }

    def _dimension(self, series: str, has: bool, query: Query) -> tuple[int, bytes]:
        if not has:
            return 500, b'"Internal server error"'
        chart = b"[]"
        if query.get("excludeTotalDataChart") == "false":
            chart = self._history(series, 330, 5000, b"[%d,%s]", live=False)
        return 200, b'{"total24h":%s,"total7d":1.0,"totalDataChart":%s,"protocols":[]}' % (
            b"%.6e" % value(series, 1),
            chart,
        )

    def _history(self, series: str, mean: int, longest: int, template: bytes, *, live: bool) -> bytes:
        """Daily points that end yesterday (a dimension chart's day) or with today's midnight and live point."""
        days = min(self.length(series, mean, longest), (self.today - EPOCH).days)
        last = day_number(self.today)
        points = [template % (day * 86400, b"%.6e" % value(series, day)) for day in range(last - days, last + live)]
        if live:
            points.append(template % (last * 86400 + 45_296, b"%.6e" % value(series, last)))
        return b"[" + b",".join(points) + b"]"

    # Artemis

    def artemis(self, path: str, query: Query) -> tuple[int, bytes]:
        """`/data/api/{metric}/`: known series as numbers, the others as the vendor's words."""
        metric = path.strip("/").split("/")[-1].upper()
        start, end = (day_number(date.fromisoformat(query[name])) for name in ("startDate", "endDate"))
        limit = int(query.get("limit", "1000"))
        found = []
        for symbol in query["symbols"].split(","):
            first, blob, stride = self.artemis_series(metric, symbol)
            if not blob:
                words = b'"Metric not available for asset."'
                found.append(b'"%s":{"%s":%s}' % (symbol.encode(), metric.encode(), words))
                continue
            low, high = max(0, start - first), max(0, end + 1 - first)
            points = blob[low * stride : high * stride][: limit * stride].rstrip(b",")
            found.append(b'"%s":{"%s":[%s]}' % (symbol.encode(), metric.encode(), points))
        return 200, b'{"data":{"symbols":{' + b",".join(found) + b"}}}"

    def artemis_series(self, metric: str, symbol: str) -> tuple[int, bytes, int]:
        """First day, the points as one text of fixed stride, and that stride; nothing for one pair in ten."""
        series = f"{metric} {symbol}"
        if number(series) % 10 == 0:
            return 0, b"", 0
        return self._artemis_blob(series)

    def _artemis_blob(self, series: str) -> tuple[int, bytes, int]:
        if series not in self.lists:
            days = min(self.length(series, 620, 1800), 1800)
            last = day_number(self.today) - 1
            points = [
                b'{"date":"%s","val":%s},' % (_day_text(day), b"%.6e" % value(series, day))
                for day in range(last - days + 1, last + 1)
            ]
            self.lists[series] = b"".join(points)
        blob = self.lists[series]
        stride = len(b'{"date":"2024-01-01","val":1.000000e+00},')
        return day_number(self.today) - len(blob) // stride, blob, stride

    def warm(self) -> int:
        """Make every Artemis series and list now; returns the number of Artemis points."""
        for one in artemis_assets().values():
            for metric in one.metrics:
                self.artemis_series(metric, one.asset)
        return sum(len(blob) // 41 for name, blob in self.lists.items() if " " in name)


@cache
def _day_text(day: int) -> bytes:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat().encode()


HOSTS = ("defillama", "defillama_stablecoins", "defillama_bridges", "artemis")


def answer(universe: Universe, path: str, query: Query) -> tuple[int, bytes]:
    """The answer of any host: `/<host>/<path>`, or `/pro/<key>/<prefix>/<path>` for the Pro host."""
    host, _, rest = path.lstrip("/").partition("/")
    if host == "pro":
        _, _, rest = rest.partition("/")
        prefix, _, rest = rest.partition("/")
        host = {"api": "defillama", "stablecoins": "defillama_stablecoins", "bridges": "defillama_bridges"}[prefix]
    if host not in HOSTS:
        return 404, b"404 page not found"
    found: tuple[int, bytes] = getattr(universe, host)("/" + rest, query)
    return found


def urls(base: str) -> dict[str, str]:
    """The base URLs that point every host of both vendors at a server of this universe."""
    return {**{host: f"{base}/{host}" for host in HOSTS}, "defillama_pro": f"{base}/pro"}


def now_of(universe: Universe) -> datetime:
    """An instant of the universe's day."""
    return datetime(universe.today.year, universe.today.month, universe.today.day, 12, 34, 56, tzinfo=UTC)
