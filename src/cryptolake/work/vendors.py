"""A vendor's pull and backfill, whatever it feeds: series, coins, exchanges, tables of its own. The only way in.

Each dataset goes to the river of the table it feeds. What does not belong here: the rivers themselves (series, coins,
exchanges, vendor_tables), when it is done (daily) and what is printed (cli).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cryptolake.app import App
from cryptolake.catalogue import asked_alone
from cryptolake.contracts.source import Dataset, Source, SourceTable
from cryptolake.errors import BadInput
from cryptolake.flow.collect import Collected, Progress
from cryptolake.publish.stores import Stores
from cryptolake.silver.crypto_market_global import TABLE as GLOBAL
from cryptolake.silver.exchange_candles import TABLE as CANDLES
from cryptolake.silver.exchange_tickers import TABLE as TICKERS
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.silver.staging_crypto_market import TABLE as STAGING
from cryptolake.sources.coingecko import DEFAULT_TOP, top_of
from cryptolake.work import coins, exchanges
from cryptolake.work.pulls import status_of
from cryptolake.work.refill import Fresh
from cryptolake.work.series import Operation, Pulled, pull_or_backfill
from cryptolake.work.tables import derive_below
from cryptolake.work.vendor_tables import pull_own_table

PULLED_DAYS = 7  # a pull asks datasets of events for the finished days of a week: what was late comes with the next one
VENDOR_WORKERS = 10  # a vendor answers slowly and bears many conversations; the rate limit is elsewhere


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a vendor: an operation on some datasets (with those of one table together) for some keys.

    `own` are the tables that the vendor's file declares, `span` the days that windowed datasets are asked for.
    """

    operation: Operation
    datasets: tuple[Dataset, ...]
    own: Mapping[str, SourceTable]
    span: tuple[date, date]
    keys: Sequence[str] | None
    resume: bool
    restate: bool
    fresh: Fresh | None
    workers: int
    progress: Progress

    def only(self, feeds: Collection[str]) -> Sequence[Dataset]:
        """The datasets that feed one of these tables."""
        return [one for one in self.datasets if one.feeds in feeds]

    def keys_of(self, source: Source, dataset: str) -> list[str]:
        """The chosen keys of a dataset."""
        return [key for key in source.keys(dataset) if self.keys is None or key in self.keys]


River = Callable[[Source, Request, Stores], Iterator[Pulled]]


def ask_vendor(
    app: App,
    operation: Operation,
    name: str,
    *,
    datasets: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    resume: bool = True,
    restate: bool = False,
    fresh: Fresh | None = None,
    workers: int | None = None,
    provenance: dict[str, str] | None = None,
    progress: Progress = lambda _partition, _state: None,
) -> list[Pulled]:
    """Ask a vendor and load what it feeds; one result for each table. Every result has its row in `pulls`.

    Without `datasets` all that can answer the operation are asked. Raises BadInput for an unknown source, dataset or key,
    for an operation the vendor cannot answer, and when nothing can be asked for want of a key.
    """
    source = app.vendor(name, provenance)
    chosen = chosen_datasets(source, operation, datasets, keys)
    request = Request(
        operation,
        tuple(chosen),
        app.found.own_tables(name),
        window(app, operation),
        keys,
        resume,
        restate,
        fresh,
        workers or max(app.settings.workers, VENDOR_WORKERS),
        progress,
    )
    results: list[Pulled] = []
    with app.stores.held() as stores, stores.warehouse() as warehouse:
        for river in (_series, _coins, _exchanges, _own_tables):
            results += river(source, request, stores)
        # Of what a river took no further itself; also where nothing new came, because a table's file may be new.
        derive_below({one.table for one in results} & set(asked_alone()), stores.tables, warehouse)
    return results


def questions(
    app: App, operation: Operation, source: Source, datasets: Sequence[Dataset], keys: Sequence[str] | None
) -> int:
    """How many answers an operation waits for: one a dataset and key, or a day where days are asked."""
    first, last = window(app, operation)
    days = (last - first).days + 1
    return sum(
        days if one.reach == "window" else 1
        for one in datasets
        for key in source.keys(one.name)
        if keys is None or key in keys
    )


