"""A fresh start that loses nothing: everything is set aside, filled again, and what no vendor gave again is put back.

Four steps, each noted on disk and safe to repeat: aside, (the scheduler's first backfills), the vendors' rows put back,
(the rest of the history), the chains' and prices' answers put back. What stays throughout: log tables, block numbers, the
schedule's journal, and the answers of datasets that cannot be asked for the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from cryptolake.app import App
from cryptolake.catalogue import asked_alone, contracts
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import SETTLED, said
from cryptolake.contracts.source import Source
from cryptolake.contracts.table import Table
from cryptolake.files.atomic import write_bytes
from cryptolake.flow.landing import land
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.set_aside import move_aside, moved_ledger
from cryptolake.sources.onchain.families import families
from cryptolake.state.ledger import Ledger
from cryptolake.work import daily, lending
from cryptolake.work.price_sources import price_sources
from cryptolake.work.repair import adopt
from cryptolake.work.tables import derive_below


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a fresh start will do, in words: what is moved, what stays."""

    moved: list[str]
    kept: list[str]


def kept_datasets(app: App) -> set[tuple[str, str]]:
    """The vendors' datasets that cannot be asked for the past: their answers stay where they are."""
    return {
        (source.name, dataset.name)
        for source in app.vendors().values()
        for dataset in source.datasets
        if dataset.reach != "whole_history"
    }


def prospect(app: App) -> Prospect:
    """What a fresh start would move and keep now."""
    moved = [
        f"{counted(count, f'{said(state)} answer')} in the ledger"
        for state, count in sorted(app.ledger.counts().items())
    ]
    with app.warehouse() as warehouse:
        for table in _cleared():
            (rows,) = warehouse.query(f"SELECT count(*) FROM {table.quoted}").row(0)
            moved.append(f"{counted(rows, 'row')} of {table.name}")
    kept = [f"table {table.name}" for table in contracts() if table.layer == "log"]
    kept += [f"answers of {source} {dataset}" for source, dataset in sorted(kept_datasets(app))]
    return Prospect(moved, [*kept, "rows of metrics that the vendors do not give again", "block numbers of days"])


def set_aside(app: App, now: datetime | None = None) -> str:
    """Move everything aside; returns the name it lies under (`<data>/aside/<name>` and that schema in PostgreSQL)."""
    note = app.folder.fresh_start
    if pending(app) is None:
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%d_%H%M%S")
        write_bytes(note, orjson.dumps({"aside": f"{app.settings.prefix}aside_{stamp}", "stage": "begun"}))
    document = orjson.loads(note.read_bytes())
    name = str(document["aside"])
    if document["stage"] == "begun":
        with app.warehouse() as warehouse:
            warehouse.set_aside(_cleared(), name)
        keep = kept_datasets(app)
        app.forget_ledger()  # its file is moved
        move_aside(app.folder.root, name, keep)
        before = Ledger(moved_ledger(app.folder.root, name))
        kept = {dataset for _, dataset in keep}
        entries = [entry for partition, entry in before.states().items() if partition.dataset in kept]
        before.close()
        app.ledger.append_many(entries)
        write_bytes(note, orjson.dumps({"aside": name, "stage": "moved"}))
    return name


def pending(app: App) -> str | None:
    """The name of a fresh start that is not finished yet."""
    note = app.folder.fresh_start
    return str(orjson.loads(note.read_bytes())["aside"]) if note.exists() else None


def put_back(app: App) -> int:
    """After the vendors' backfills: bring back the rows they did not give again; how many. Can be done again."""
    name = pending(app)
    if name is None:
        return 0
    rows = 0
    refilled = {node.table.name for node in daily.nodes(app) if node.step != "vendor"}
    with app.warehouse() as warehouse:
        for table in _cleared():
            if table.name not in refilled and table.key:
                rows += warehouse.put_back(table, name)
                if table.in_lake:
                    app.tables.write(table, warehouse.read(table))
        derive_below(asked_alone(), app.tables, warehouse)  # of what the vendors gave and what was put back
    return rows


def finish(app: App) -> int:
    """After the whole history: bring back the answers of chains and prices that nobody gave again; how many.

    Silver, gold and what is published are made anew when there are any. Ends the fresh start.
    """
    name = pending(app)
    if name is None:
        return 0
    ledger = Ledger(moved_ledger(app.folder.root, name))
    before = ledger.states()
    ledger.close()
    now, old = app.ledger.states(), Bronze(app.folder.root / "aside" / name)
    readable = [csu for csu in app.registry.csus.values() if csu.family in families()]
    chain = app.onchain(readable)
    told: list[Source] = [chain, *price_sources(app).values()]
    source_of = {one.name: source for source in told for one in source.datasets}
    markets = {csu.name for csu in readable}
    found = 0
    for partition, entry in sorted(before.items()):
        source = source_of.get(partition.dataset)
        if source is None or entry.state not in SETTLED or (partition in now and now[partition].state in SETTLED):
            continue
        if entry.digest is not None:
            raw = old.read(partition, source.name)
            if raw is None or raw.digest != entry.digest:
                continue
            if (doubt := old.doubt(partition, source.name)) is not None:
                app.bronze.keep_doubt(partition, source.name, doubt)
            if source is chain and partition.key in markets:
                land(source, raw, app.bronze)
                found += adopt(partition, app.ledger, app.bronze, source)
                continue
            app.bronze.land(raw)
        app.ledger.append(entry)
        found += 1
    if found:
        lending.rebuild(app)
        lending.publish(app)
    app.folder.fresh_start.unlink()
    return found


def _cleared() -> list[Table]:
    return [table for table in contracts() if table.layer != "log" and table.in_postgres]
