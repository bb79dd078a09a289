"""The river of a source's own tables: ask -> bronze -> conform -> checked against the contract -> lake and PostgreSQL.

What a table holds is its source's affair: contract and `conform` stand in its file. What does not belong here: series that
feed `metrics` (`work.series`) and the rivers of coins, exchanges and lending markets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.source import Asked, Counts, Dataset, Prepares, Source, SourceTable
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput, CryptolakeError, Stop
from cryptolake.files.foreign import fence
from cryptolake.flow.collect import Progress, collect, read_rows
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.work.pulls import Pull, record, status_of
from cryptolake.work.series import Operation, Pulled, pulled, requests_since, without_refused


def pull_own_table(
    operation: Operation,
    source: Source,
    dataset: Dataset,
    own: SourceTable,
    stores: Stores,
    *,
    span: tuple[date, date],
    keys: Sequence[str] | None = None,
    workers: int = 5,
    resume: bool = True,
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pulled:
    """Ask for one dataset and put what came into the source's own table, row by row by its key; write a row to `pulls`.

    A pull asks for this hour and a backfill for the whole history as of today; a dataset of events in a window is asked
    for every day of `span` (both included) instead, settled days only once unless `resume` is off. Rows that break the
    contract keep the whole load out: the tables stay as they were and the answers stay in bronze. Raises BadInput when
    the key is not set or the vendor cannot answer such an operation, Stop for a broken contract.
    """
    with stores.warehouse() as warehouse:
        started, asked_at = time.monotonic(), now()
        before = source.asked if isinstance(source, Counts) else Asked()
        table = own.table
        try:
            wanted = _wanted(operation, source, dataset, keys, span, asked_at)
            if isinstance(source, Prepares) and wanted:
                source.prepare([dataset.name], wanted[0].period.granularity)
            known = stores.ledger.of(wanted)
            again = not resume or (operation == "pull" and dataset.reach != "window")
            missing = [one for one in wanted if again or one not in known or known[one].state not in SETTLED]
            collected = collect(
                source, missing, bronze=stores.bronze, ledger=stores.ledger, workers=workers, progress=progress
            )
            stores.bronze.settle()  # durable before anything is loaded that was made of it
            states = stores.ledger.of(wanted)
            answered = [one for one in wanted if one in states and states[one].state in {"done", "empty"}]
            frame = _conformed(source, own, answered, stores.bronze)
            loaded = _load(table, frame, stores.tables, warehouse)
        except CryptolakeError as error:
            spent, asked = time.monotonic() - started, requests_since(source, before)
            record(warehouse, Pull(source.name, operation, asked_at, "error", 0, spent, asked, error=str(error)))
            raise
        refused = without_refused(collected)
        first = collected.failures[0].error if collected.failures else None
        status = status_of(bool(collected.failures), frame.height)
        spent, asked = time.monotonic() - started, requests_since(source, before)
        row = Pull(source.name, operation, asked_at, status, frame.height, spent, asked, error=first)
        record(warehouse, row)
        return pulled(row, loaded, collected, table=table.name, needs_key=refused)


def _wanted(
    operation: Operation,
    source: Source,
    dataset: Dataset,
    keys: Sequence[str] | None,
    span: tuple[date, date],
    asked_at: datetime,
) -> list[Partition]:
    """What is asked for. Raises BadInput when it cannot be."""
    if not dataset.granted:
        raise BadInput(f"{source.name} {dataset.name}: set {dataset.needs or 'its key'} and run again")
    if not (dataset.live if operation == "pull" else dataset.history):
        other = "backfill" if operation == "pull" else "pull"
        raise BadInput(f"{source.name} {dataset.name} has no {operation}; run `cryptolake {other} {source.name}`")
    if dataset.reach == "window":
        periods = list(days(*span))
    else:
        periods = [Period.of_hour(asked_at) if operation == "pull" else Period.of_day(asked_at.date())]
    asked = [key for key in source.keys(dataset.name) if keys is None or key in keys]
    return [Partition(dataset.name, key, period) for key in asked for period in periods]


def _conformed(source: Source, own: SourceTable, answered: Sequence[Partition], bronze: Bronze) -> pl.DataFrame:
    """The answers as a frame that holds the contract. Raises Stop with the fault."""
    rows = read_rows(source, answered, bronze)
    if not rows:
        return own.table.empty()
    where = f"{source.name}: `conform` of its table {own.table.name}"
    with fence(
        source.name,
        f"`conform` of its table {own.table.name}",
        "nothing was loaded, the answers are kept; correct the file",
    ):
        frame = own.conform(rows)
    if not isinstance(frame, pl.DataFrame):
        raise Stop(f"{where} gave no polars frame; nothing was loaded, the answers are kept; correct the file")
    if broken := own.table.violations(frame):
        first = broken[0]
        raise Stop(
            f"{where}: {counted(first.rows, 'row breaks', 'rows break')} {first.check} ({first.example}); nothing was loaded"
        )
    return frame


def _load(table: Table, frame: pl.DataFrame, tables: Tables, warehouse: Warehouse) -> Loaded:
    """The rows into lake and PostgreSQL; rows with another key stay."""
    if not frame.height:
        return Loaded(0, 0, 0)
    with warehouse.together(f"table {table.name}"):
        among = {table.partition: frame[table.partition].unique().to_list()} if table.partition else None
        others = tables.read(table, among=among).join(frame, on=list(table.key), how="anti")
        tables.write(table, pl.concat([others, frame]), replace_where=among)
        return warehouse.load(table, frame, "update")
