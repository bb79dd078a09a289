"""Prices that the markets' own oracles do not give: which are missing, asking for them, and what was answered before.

What does not belong here: how a source is asked (sources) and which price wins (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import orjson
import polars as pl

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Boundary, Partition, Period
from cryptolake.contracts.prices import Wanted
from cryptolake.contracts.source import Source
from cryptolake.errors import Stop
from cryptolake.flow.collect import Collected, Progress, collect, read_rows
from cryptolake.flow.plan import make_plan
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver import prices, tvl
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.state.ledger import Ledger


def snapshot_partitions(source: Source, tables: Tables, boundary: Boundary = "utc") -> list[Partition]:
    """Every chain-day that silver holds a snapshot of, for the chains the source knows."""
    dataset = source.datasets[0].name
    known = set(source.keys(dataset))
    held = tables.read(tvl.TABLE).select("chain", "date").unique().sort("chain", "date")
    return [
        Partition(dataset, str(chain), Period.of_day(day, boundary))
        for chain, day in held.iter_rows()
        if chain in known
    ]


def wanted_of(
    tables: Tables, dataset: str, *, everything: bool = False, boundary: Boundary = "utc"
) -> dict[Partition, dict[str, int]]:
    """What to ask a vendor: per chain-day the tokens without a price (or all of them) and the snapshot's instant."""
    held = tables.read(tvl.TABLE)
    at = held.group_by("chain", "date").agg(pl.col("block_time").max().dt.epoch("s").alias("at"))
    asked = tables.read(prices.TABLE)
    if not everything:
        asked = asked.filter(pl.col("price").is_null())
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
    """Collect what the ledger does not have yet."""
    missing = make_plan(partitions, ledger.states(), resume=resume).missing if resume else partitions
    return collect(source, missing, bronze=bronze, ledger=ledger, workers=workers, progress=progress)


def read_quotes(
    sources: Mapping[str, Source], bronze: Bronze, states: Mapping[Partition, Entry], days: Iterable[date] | None = None
) -> pl.DataFrame:
    """Every kept quote of these sources (by their name on the ladder), from bronze; the same answers give the same rows.

    Raises Stop when a source's rows bear another name: they would be on no rung.
    """
    chosen = None if days is None else set(days)
    frames = [QUOTES.empty()]
    for name, source in sources.items():
        datasets = {one.name for one in source.datasets}
        kept = [p for p, entry in states.items() if p.dataset in datasets and entry.digest is not None]
        dated = source.datasets[0].reach != "whole_history"
        kept = [p for p in kept if chosen is None or not dated or p.period.day in chosen]
        rows = read_rows(source, sorted(kept), bronze)
        frame = pl.DataFrame(list(rows), schema=QUOTES.polars_schema(), strict=False)
        if strangers := sorted({str(one) for one in frame["source"].unique()} - {name}):
            raise Stop(f"price source {name}: its rows say source {strangers[0]!r}; correct `parse` in its file")
        frames.append(frame if chosen is None else frame.filter(pl.col("date").is_in(sorted(chosen))))
    return prices.tidy(pl.concat(frames))
