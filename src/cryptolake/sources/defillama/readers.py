"""Reads DefiLlama's bodies into series. Pure; one reader per layout, named by what it reads.

Zero is kept, null and NaN are left out by the caller. A field that is not there or of another type is `Drift`: the vendor
changed its format, which must never look like "no data".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

Value = float | int | None
Document = object  # parsed JSON of any shape


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """One series as read: instants in seconds since 1970 and their values."""

    metric: str
    seconds: Sequence[int]
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class About:
    """What a reader needs beside the body: the instant the answer is about and the coin's peg."""

    at_s: int
    peg: str = ""


class Drift(ValueError):
    """The named field is missing or has another type than the vendor documents."""


Reader = Callable[[Document, About], list[FoundSeries]]

# Any of these shows that a dimension answer still has the layout we know, though the one we want may be missing.
_TOTALS = ("total24h", "total48hto24h", "total7d", "total30d", "total1y", "totalAllTime", "change_1d")


def totals(fields: dict[str, str], siblings: Sequence[str] = ()) -> Reader:
    """Current numbers: metric -> field of an object. A missing field is "no value" as long as a sibling is there."""

    def read(document: Document, about: About) -> list[FoundSeries]:
        if not isinstance(document, dict):
            raise Drift("an object")
        found = []
        for metric, field in fields.items():
            if field not in document and not any(one in document for one in siblings):
                raise Drift(field)
            found.append(FoundSeries(metric, [about.at_s], _numbers([document.get(field)], field)))
        return found

    return read


def dimension(*metrics: str) -> Reader:
    """`total24h` of an overview, for each of the metrics that mean it."""
    return totals(dict(zip(metrics, repeat("total24h"), strict=False)), _TOTALS)


def net_flow(document: Document, about: About) -> list[FoundSeries]:
    """The signed net flow, which the vendor calls `outflows`, and its two halves."""
    if not isinstance(document, dict) or "outflows" not in document:
        raise Drift("outflows")
    (net,) = _numbers([document["outflows"]], "outflows")
    inward = None if net is None else max(net, 0.0)
    outward = None if net is None else max(-net, 0.0)
    values = (("NET_FLOW", net), ("INFLOW", inward), ("OUTFLOW", outward))
    return [FoundSeries(metric, [about.at_s], [value]) for metric, value in values]


def pegged_now(document: Document, about: About) -> list[FoundSeries]:
    """A coin's circulating amount under its own peg."""
    if not isinstance(document, dict) or "circulating" not in document:
        raise Drift("circulating")
    return [
        FoundSeries("STABLECOIN_SUPPLY", [about.at_s], [_amount(document["circulating"], about.peg, "circulating")])
    ]


def pegged_series(document: Document, about: About) -> list[FoundSeries]:
    """A coin's daily amounts. Some bodies write the number 0 where an object with zero is meant."""
    points = _objects(document, ("date", "totalCirculating"))
    values = [_amount(point["totalCirculating"], about.peg, "totalCirculating") for point in points]
    if points and not any(_has_peg(point["totalCirculating"], about.peg) for point in points):
        raise Drift(f"totalCirculating.{about.peg}")
    return [FoundSeries("STABLECOIN_SUPPLY", seconds([point["date"] for point in points]), values)]


def points(metric: str, value: str, at: str = "") -> Reader:
    """A list of objects with `date` and `value`, at the top or under the field `at`."""

    def read(document: Document, about: About) -> list[FoundSeries]:
        del about
        listed = _objects(_under(document, at), ("date", value))
        numbers = _numbers([point[value] for point in listed], value)
        return [FoundSeries(metric, seconds([point["date"] for point in listed]), numbers)]

    return read


def chart(metric: str, at: str = "") -> Reader:
    """A list of pairs `[instant, number]`, at the top or under the field `at`."""

    def read(document: Document, about: About) -> list[FoundSeries]:
        del about
        pairs = _under(document, at)
        if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise Drift(f"{at or 'the chart'} (a list of pairs)")
        numbers = _numbers([pair[1] for pair in pairs], at or "the chart")
        return [FoundSeries(metric, seconds([pair[0] for pair in pairs]), numbers)]

    return read


def bridge_days(document: Document, about: About) -> list[FoundSeries]:
    """Daily bridge volume by the vendor's own definition: half of what went in plus what came out."""
    del about
    days = _objects(document, ("date", "depositUSD", "withdrawUSD"))
    into = _numbers([day["depositUSD"] for day in days], "depositUSD")
    out = _numbers([day["withdrawUSD"] for day in days], "withdrawUSD")
    halves = [None if a is None or b is None else (a + b) / 2 for a, b in zip(into, out, strict=True)]
    return [FoundSeries("BRIDGE_VOLUME", seconds([day["date"] for day in days]), halves)]


def seconds(written: list[object]) -> list[int]:
    """Instants as seconds since 1970, whether the endpoint writes numbers or text."""
    if set(map(type, written)) <= {int}:
        return written  # type: ignore[return-value]  # every element was just seen to be an int
    try:
        return [_second(one) for one in written]
    except (ValueError, OverflowError):
        raise Drift("date (seconds since 1970)") from None


def _second(written: object) -> int:
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise ValueError
    if isinstance(written, float) and not written.is_integer():
        return int(written)
    return int(written)


def _numbers(written: list[object], field: str) -> list[Value]:
    if not set(map(type, written)) <= {int, float, type(None)}:
        raise Drift(f"{field} (a number)")
    return written  # type: ignore[return-value]  # every element was just seen to be a number or null


def _under(document: Document, at: str) -> object:
    if not at:
        return document
    if not isinstance(document, dict) or at not in document:
        raise Drift(at)
    return document[at] or []  # the vendor writes null for a chart it does not have


def _objects(document: Document, fields: Sequence[str]) -> list[dict[str, object]]:
    if not isinstance(document, list):
        raise Drift("the list of points")
    for point in document:
        if not isinstance(point, dict):
            raise Drift("a point (an object)")
        for field in fields:
            if field not in point:
                raise Drift(field)
    return document


def _amount(amounts: object, peg: str, field: str) -> Value:
    if amounts is None or (amounts == 0 and not isinstance(amounts, bool)):
        return None if amounts is None else 0.0
    if not isinstance(amounts, dict):
        raise Drift(f"{field} (an object)")
    (value,) = _numbers([amounts.get(peg)], f"{field}.{peg}")
    return value


def _has_peg(amounts: object, peg: str) -> bool:
    return not isinstance(amounts, dict) or peg in amounts
