"""Reading vendor JSON with a type in hand: a value of the expected kind, null, or a Skip that names the field. No I/O."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import orjson

from cryptolake.contracts.table import Dtype
from cryptolake.errors import Skip


def read_json(body: bytes) -> object:
    """JSON, also with the bare NaN and Infinity that some servers write. Raises ValueError, also when nested too deep."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            document: object = json.loads(body)
        except RecursionError:
            raise ValueError("nested too deep") from None
        return document


def kept_json(what: str, part: object) -> bytes:
    """A part of an answer that was read, as JSON to be kept. Raises Skip (`schema_drift`) when nested too deep for that."""
    try:
        return orjson.dumps(part, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise drift(what, "part of a bearable depth") from None


def no_json(what: str) -> Skip:
    """The error for a body that nobody can read. `what` names source and key."""
    return Skip(f"{what}: the answer is no JSON; it is kept, run the same command again later", reason="unreadable")


def drift(what: str, field: str) -> Skip:
    """The error for a changed layout. `what` names source and key, `field` what was expected in the answer."""
    return Skip(
        f"{what}: the answer has no {field}; the vendor changed its format, the answer is kept, upgrade cryptolake and "
        "run the same command again",
        reason="schema_drift",
    )


def typed(what: str, name: str, dtype: Dtype, value: object, *, null: bool = False) -> object:
    """`value` as text, float64, int32 or aware UTC timestamp (from ISO 8601; without a zone it is UTC).

    NaN and infinity count as null. Raises Skip (`schema_drift`) when it is of another kind, or null where it may not be.
    """
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    if value is None and null:
        return None
    try:
        if dtype == "text" and isinstance(value, str):
            return value
        if dtype == "timestamp" and isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if dtype == "float64":
                return float(value)
            if dtype == "int32" and value == int(value) and abs(value) < 2**31:
                return int(value)
    except (ValueError, OverflowError):
        pass  # said aloud below
    raise drift(what, f"{name} ({dtype})")


def instant(what: str, name: str, value: object, *, per_second: int = 1) -> datetime:
    """The aware UTC instant of seconds (or, with `per_second=1000`, milliseconds) since 1970, as a number or as text.

    Raises Skip (`schema_drift`).
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        return datetime.fromtimestamp(float(value) / per_second, UTC)
    except (ValueError, OverflowError, OSError):
        raise drift(what, f"{name} (an instant)") from None
