"""The exchanges' river: candles of finished days, tickers now, and the spread between exchanges.

What does not belong here: how an exchange is asked (its source) and what a spread is (gold).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.source import Source
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.flow.collect import Collected, Progress, collect, read_rows
from cryptolake.gold import exchange_spread
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.silver import exchanges as silver
from cryptolake.silver import pulls
from cryptolake.sources.exchanges import CANDLES, TICKERS
from cryptolake.state.ledger import Ledger

EXCHANGE_TABLES: tuple[Table, ...] = (silver.CANDLES, silver.TICKERS, exchange_spread.EXCHANGE_SPREAD)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What was asked, what came of it, and what a load changed."""

    collected: Collected
    rows: int
    loaded: Loaded
    spread: pl.DataFrame


def candles(
    source: Source,
    *,
    first: date,
    last: date,
    keys: Sequence[str],
    bronze: Bronze,
    ledger: Ledger,
    tables: Tables,
    warehouse: Warehouse,
    workers: int = 3,
    resume: bool = True,
    progress: Progress = lambda _partition, _state: None,
) -> Exchanged:
    """Hourly candles of every day from `first` to `last` (both included) for the pairs `keys`, loaded without gaps.

    Days that are settled are not asked again, unless `resume` is off; they are loaded all the same.
    """
    wanted = [Partition(CANDLES.name, key, day) for key in keys for day in days(first, last)]
    states = ledger.states(CANDLES.name)
    known = {one for one in wanted if resume and one in states and states[one].state in SETTLED}
    missing = [one for one in wanted if one not in known]
    started, asked_at = time.monotonic(), datetime.now(UTC)
    collected = collect(source, missing, bronze=bronze, ledger=ledger, workers=workers, progress=progress)
    frame = silver.conform_candles(read_rows(source, wanted, bronze))
    _hold(silver.CANDLES, frame)
    warehouse.setup([*EXCHANGE_TABLES, pulls.PULLS])
    if frame.height:
        for (exchange, symbol), part in sorted(frame.group_by("exchange", "symbol"), key=lambda group: str(group[0])):
            where = {"exchange": [str(exchange)], "symbol": [str(symbol)], "date": part["date"].unique().to_list()}
            tables.write(silver.CANDLES, part, replace_where=where)
    loaded = warehouse.load(silver.CANDLES, frame, "update")
    _log(warehouse, source, "backfill", asked_at, started, collected, frame.height)
    return Exchanged(collected, frame.height, loaded, exchange_spread.EXCHANGE_SPREAD.empty())


def tickers(
    source: Source,
    *,
    keys: Sequence[str],
    bronze: Bronze,
    ledger: Ledger,
    tables: Tables,
    warehouse: Warehouse,
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Exchanged:
    """Best bid and ask of the exchanges `keys` now, all asked at the same time, and the spread table of this hour."""
    started, asked_at = time.monotonic(), now()
    hour = Period.of_hour(asked_at)
    wanted = [Partition(TICKERS.name, key, hour) for key in keys]
    collected = collect(source, wanted, bronze=bronze, ledger=ledger, workers=max(1, len(wanted)), progress=progress)
    answered = [one for one in wanted if (entry := ledger.state(one)) is not None and entry.state == "done"]
    frame = silver.conform_tickers(read_rows(source, answered, bronze))
    _hold(silver.TICKERS, frame)
    spread = exchange_spread.build(frame)
    _hold(exchange_spread.EXCHANGE_SPREAD, spread)
    warehouse.setup([*EXCHANGE_TABLES, pulls.PULLS])
    with warehouse.together("exchanges"):
        loaded = warehouse.load(silver.TICKERS, frame, "update")
        warehouse.load(exchange_spread.EXCHANGE_SPREAD, spread, "update")
    _log(warehouse, source, "pull", asked_at, started, collected, frame.height)
    if spread.height:
        tables.publish(exchange_spread.EXCHANGE_SPREAD, spread)
    return Exchanged(collected, frame.height, loaded, spread)


def _log(
    warehouse: Warehouse,
    source: Source,
    operation: str,
    asked_at: datetime,
    started: float,
    collected: Collected,
    rows: int,
) -> None:
    """One row in `pulls`, also when something failed."""
    row = pulls.row(
        source.name,
        operation,
        asked_at,
        status="error" if collected.failures else "success" if rows else "no_data",
        records=rows,
        duration_s=time.monotonic() - started,
        error=collected.failures[0].error if collected.failures else None,
    )
    warehouse.append(pulls.PULLS, row)


def _hold(table: Table, frame: pl.DataFrame) -> None:
    if broken := table.violations(frame):
        raise Stop(
            f"{table.name}: {broken[0].rows} rows break {broken[0].check} ({broken[0].example}); nothing was loaded"
        )
