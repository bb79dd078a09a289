"""Reads CoinGecko's bodies into rows, or says which field is not as it was. No I/O; asks nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cryptolake.contracts.coin_fields import FULLY_DILUTED_VALUATION, VENDOR_FIELDS
from cryptolake.contracts.reading import drift, instant, typed
from cryptolake.contracts.source import Row

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


def coins_in(what: str, document: object) -> list[Row]:
    """Every coin of every page, in the vendor's order. Raises Skip (`schema_drift`) naming the field."""
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


def totals_in(what: str, document: object) -> Row:
    """The whole market in dollars, of a `/global` answer. Raises Skip (`schema_drift`) naming the field."""
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


def points_in(what: str, key: str, document: object) -> list[Row]:
    """Rows of `metrics`: the three series of a history, or the seven present values of a live answer."""
    if not isinstance(document, dict):
        raise drift(what, "object")
    if (item := document.get("coin")) is not None:
        (coin,) = coins_in(what, [[item]])
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
    found = document.get(name)
    if not isinstance(found, list):
        raise drift(what, name)
    for point in found:
        if not isinstance(point, list) or len(point) != 2:
            raise drift(what, f"{name} point ([milliseconds, value])")
        value = typed(what, name, "float64", point[1], null=True)
        yield metric, instant(what, name, point[0], per_second=1000), value
