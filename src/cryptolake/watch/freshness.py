"""What is worth an alert about a vendor's data: series that disappeared, and days that can never be filled again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.points import Points
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.metrics import without_history

_FRESH_DAYS = 8  # a live series that had a value within so many days should have one today
_NAMED = 3  # how many series or days a line names


def assets_of(keys: Collection[str]) -> list[str]:
    """What the entities `keys` are called in `metrics`, sorted; a key may not hold a star (see `registry.artemis.key_of`)."""
    return sorted({*keys, *(key.replace("+star", "*") for key in keys)})


def disappeared(
    source: str, keys: Collection[str], points: Points, warehouse: Warehouse, asked_at: datetime, *, live: bool
) -> list[str]:
    """One line per metric that lost series: they are stored (live: within the last days), and the vendor gave none now.

    Only series of the metrics that were answered at all and of the keys asked for are compared: a refused endpoint is
    reported as a failure already.
    """
    answered = points.frame["metric_name"].unique().to_list()
    if not answered:
        return []
    assets = assets_of(keys)
    since = asked_at.replace(tzinfo=None) - timedelta(days=_FRESH_DAYS) if live else datetime(1970, 1, 1)  # noqa: DTZ001
    stored = warehouse.query(
        "SELECT asset, metric_name, max(pulled_at) AS last FROM metrics WHERE source = %s AND pulled_at >= %s "
        "AND metric_name = ANY(%s) AND asset = ANY(%s) GROUP BY 1, 2",
        (source, since, answered, assets),
    )
    if not stored.height:
        return []
    here = points.frame.select("asset", "metric_name").unique()
    gone = stored.join(here, on=["asset", "metric_name"], how="anti").sort("metric_name", "asset")
    lines = []
    for (metric,), group in gone.group_by("metric_name", maintain_order=True):
        named = [f"{asset} (last {last:%Y-%m-%d})" for asset, last in group.select("asset", "last").head(_NAMED).rows()]
        more = f" and {group.height - _NAMED} more" if group.height > _NAMED else ""
        lines.append(f"{metric}: {counted(group.height, 'series', 'series')} disappeared: {', '.join(named)}{more}")
    return lines


def lost_days(source: str, warehouse: Warehouse, asked_at: datetime) -> list[str]:
    """One line per metric without history that has days without any value, between its first day and yesterday."""
    precious = without_history(source)
    if not precious:
        return []
    found = warehouse.query(
        "SELECT metric_name, pulled_at::date AS day FROM metrics WHERE source = %s AND metric_name = ANY(%s) "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        (source, precious),
    )
    if not found.height:
        return []
    yesterday = asked_at.date() - timedelta(days=1)
    lines = []
    for (metric,), group in found.group_by("metric_name", maintain_order=True):
        missing = _gaps(group["day"], yesterday)
        if missing:
            named = ", ".join(str(day) for day in missing[-_NAMED:])
            more = f" and {len(missing) - _NAMED} earlier" if len(missing) > _NAMED else ""
            days = "day" if len(missing) == 1 else "days"
            lines.append(f"{metric}: {len(missing)} {days} can never be filled: {named}{more}")
    return lines


def _gaps(days: pl.Series, last: date) -> list[date]:
    """The days between the first of `days` and `last`, both included, that are not in it."""
    first = days.min()
    assert isinstance(first, date)
    present = set(days.to_list())
    return [day for n in range((last - first).days + 1) if (day := first + timedelta(days=n)) not in present]