def chosen_datasets(
    source: Source, operation: Operation, datasets: Sequence[str] | None, keys: Sequence[str] | None
) -> list[Dataset]:
    """The datasets meant. Raises BadInput for a name or key this source does not have, or what it cannot answer."""
    known = {one.name: one for one in source.datasets}
    if unknown := sorted(set(datasets or ()) - set(known)):
        raise BadInput(f"{source.name} has no dataset {unknown[0]!r}; known: {', '.join(sorted(known))}")
    can = [one for one in known.values() if (one.live if operation == "pull" else one.history)]
    for name in datasets or ():
        if known[name] not in can:
            other = "backfill" if operation == "pull" else "pull"
            raise BadInput(
                f"{source.name} {name} cannot be asked by {operation}; run `cryptolake {other} {source.name}`"
            )
    chosen = [one for one in can if not datasets or one.name in datasets]
    if not chosen:
        other = "backfill" if operation == "pull" else "pull"
        raise BadInput(f"{source.name} has nothing to {operation}; run `cryptolake {other} {source.name}`")
    all_keys = {key for one in chosen for key in source.keys(one.name)}
    if unknown := sorted(set(keys or ()) - all_keys):
        raise BadInput(f"{source.name} has no entity {unknown[0]!r}; see `cryptolake entities`")
    return chosen


def window(app: App, operation: Operation) -> tuple[date, date]:
    """The days that an operation asks windowed datasets for: the week's, or on a backfill the settings' whole span."""
    first, last = app.settings.span()
    return (max(first, last - timedelta(days=PULLED_DAYS - 1)), last) if operation == "pull" else (first, last)


def _series(source: Source, request: Request, stores: Stores) -> Iterator[Pulled]:
    chosen = request.only({METRICS.name})
    if chosen:
        yield pull_or_backfill(
            request.operation,
            source,
            stores,
            keys=request.keys,
            datasets=[one.name for one in chosen],
            workers=request.workers,
            resume=request.resume,
            restate=request.restate,
            fresh=request.fresh,
            progress=request.progress,
        )


def _coins(source: Source, request: Request, stores: Stores) -> Iterator[Pulled]:
    """One run of coins: the coins and the totals over all coins belong together."""
    asked = request.only({STAGING.name, GLOBAL.name})
    if not asked:
        return
    depths = [top_of(key) for one in asked if one.feeds == STAGING.name for key in request.keys_of(source, one.name)]
    loaded = coins.refresh(source, stores, top=max(depths, default=DEFAULT_TOP), progress=request.progress)
    changed = loaded.staging
    yield Pulled(
        source.name,
        "pull",
        status_of(bool(loaded.failed), loaded.coins),
        loaded.coins,
        changed.inserted if changed else 0,
        changed.updated if changed else 0,
        changed.unchanged if changed else loaded.coins,
        Collected(done=1),
        alerts=tuple(f"{one.check}: {one.detail}" for one in loaded.failed),
        duration_s=loaded.seconds,
        table=STAGING.name,
    )


def _exchanges(source: Source, request: Request, stores: Stores) -> Iterator[Pulled]:
    """Tickers now, and the candles of finished days."""
    for one in request.only({TICKERS.name}):
        yield exchanges.tickers(
            source,
            stores,
            keys=request.keys_of(source, one.name),
            progress=request.progress,
        ).pulled(source.name, request.operation)
    for one in request.only({CANDLES.name}):
        first, last = request.span
        yield exchanges.candles(
            source,
            stores,
            first=first,
            last=last,
            keys=request.keys_of(source, one.name),
            resume=request.resume,
            progress=request.progress,
        ).pulled(source.name, request.operation)


def _own_tables(source: Source, request: Request, stores: Stores) -> Iterator[Pulled]:
    for one in request.only(request.own):
        yield pull_own_table(
            request.operation,
            source,
            one,
            request.own[one.feeds],
            stores,
            span=request.span,
            keys=request.keys,
            workers=request.workers,
            resume=request.resume,
            progress=request.progress,
        )
