"""Invented chains, protocols and bridges in DefiLlama's layouts: bulk lists, overviews, histories, flows.

Stablecoins are recorded, not invented; see `recordings/defillama`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptolake.demo.invented.curves import level, midnights
from cryptolake.demo.recording import Json
from cryptolake.registry.defillama import bridges, defillama_entities

CHAINS = {"ethereum": 6e10, "solana": 9e9}  # watched key -> value locked around which the invented one wanders
# Watched key -> value locked, and what of its kind the vendor knows of it.
PROTOCOLS: Mapping[str, tuple[float, frozenset[str]]] = {
    "aave": (1.8e10, frozenset({"fees"})),
    "sushi": (3e8, frozenset({"fees", "dexs"})),
    "0x": (4e6, frozenset({"aggregators"})),
    "gains-network": (3e7, frozenset({"fees", "derivatives", "open-interest"})),
    "across-protocol": (9e7, frozenset({"fees"})),
}
BRIDGE = "across-protocol"
_ENTITIES = {key: one for key, one in defillama_entities().items() if key in {*CHAINS, *PROTOCOLS}}
_KINDS = {"fees": 4e6, "dexs": 2e9, "options": 3e6, "aggregators": 6e8, "derivatives": 4e9, "open-interest": 2e9}
_KEY_OF_CHAIN = {_ENTITIES[key].name: key for key in CHAINS}
_KEY_OF_SLUG = {_ENTITIES[key].slug: key for key in PROTOCOLS}
_OF_ONE = re.compile(r"/(overview|summary)/([a-z-]+)/(.+)|/v2/(metrics|chart)/derivatives/chain/(.+)")
_WRONG_DAY, _WRONG_BY = 15, 1.02  # the invented vendor tells the 15th of a month 2 % too high until it is corrected
_TVL = "/v2/historicalChainTvl/"


def answer(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """The free and paid host: everything but stablecoins and bridges, as the vendor told it at first."""
    body = corrected(path, query, now)
    if path.startswith(_TVL) and isinstance(body, list):
        return [_at_first(point) for point in body]
    return body


def corrected(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """The same after the vendor's correction."""
    at = int(now.timestamp())
    if path == "/v2/chains":
        chains: list[Json] = [
            {"name": name, "gecko_id": key, "tokenSymbol": None, "tvl": level(key, at, CHAINS[key])}
            for name, key in _KEY_OF_CHAIN.items()
        ]
        return chains
    if path == "/protocols":
        return [_protocol(key, at) for key in PROTOCOLS]
    if path.startswith(_TVL):
        chain = _KEY_OF_CHAIN.get(path.removeprefix(_TVL))
        return chain and [{"date": day, "tvl": level(chain, day, CHAINS[chain])} for day in midnights(now)]
    if path.startswith("/protocol/"):
        key = _KEY_OF_SLUG.get(path.removeprefix("/protocol/"))
        return key and {
            "name": _ENTITIES[key].name,
            "tvl": [{"date": day, "totalLiquidityUSD": level(key, day, PROTOCOLS[key][0])} for day in midnights(now)],
            "sandbox": "invented",
        }
    if path.startswith("/inflows/"):
        key = _KEY_OF_SLUG.get(path.split("/")[2])
        return key and {"outflows": round(level(f"{key} flow", at, 2e6) - 2e6, 2), "sandbox": "invented"}
    kind = path.removeprefix("/overview/")
    if kind in _KINDS:
        return {
            "protocols": [
                {**_protocol(key, at), "defillamaId": key, "total24h": _flow(key, kind, query, at)}
                for key, (_, kinds) in PROTOCOLS.items()
                if kind in kinds
            ],
            "allChains": list(_KEY_OF_CHAIN),
            "sandbox": "invented",
        }
    return _of_one(path, query, now)


def _of_one(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """The overview of one chain, the summary of one protocol, a chain's derivatives."""
    found = _OF_ONE.fullmatch(path)
    if found is None:
        return None
    where, kind, name = (found[1], found[2], found[3]) if found[1] else (found[4], "derivatives", found[5])
    key = _KEY_OF_SLUG.get(name) if where == "summary" else _KEY_OF_CHAIN.get(name)
    if key is None or kind not in (PROTOCOLS[key][1] if where == "summary" else _KINDS):
        return None
    chart: list[Json] = [[day, _flow(key, kind, query, day)] for day in midnights(now)]
    if where == "chart":
        return chart
    return {
        "name": name,
        "total24h": _flow(key, kind, query, int(now.timestamp())),
        "totalDataChart": chart,
        "sandbox": "invented",
    }


def bridges_answer(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """The host of bridges: the list, and one bridge's days."""
    at = int(now.timestamp())
    if path == "/bridges":
        volume = level(BRIDGE, at, 2e7)
        one: Json = {
            "id": 1,
            "name": bridges()[BRIDGE],
            "displayName": f"{bridges()[BRIDGE]} (invented)",
            "lastDailyVolume": volume,
            "weeklyVolume": round(volume * 7, 2),
            "monthlyVolume": round(volume * 30, 2),
        }
        return {"bridges": [one], "sandbox": "invented"}
    if path == "/bridgevolume/all" and query.get("id") == "1":
        into, out = f"{BRIDGE} in", f"{BRIDGE} out"
        return [
            {"date": str(day), "depositUSD": level(into, day, 2e7), "withdrawUSD": level(out, day, 2e7)}
            for day in midnights(now)
        ]
    return None


def _protocol(key: str, at_s: int) -> dict[str, Json]:
    one = _ENTITIES[key]
    return {
        "id": key,
        "name": one.name,
        "slug": one.slug,
        "gecko_id": key,
        "category": one.category,
        "tvl": level(key, at_s, PROTOCOLS[key][0]),
    }


def _flow(key: str, kind: str, query: Mapping[str, str], at_s: int) -> float:
    share = 0.3 if query.get("dataType") == "dailyRevenue" else 1.0
    return round(share * level(f"{key} {kind}", at_s, _KINDS[kind]), 2)


def _at_first(point: Json) -> Json:
    assert isinstance(point, dict)
    day, tvl = point["date"], point["tvl"]
    assert isinstance(day, int)
    assert isinstance(tvl, float)
    wrong = datetime.fromtimestamp(day, UTC).day == _WRONG_DAY
    return {"date": day, "tvl": round(tvl * _WRONG_BY, 2) if wrong else tvl}
