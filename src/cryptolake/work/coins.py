"""The coins' river: ask -> bronze -> staging -> marts, replay of any past run, checks at rest.

Every step is a function of what the one before it stored. What does not belong here: how the vendor is asked (its source),
how rows are cleaned (silver), what the marts hold (gold) and what a check means (quality).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from cryptolake.catalogue import downstream
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Row, Source
from cryptolake.contracts.table import Table
from cryptolake.errors import Skip, Stop
from cryptolake.flow.collect import Progress, collect, read_rows
from cryptolake.flow.reading import read
from cryptolake.lake.bronze import Bronze
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.quality import coins as quality
from cryptolake.quality.results import AT_REST, COINS, Result
from cryptolake.silver import crypto_market_history, staging_crypto_market
from cryptolake.silver.crypto_market_global import TABLE as GLOBAL
from cryptolake.silver.crypto_market_history import TABLE as HISTORY
from cryptolake.silver.staging_crypto_market import TABLE as STAGING
from cryptolake.silver.staging_crypto_market import ConformedRun
from cryptolake.sources.coingecko import DEFAULT_TOP, top_of
from cryptolake.work.coin_runs import instant_of, kept_runs, run_of, totals_of
from cryptolake.work.pulls import Pull, record
from cryptolake.work.results import keep_results
from cryptolake.work.tables import derive, derive_below, reader, store

Mode = Literal["incremental", "full"]
LOCK = "coins"  # one loader at a time; readers are never kept waiting


def lake_tables() -> tuple[Table, ...]:
    """The tables of this river that the lake keeps as versions too."""
    below = [one.table for one in downstream([STAGING.name, GLOBAL.name])]
    return (STAGING, *(table for table in below if table.in_lake))


class Unreadable(Stop):
    """A kept run's answer is damaged, or of a layout this version does not know."""


class KeptOut(Stop):
    """A check kept the run out of the tables; the run itself is kept."""


@dataclass(frozen=True, slots=True)
class CoinsLoaded:
    """What loading one run made. `staging` is None when the tables hold a newer run already; history is loaded anyway."""

    run: Partition
    coins: int
    repeated: int
    staging: Loaded | None
    history: Loaded
    marts: dict[str, int]
    results: tuple[Result, ...]
    seconds: float

    @property
    def failed(self) -> list[Result]:
        """The broken checks that make the tables unfit for use."""
        return [one for one in self.results if not one.passed and one.severity == "error"]


