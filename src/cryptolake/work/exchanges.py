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
from cryptolake.flow.collect import Collected, Progress, collect, read_rows
from cryptolake.gold import exchange_spread
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.silver import exchange_candles, exchange_tickers
from cryptolake.sources.exchanges import CANDLES, TICKERS
from cryptolake.work.pulls import Pull, record, status_of
from cryptolake.work.series import Operation, Pulled
from cryptolake.work.tables import derive, derive_below, reader, store


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What was asked, what came of it, and what a load changed."""

    collected: Collected
    rows: int
    loaded: Loaded
    spread: pl.DataFrame
    table: str

    def pulled(self, source: str, operation: Operation) -> Pulled:
        """The same as the result of an operation."""
        return Pulled(
            source,
            operation,
            status_of(bool(self.collected.failures), self.rows),
            self.rows,
            self.loaded.inserted,
            self.loaded.updated,
            self.loaded.unchanged,
            self.collected,
            table=self.table,
        )


def candles(
    source: Source,
    stores: Stores,
    *,
    first: date,
    last: date,
    keys: Sequence[str],
    workers: int = 3,
    resume: bool = True,
    progress: Progress = lambda _partition, _state: None,
) -> Exchanged:
    """Hourly candles of every day from `first` to `last` (both included) for the pairs `keys`, loaded without gaps.

    Days that are settled are not asked again, unless `resume` is off; they are loaded all the same.
    """
    with stores.warehouse() as warehouse:
        wanted = [Partition(CANDLES.name, key, day) for key in keys for day in days(first, last)]
        states = stores.ledger.states(CANDLES.name)
        known = {one for one in wanted if resume and one in states and states[one].state in SETTLED}
        missing = [one for one in wanted if one not in known]
        started, asked_at = time.monotonic(), datetime.now(UTC)
        collected = collect(
            source, missing, bronze=stores.bronze, ledger=stores.ledger, workers=workers, progress=progress
        )
        frame = exchange_candles.conform(read_rows(source, wanted, stores.bronze))
        exchange_candles.TABLE.require(frame)
        if frame.height:
            for (exchange, symbol), part in sorted(
                frame.group_by("exchange", "symbol"), key=lambda group: str(group[0])
            ):
                where = {"exchange": [str(exchange)], "symbol": [str(symbol)], "date": part["date"].unique().to_list()}
                stores.tables.write(exchange_candles.TABLE, part, replace_where=where)
        loaded = warehouse.load(exchange_candles.TABLE, frame, "update")
        derive_below([exchange_candles.TABLE.name], stores.tables, warehouse)
        _log(warehouse, source, "backfill", asked_at, started, collected, frame.height)
        return Exchanged(collected, frame.height, loaded, exchange_spread.TABLE.empty(), exchange_candles.TABLE.name)


def tickers(
    source: Source,
    stores: Stores,
    *,
    keys: Sequence[str],
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Exchanged:
    """Best bid and ask of the exchanges `keys` now, all asked at the same time, and the spread table of this hour."""
    with stores.warehouse() as warehouse:
        started, asked_at = time.monotonic(), now()
        hour = Period.of_hour(asked_at)
        wanted = [Partition(TICKERS.name, key, hour) for key in keys]
        collected = collect(
            source, wanted, bronze=stores.bronze, ledger=stores.ledger, workers=max(1, len(wanted)), progress=progress
        )
        answered = [one for one in wanted if (entry := stores.ledger.state(one)) is not None and entry.state == "done"]
        frame = exchange_tickers.conform(read_rows(source, answered, stores.bronze))
        exchange_tickers.TABLE.require(frame)
        built = derive({exchange_tickers.TABLE.name: frame}, reader(stores.tables, warehouse))
        with warehouse.together("exchanges"):
            loaded = warehouse.load(exchange_tickers.TABLE, frame, "update")
            for one, made in built:
                if made.height:  # an hour in which nobody answered must not take away what was there
                    store(one.table, made, stores.tables, warehouse)
        _log(warehouse, source, "pull", asked_at, started, collected, frame.height)
        spread = {one.table.name: made for one, made in built}[exchange_spread.TABLE.name]
        return Exchanged(collected, frame.height, loaded, spread, exchange_tickers.TABLE.name)


def _log(
    warehouse: Warehouse,
    source: Source,
    operation: Operation,
    asked_at: datetime,
    started: float,
    collected: Collected,
    rows: int,
) -> None:
    """One row in `pulls`."""
    failure = collected.failures[0].error if collected.failures else None
    status = status_of(bool(collected.failures), rows)
    record(warehouse, Pull(source.name, operation, asked_at, status, rows, time.monotonic() - started, error=failure))
