"""The metric registry: what each vendor metric means, over which span of time, and whether it can be fetched again."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal, cast

# snapshot: state at an instant. rolling_24h: the 24 hours before asking. calendar_day: 00:00 to 24:00 UTC.
# last_day: the vendor's latest complete day. trailing_*: so many days back. excluded: known and never collected.
Kind = Literal["snapshot", "rolling_24h", "calendar_day", "last_day", "trailing_7d", "trailing_30d", "excluded"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One `metric_name` of one vendor.

    `concept` is the name metrics of several vendors share (`FEES` for `CHAIN_FEES`, too). `history` says whether the
    vendor gives past values: without it a missed day is lost. `derived` numbers are computed by us, as `how` says.
    """

    source: str
    name: str
    concept: str
    kind: Kind
    unit: str
    history: bool
    derived: bool
    how: str


@lru_cache(maxsize=1)
def metrics() -> dict[tuple[str, str], Metric]:
    """Every metric by (source, name), in the order of the file."""
    text = (files("cryptolake.registry") / "data" / "metrics.csv").read_text("utf-8")
    rows = [
        Metric(
            source=row["source"],
            name=row["metric"],
            concept=row["concept"],
            kind=cast(Kind, row["kind"]),
            unit=row["unit"],
            history=row["history"] == "yes",
            derived=row["origin"] == "derived",
            how=row["how"],
        )
        for row in csv.DictReader(text.splitlines())
    ]
    return {(row.source, row.name): row for row in rows}


def without_history(source: str) -> list[str]:
    """The collected metrics of a vendor that it gives no past values of, sorted."""
    return sorted(one.name for one in metrics().values() if _lasting(one, source))


def _lasting(one: Metric, source: str) -> bool:
    return one.source == source and not one.history and one.kind != "excluded"


def meant_by(name: str) -> list[tuple[str, str]]:
    """(source, metric) pairs for a metric name or a concept; the other vendors' names of the same concept, too."""
    wanted = name.upper()
    concepts = {one.concept for one in metrics().values() if wanted in {one.name, one.concept}}
    by_concept = [key for key, one in metrics().items() if one.concept in concepts and one.concept == wanted]
    by_name = [key for key in metrics() if key[1] == wanted]
    return sorted({*by_concept, *by_name})