def collect_run(
    source: Source,
    stores: Stores,
    *,
    top: int = DEFAULT_TOP,
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Partition:
    """Ask for one run and keep it: raw JSON and its typed Parquet twin. Raises Stop with the vendor's reason.

    The totals over all coins are asked in the same run; without them the run is kept all the same.
    """
    started, asked_at = time.monotonic(), now()
    run = run_of(top, asked_at)
    result = collect(
        source, [run, totals_of(run)], bronze=stores.bronze, ledger=stores.ledger, workers=2, progress=progress
    )
    entry = stores.ledger.state(run)
    done = entry is not None and entry.state == "done"
    with stores.warehouse() as warehouse:
        record(
            warehouse,
            Pull(
                source.name,
                "pull",
                asked_at,
                "success" if done else "no_data" if entry is not None and entry.state == "empty" else "error",
                (entry.rows or 0) if entry is not None else 0,
                time.monotonic() - started,
                error=result.failures[0].error if result.failures else None,
            ),
        )
    if not done:
        raise Stop((entry and entry.error) or f"{run}: no coins came; run the same command again")
    for part in (run, totals_of(run)):
        if rows := read_rows(source, [part], stores.bronze):
            stores.runs.write_typed(part, source.name, pl.DataFrame(rows, infer_schema_length=None))
    return run


def read_run(source: Source, run: Partition, bronze: Bronze) -> tuple[ConformedRun, int]:
    """A kept run, conformed, and how many of its pages had been asked again. Raises Unreadable."""
    raw = bronze.read(run, source.name)
    if raw is None:
        raise Unreadable(f"{run}: its answer is not in bronze, or damaged; see `cryptolake coins runs`")
    try:
        rows = read(source, raw)
    except Skip as error:
        raise Unreadable(f"{run}: {error}") from None
    totals: Sequence[Row] = read_rows(source, [totals_of(run)], bronze)
    conformed = staging_crypto_market.conform(rows, totals, top=top_of(run.key), processed_at=instant_of(run))
    return conformed, len([page for page in raw.request.get("asked_again", "").split(",") if page])


def load_run(
    source: Source,
    run: Partition,
    stores: Stores,
    *,
    mode: Mode = "incremental",
    despite_drift: bool = False,
    replay: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CoinsLoaded:
    """One kept run into staging, history and marts, all visible at once. The same run gives the same tables, by any mode.

    A broken check that blocks keeps the run out (KeptOut); `despite_drift` lets a run pass that has far fewer coins than
    the one before. Tables that hold a newer run are left alone, unless this is a replay.
    """
    started = time.monotonic()
    with stores.warehouse() as warehouse:
        market, asked_again = read_run(source, run, stores.bronze)
        at = instant_of(run)
        results = [
            *quality.check_staging(STAGING, market.staging, as_of=at),
            quality.row_count_drift(market.staging.height, _previous_rows(stores, warehouse, run)),
            quality.page_drift(market.repeated, asked_again),
            quality.totals_known(market.totals),
        ]
        if broken := [one for one in results if one.blocks and not one.passed]:
            first = broken[0]
            drifted = first.check == "row_count_drift"
            if not (drifted and despite_drift):
                keep_results(warehouse, results, about=COINS, at=now(), run=str(run))
                remedy = f"; if it is right, `cryptolake coins replay {run} --despite-drift`"
                raise KeptOut(
                    f"{run}: check {first.check} failed ({first.detail}); nothing was loaded{remedy if drifted else ''}"
                )
        with warehouse.together(LOCK):
            current = replay or _newest(warehouse) <= at
            staging, marts = _load_present(stores, warehouse, market, mode) if current else (None, {})
            history = warehouse.load(HISTORY, crypto_market_history.build(market.staging), "update")
            warehouse.load(GLOBAL, market.totals, "update")
            if not current:
                derive_below([HISTORY.name, GLOBAL.name], stores.tables, warehouse)
            results += quality.partitions(*warehouse.month_state(HISTORY), now().date())
            keep_results(warehouse, results, about=COINS, at=now(), run=str(run))
    return CoinsLoaded(
        run,
        market.staging.height,
        market.repeated,
        staging,
        history,
        marts,
        tuple(results),
        time.monotonic() - started,
    )


def _load_present(
    stores: Stores, warehouse: Warehouse, market: ConformedRun, mode: Mode
) -> tuple[Loaded, dict[str, int]]:
    """Staging and what is made of it, in the lake and in PostgreSQL."""
    changed = {STAGING.name: market.staging, GLOBAL.name: market.totals}
    built = [
        (one.table, frame)
        for one, frame in derive(changed, reader(stores.tables, warehouse))
        if one.table != HISTORY  # loaded of every run, also of an older one
    ]
    stores.tables.write(STAGING, market.staging)
    staging = warehouse.load(STAGING, market.staging, "replace" if mode == "full" else "mirror")
    for table, frame in built:
        store(table, frame, stores.tables, warehouse)
    return staging, {table.name: frame.height for table, frame in built}


def refresh(
    source: Source,
    stores: Stores,
    *,
    top: int = DEFAULT_TOP,
    mode: Mode = "incremental",
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CoinsLoaded:
    """The whole river once: ask, keep, load, check. What the hourly schedule runs."""
    with stores.held() as held:
        run = collect_run(source, held, top=top, progress=progress, now=now)
        return load_run(source, run, held, mode=mode, now=now)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What replaying every run made: what was loaded, which runs a check kept out and which could not be read, with why."""

    loaded: list[CoinsLoaded]
    kept_out: dict[Partition, str]
    unreadable: dict[Partition, str]


def replay_all(source: Source, stores: Stores, *, despite_drift: bool = False) -> Replayed:
    """Every kept run again, oldest first: rebuilds the history and ends with the newest good run in staging and marts."""
    done = Replayed([], {}, {})
    with stores.held() as held:
        for run in kept_runs(held.runs):
            try:
                done.loaded.append(load_run(source, run, held, despite_drift=despite_drift, replay=True))
            except KeptOut as error:
                done.kept_out[run] = str(error)
            except Unreadable as error:
                done.unreadable[run] = str(error)
    return done


def held(warehouse: Warehouse) -> set[datetime]:
    """The instants (UTC) of the runs that the history in PostgreSQL holds."""
    found = warehouse.query(f"SELECT DISTINCT processed_at FROM {HISTORY.quoted}")
    return {at.astimezone(UTC) for at in found["processed_at"].to_list()}


def check_now(stores: Stores, now: datetime) -> list[Result]:
    """The checks over the tables as they rest, against the clock; what the orchestrator's asset checks call.

    What they found is kept. Nothing is repaired first: a set-up would move rows out of the default partition before they
    are counted.
    """
    with stores.warehouse() as warehouse:
        staging = warehouse.read(STAGING)
        found = quality.check_staging(STAGING, staging, as_of=now)
        found += quality.partitions(*warehouse.month_state(HISTORY), now.date())
        keep_results(warehouse, found, about=COINS, at=now, run=AT_REST)
    return found


def _newest(warehouse: Warehouse) -> datetime:
    (newest,) = warehouse.query(f"SELECT max(processed_at) AS newest FROM {STAGING.quoted}").row(0)
    return newest if isinstance(newest, datetime) else datetime.min.replace(tzinfo=UTC)


def _previous_rows(stores: Stores, warehouse: Warehouse, run: Partition) -> int | None:
    """Coins of the newest earlier run of the same depth that history holds; a run that was kept out does not count."""
    at, top = instant_of(run), top_of(run.key)
    earlier = [instant_of(one) for one in kept_runs(stores.runs) if top_of(one.key) == top]
    instants = [when for when in earlier if when < at]
    if not instants:
        return None
    newest = f"(SELECT max(processed_at) FROM {HISTORY.quoted} WHERE processed_at = ANY(%s))"
    statement = f"SELECT count(*) AS n FROM {HISTORY.quoted} WHERE processed_at = {newest}"
    (rows,) = warehouse.query(statement, (instants,)).row(0)
    return int(rows) or None
