"""The wide form of a prepared panel: one row per day, one column per figure and market, called as a program can hold it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.research.transforms import Prepared

_IDS = ("date", "time_id")
_SHORTER = (
    *(("total_", ""), ("_usd", ""), ("liquidations", "liq"), ("liquidation", "liq"), ("collateral", "coll")),
    *(("unfiltered", "unfilt"), ("utilization_rate", "util"), ("priced", "prc"), ("value", "val"), ("imputed", "i")),
)


def wide(prepared: Prepared, values: Sequence[str], longest: int | None = None) -> tuple[pl.DataFrame, dict[str, str]]:
    """The wide frame, and what each of its columns is: `<value>__<csu>`.

    Columns are called just that; for a program that holds names of at most `longest` characters `<value>_<unit_id>`, the value
    shortened where it must be. Raises BadInput when even that is too long.
    """
    frame = prepared.frame
    chosen = [
        name
        for name in frame.columns
        if name in values or (name in prepared.derived and name not in ("unit_id", *_IDS))
    ]
    numbers = dict(frame.select("csu", "unit_id").unique().sort("csu").iter_rows())
    found = frame.select(_IDS).unique().sort("date")
    meaning: dict[str, str] = {}
    for name in chosen:
        short = _short(name, numbers, longest)
        called = {csu: f"{name}__{csu}" if longest is None else f"{short}_{number}" for csu, number in numbers.items()}
        piece = frame.pivot("csu", index="date", values=name).select(
            "date", *(pl.col(csu).alias(called[csu]) for csu in numbers)
        )
        found = found.join(piece, on="date", how="left")
        meaning |= {called[csu]: f"{name}__{csu}" for csu in numbers}
    return found, meaning


def _short(name: str, numbers: Mapping[str, int], longest: int | None) -> str:
    """The name of a value, shortened until it fits with every market's number. Raises BadInput."""
    room = (longest or 0) - 1 - max(len(str(number)) for number in numbers.values())
    short = name
    for long, shorter in _SHORTER:
        if longest is None or len(short) <= room:
            return short
        short = re.sub(rf"(?:(?<=_)|^|(?=_)){long}", shorter, short)
    if longest is not None and len(short) > room:
        raise BadInput(
            f"a wide file names {name} by market, which does not fit {counted(longest, 'character')}; export --shape long, or "
            "leave out a transformation"
        )
    return short
