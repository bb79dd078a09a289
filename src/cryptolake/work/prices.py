"""The river of the prices that all markets share: ask for the missing ones, import a file, value anew.

What does not belong here: how a source is asked (sources) and which price wins (`silver.prices`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Boundary, Partition, Period
from cryptolake.contracts.prices import ADOPTED, Wanted
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Source
from cryptolake.errors import BadInput, Skip
from cryptolake.flow.claims import WORKER
from cryptolake.flow.collect import Collected, Progress
from cryptolake.flow.collect import collect as collect_partitions
from cryptolake.flow.outputs import Output
from cryptolake.flow.plan import make_plan
from cryptolake.flow.reading import read
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver import liquidations, prices, tvl
from cryptolake.silver.quotes import ANY_CHAIN
from cryptolake.sources.price_file import COLUMNS, landed
from cryptolake.sources.price_file import PRICES as PRICES_OF_FILES
from cryptolake.state.ledger import Ledger
from cryptolake.work.beside import ChainDay, has_endpoint, partitions_beside
from cryptolake.work.lending import made_good
from cryptolake.work.market_days import EVERYTHING, MarketDays
from cryptolake.work.price_sources import (
    lake_pricing,
    price_answers,
    price_source,
    price_sources,
    pricing,
    read_quotes,
    warn_of_other_settings,
)
from cryptolake.work.refine import SILVER
from cryptolake.work.refine import reprice as revalue

Watch = Callable[[str, int], AbstractContextManager[Progress]]


@contextmanager
def _unwatched(_what: str, _total: int) -> Iterator[Progress]:
    yield lambda _partition, _state: None


def told_by(app: App, names: Sequence[str] | None = None) -> list[str]:
    """Those who can be asked for prices, or the named ones of them. Raises BadInput for another name."""
    known = [name for name, one in app.found.price_sources.items() if one.asked != "never"]
    for name in names or ():
        if name not in known:
            raise BadInput(f"unknown price source {name!r}; known: {', '.join(known)}")
    return list(names or known)


def collect(
    app: App, name: str, *, everything: bool = False, only: MarketDays = EVERYTHING, watch: Watch = _unwatched
) -> Collected:
    """Ask one source for what it has not answered yet, then value everything again.

    A vendor is asked for the tokens without a price or with one that was taken over, or with `everything` for all of them;
    `only` for those that these markets hold on these days. `watch` is told how much there is to ask and gives back who is
    told of every answer.
    """
    boundary, states = app.boundary, app.ledger.states()
    source = price_source(app, name)
    dataset = source.datasets[0].name
    if app.found.price_sources[name].asked == "snapshots":
        asked, resume = partitions_beside(app, name, source, snapshots(app.tables, only), has_endpoint), True
    else:
        wanted = wanted_of(app.tables, dataset, everything=everything, boundary=boundary, only=only)
        left = unanswered(wanted, source.name, app.bronze, states)
        source, asked, resume = price_source(app, name, left), list(left), False
    with watch(f"prices {name}", len(asked)) as progress:
        result = ask(
            source,
            asked,
            bronze=app.bronze,
            ledger=app.ledger,
            workers=app.settings.workers,
            resume=resume,
            progress=progress,
        )
    value_anew(app)
    return result


def import_file(app: App, file: Path, columns: Mapping[str, str] | None = None) -> list[Output]:
    """Keep a price file in bronze and value everything again. Raises BadInput for a faulty file before anything is kept.

    It may be CSV, JSON or Parquet; `columns` says how it calls ours (ours: its own).
    """
    raw, rows = read_file(app, file, columns)
    return [*keep_file(app, raw, rows), *value_anew(app)]


def read_file(
    app: App, file: Path, columns: Mapping[str, str] | None = None, *, adopted: bool = False
) -> tuple[Raw, int]:
    """A price file as an answer that is not kept yet, and how many prices it has. Raises BadInput for a faulty one.

    `adopted`: it was taken over, so that its prices go after everybody's and are called unproven.
    """
    if unknown := sorted(set(columns or {}) - set(COLUMNS)):
        raise BadInput(f"unknown column {unknown[0]!r}; a price file has {', '.join(COLUMNS)}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; give the path of a CSV, JSON or Parquet file") from None
    key = re.sub(r"[^A-Za-z0-9._+-]", "-", file.stem).lstrip("._+-") or "file"
    name, key = (f"{ADOPTED}{file.name}", f"adopted-{key}") if adopted else (file.name, key)
    raw = landed(name, content, key, datetime.now(UTC), columns)
    try:
        rows = read(price_source(app, PRICES_OF_FILES.name), raw)
    except Skip as error:
        raise BadInput(str(error)) from None
    return raw, len(rows)


def keep_file(app: App, raw: Raw, rows: int) -> list[Output]:
    """Keep a price file that was read. What was brought last counts, also where the same was brought before another one."""
    raw = replace(raw, partition=_place_of(app, raw))
    digest = app.bronze.land(raw)
    app.ledger.append(Entry(raw.partition, "done", raw.fetched_at, WORKER, rows=rows, digest=digest))
    return [Output("quotes", rows, raw.request["file"])]


def _place_of(app: App, raw: Raw) -> Partition:
    """Where a price file is kept: its own place, or a new one where the same lies there and another was brought after it."""
    files = app.ledger.states(raw.partition.dataset)
    kept = files.get(raw.partition)
    last = max(files, key=lambda one: files[one].at, default=raw.partition)
    if kept is None or kept.digest != raw.digest or last == raw.partition:
        return raw.partition
    return (
        last
        if files[last].digest == raw.digest
        else replace(raw.partition, key=f"{raw.partition.key}+{raw.fetched_at:%H%M%S%f}")
    )


def reprice(app: App) -> list[Output]:
    """Value silver again from every quote that is kept, by the settings; from now on it stays valued so.

    The versions before stay readable. What silver cannot vouch for is made anew first.
    """
    return _valued(app, pricing(app))


def value_anew(app: App) -> list[Output]:
    """The same with prices chosen as they were the last time: other quotes do not undo what `reprice` was told."""
    warn_of_other_settings(app, lake_pricing(app))
    return _valued(app, lake_pricing(app, everything=True))


def _valued(app: App, how: prices.Pricing) -> list[Output]:
    made_good(app, valued_after=True)
    states = app.ledger.states()
    quotes = read_quotes(price_sources(app), app.bronze, states)
    return revalue(tables=app.tables, quotes=quotes, pricing=how, told_by=price_answers(app, states))


def versions(app: App) -> dict[str, int | None]:
    """The latest version number of every silver table of this river; None for one that was never written."""
    return {table.name: app.tables.version(table) for table in SILVER}


def rows_of(app: App, only: MarketDays) -> dict[str, int]:
    """How many rows of each of those tables are of these market-days, or of the tokens that these markets hold on them."""
    frames = ((table.name, app.tables.read(table)) for table in SILVER)
    return {
        name: (only.of(frame) if "csu" in frame.columns else held_by(app.tables, frame, only)).height
        for name, frame in frames
    }


_USED = ("price", "price_source", "flag")


def overview(app: App, *, missing: bool = False, flagged: bool = False, only: MarketDays = EVERYTHING) -> pl.DataFrame:
    """Which tokens are priced by whom and since when, or only those without a price or whose sources disagree.

    As the markets' rows are valued; of what no market holds (eth, btc, tokens only liquidated) the shared price.
    """
    day = ["date", "chain", "asset"]
    shared = held_by(app.tables, app.tables.read(prices.TABLE), only).select(*day, *_USED, "spread")
    held = only.of(app.tables.read(tvl.TABLE, columns=["csu", *day, *_USED[:2], "price_flag"]))
    used = held.select(*day, *_USED[:2], pl.col("price_flag").alias("flag")).unique([*day, "price_source", "flag"])
    used = used.join(shared.select(*day, "spread"), on=day, how="left")
    frame = pl.concat([used, shared.join(used, on=day, how="anti").select(used.columns)])
    if missing:
        frame = frame.filter(pl.col("price").is_null())
    if flagged:
        frame = frame.filter(pl.col("flag") == "disagrees")
    return (
        frame.group_by("chain", "asset", pl.col("price_source").fill_null("-"), "flag")
        .agg(
            pl.len().alias("days"),
            pl.col("date").min().alias("since"),
            pl.col("date").max().alias("until"),
            pl.col("spread").max().alias("largest_spread"),
        )
        .sort("chain", "asset", "since")
    )


def unpriced(app: App, only: MarketDays = EVERYTHING) -> tuple[int, int]:
    """How many tokens a market holds unpriced on some day (by its own oracle neither), and on how many token-days."""
    columns = ["csu", "date", "chain", "asset", "price"]
    left = only.of(app.tables.read(tvl.TABLE, columns=columns)).filter(pl.col("price").is_null())
    left = left.select("chain", "asset", "date").unique()
    return left.select("chain", "asset").n_unique(), left.height


def held_by(tables: Tables, frame: pl.DataFrame, only: MarketDays) -> pl.DataFrame:
    """The rows of `date, chain, asset` that are of tokens which these markets held, or liquidated, on these days.

    The plain names (eth, btc) belong to no market and stay: what is quoted in them needs them.
    """
    if only.names is None:
        return only.within(frame)
    events = only.of(tables.read(liquidations.TABLE))
    tokens = [
        only.of(tables.read(tvl.TABLE)).select("date", "chain", "asset"),
        *(events.select("date", "chain", pl.col(f"{side}_asset").alias("asset")) for side in ("collateral", "debt")),
    ]
    held = pl.concat(tokens).unique()
    names = frame.filter(~pl.col("asset").str.starts_with("0x"))
    named = held.select("date").unique().join(names, on="date", how="inner")
    wanted = pl.concat([held, named.select(held.columns)]).unique()
    return frame.join(wanted, on=["date", "chain", "asset"], how="semi", maintain_order="left")


def snapshots(tables: Tables, only: MarketDays = EVERYTHING) -> set[ChainDay]:
    """Every chain-day that silver holds a snapshot of (of these market-days)."""
    held = only.of(tables.read(tvl.TABLE, columns=["csu", "date", "asset", "chain"])).select("chain", "date").unique()
    return set(held.iter_rows())


def wanted_of(
    tables: Tables,
    dataset: str,
    *,
    everything: bool = False,
    boundary: Boundary = "utc",
    only: MarketDays = EVERYTHING,
) -> dict[Partition, dict[str, int]]:
    """What to ask a vendor: per chain-day the tokens without a price (or all of them) and the snapshot's instant.

    `only` leaves out the tokens that these markets do not hold; the instant is that of the whole chain's snapshot.
    """
    held = tables.read(tvl.TABLE)
    at = held.group_by("chain", "date").agg(pl.col("block_time").max().dt.epoch("s").alias("at"))
    asked = held_by(tables, tables.read(prices.TABLE), only)
    # What eth and btc are is asked once, for no chain; a chain's own feed may say it for that chain.
    asked = asked.filter(pl.col("asset").str.starts_with("0x") | (pl.col("chain") == ANY_CHAIN))
    if not everything:
        asked = asked.filter(pl.col("price").is_null() | (pl.col("flag") == "unproven"))
    rows = asked.join(at, on=["chain", "date"], how="left").sort("chain", "date", "asset")
    found: dict[Partition, dict[str, int]] = {}
    for chain, day, asset, instant in rows.select("chain", "date", "asset", "at").iter_rows():
        period = Period.of_day(day, boundary)
        # The plain names belong to no chain's snapshot: their instant is the day's end.
        second = int(period.end.timestamp()) if instant is None else int(instant)
        found.setdefault(Partition(dataset, chain, period), {})[asset] = second
    return found


def unanswered(
    wanted: Wanted, source: str, bronze: Bronze, states: Mapping[Partition, Entry]
) -> dict[Partition, dict[str, int]]:
    """`wanted` without the partitions whose kept answer was already asked for all of it.

    What is asked again is asked for the old tokens as well, because the new answer supersedes the old one.
    """
    left: dict[Partition, dict[str, int]] = {}
    for partition, asked in wanted.items():
        entry = states.get(partition)
        if entry is not None and entry.state == "gone":
            continue
        raw = bronze.read(partition, source) if entry is not None and entry.state in {"done", "empty"} else None
        before: dict[str, int] = orjson.loads(raw.payload)["asked"] if raw is not None else {}
        if not asked.keys() <= before.keys():
            left[partition] = {**before, **asked}
    return left


def ask(
    source: Source,
    partitions: Sequence[Partition],
    *,
    bronze: Bronze,
    ledger: Ledger,
    workers: int,
    resume: bool = True,
    progress: Progress = lambda _partition, _state: None,
) -> Collected:
    """Collect what the ledger does not have yet, or bronze no longer as it was recorded."""

    def intact(partition: Partition, digest: str | None) -> bool:
        return bronze.intact(partition, digest, source.name)

    missing = make_plan(partitions, ledger.states(), intact=intact).missing if resume else partitions
    return collect_partitions(source, missing, bronze=bronze, ledger=ledger, workers=workers, progress=progress)
