"""Reads Artemis' bodies: cuts a batch's answer into each asset's piece, and a piece into instants and values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptolake.errors import Skip
from cryptolake.net.conversation import Refusal
from cryptolake.net.verbatim import members

MAX_POINTS = 1000  # of one series in one answer
_SENTINELS = ("not found", "not available")  # "Metric not found.", "Latest data not available for this asset.", ...

Piece = bytes | Refusal


def take_apart(body: bytes, metric: str, assets: Sequence[str]) -> dict[str, Piece] | Refusal:
    """Every asset's own bytes; `null` where the answer says nothing of it, the vendor's words where it says why."""
    try:
        data = {one.key: one for one in members(body, "data")}
        if "symbols" in data and isinstance(data["symbols"].value, str):
            return dict.fromkeys(assets, data["symbols"].raw)  # one sentence in place of all symbols
        found = members(data["symbols"].raw) if "symbols" in data else list(data.values())
    except ValueError:
        return Refusal(
            "schema_drift", "the answer has no data.symbols; the vendor changed its format; upgrade cryptolake"
        )
    by_symbol = {one.key.lower(): one for one in found}
    if found and not by_symbol.keys() & {asset.lower() for asset in assets}:
        return Refusal(
            "schema_drift", "the answer names none of the symbols asked for; it is kept with the first of them"
        )
    points = [_length(one.value, metric) for one in found]
    if len(assets) > 1 and (max(points, default=0) >= MAX_POINTS or sum(points) == MAX_POINTS):
        return Refusal("too_big", "the answer was cut at the vendor's limit of points")
    return {asset: by_symbol[asset.lower()].raw if asset.lower() in by_symbol else b"null" for asset in assets}


def _length(value: object, metric: str) -> int:
    series = (
        next((v for k, v in value.items() if k.lower() == metric.lower()), None) if isinstance(value, dict) else None
    )
    return len(series) if isinstance(series, list) else 0


def series_in(piece: object, metric: str, asset: str) -> object:
    """What an asset's piece says about the metric: a list, a number, or None for the vendor's "not available"."""
    if isinstance(piece, dict):
        by_name = {str(name).lower(): value for name, value in piece.items()}
        if metric.lower() not in by_name:
            if by_name:
                raise drift(asset, metric)
            return None
        piece = by_name[metric.lower()]
    if isinstance(piece, str):
        if any(words in piece.lower() for words in _SENTINELS):
            return None
        message = f"artemis {asset}: {metric}: the vendor answered with words it never used before; the answer is kept"
        raise Skip(message, reason="vendor_error")
    if piece is None or isinstance(piece, list | int | float):
        return piece
    raise drift(asset, f"{metric} (a list)")


def points_of(series: object, asset: str) -> tuple[list[int], list[float | int | None]]:
    assert isinstance(series, list)
    try:
        at = [_DAYS[point["date"]] for point in series]
        values = [point["val"] for point in series]
    except (KeyError, TypeError, ValueError):
        raise drift(asset, "date and val of every point") from None
    if not set(map(type, values)) <= {int, float, type(None)}:
        values = [_number(value, asset) for value in values]
    return at, values


def _number(value: object, asset: str) -> float | int | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        if any(words in value.lower() for words in _SENTINELS):
            return None
        try:
            return float(value)
        except ValueError:
            pass
    raise drift(asset, "val (a number)")


class _Days(dict[str, int]):
    """Seconds since 1970 of a written day; there are few different ones among millions of points."""

    def __missing__(self, text: str) -> int:
        moment = datetime.fromisoformat(text)
        self[text] = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        return self[text]


_DAYS = _Days()


def drift(asset: str, field: str) -> Skip:
    return Skip(
        f"artemis {asset}: the answer has no {field}; the vendor changed its format, the answer is kept, "
        "upgrade cryptolake and run the same command again",
        reason="schema_drift",
    )
