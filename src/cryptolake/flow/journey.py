"""The whole trip of a record on one page: collect -> refine -> build -> publish, and the vendors' pull and backfill.

Each step is a function of what the step before it stored, so each can be killed, run again or run alone. What does not
belong here: how anything is fetched, stored or computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Source
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.flow.exchanges import EXCHANGE_TABLES
from cryptolake.flow.market import MARKET_TABLES
from cryptolake.flow.reading import read_rows
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.checkpoints import write_checkpoints
from cryptolake.lake.ledger import Ledger
from cryptolake.lake.tables import Tables
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, metrics, pulls, revisions, tvl
from cryptolake.warehouse.connection import Warehouse

WAREHOUSE_TABLES: tuple[Table, ...] = (
    pulls.PULLS,
    metrics.METRICS,
    revisions.REVISIONS,
    tvl.TVL,
    liquidations.LIQUIDATIONS,
    daily_panel.DAILY_PANEL,
    *MARKET_TABLES,
    *EXCHANGE_TABLES,
)


@dataclass(frozen=True, slots=True)
class Made:
    """One thing a step made: a table or file, how many rows it holds and where it is."""

    what: str
    rows: int
    where: str


def refine(source: Source, partitions: Iterable[Partition], *, bronze: Bronze, tables: Tables) -> list[Made]:
    """Bronze to silver: conform every answered partition and replace exactly those days of those markets.

    Reads no network. The same bronze always gives the same silver, whether refined day by day or all at once.
    """
    made = []
    asked = sorted(set(partitions))
    for dataset, table, conform in (
        ("tvl", tvl.TVL, tvl.conform),
        ("liquidations", liquidations.LIQUIDATIONS, liquidations.conform),
    ):
        chosen = [partition for partition in asked if partition.dataset == dataset]
        if not chosen:
            continue
        rows = read_rows(source, chosen, bronze)
        _compact(dataset, chosen, source, bronze)
        frame = conform(rows)
        _hold(table, frame)
        tables.write(
            table,
            frame,
            replace_where={"csu": sorted({p.key for p in chosen}), "date": sorted({p.period.day for p in chosen})},
        )
        made.append(Made(f"silver {table.name}", frame.height, str(tables.path(table))))
    return made


def _compact(dataset: str, chosen: Sequence[Partition], source: Source, bronze: Bronze) -> None:
    """Rewrite the Parquet twin of every month touched, from all of the month's answers."""
    for key, month in sorted({(p.key, p.period.day.strftime("%Y-%m")) for p in chosen}):
        kept = bronze.partitions(dataset, key, month)
        if rows := read_rows(source, kept, bronze):
            bronze.compact(dataset, key, month, rows)


def _hold(table: Table, frame: pl.DataFrame) -> None:
    """Refuse to store a frame that breaks its contract; raises Stop naming the first broken check."""
    if broken := table.violations(frame):
        first = broken[0]
        raise Stop(f"{table.name}: {first.rows} rows break {first.check} ({first.example}); nothing was written")


def expected_rows(states: Mapping[Partition, Entry], csus: Mapping[str, Csu]) -> pl.DataFrame:
    """The panel's key set: every market ever asked for, on every day anyone was asked for, with what the ledger knows.

    Columns: csu, date, chain, family, protocol, tvl_state, tvl_reason, liq_state, liq_reason (null if never asked).
    """
    asked = [
        partition for partition in states if partition.dataset in {"tvl", "liquidations"} and partition.key in csus
    ]
    days = sorted({partition.period.day for partition in asked})
    latest: dict[tuple[str, str, object], Entry] = {(p.dataset, p.key, p.period.day): states[p] for p in sorted(asked)}
    rows = []
    for name in sorted({partition.key for partition in asked}):
        csu = csus[name]
        for day in days:
            snapshot, scan = latest.get(("tvl", name, day)), latest.get(("liquidations", name, day))
            rows.append(
                {
                    "csu": name,
                    "date": day,
                    "chain": csu.chain,
                    "family": csu.family,
                    "protocol": csu.protocol,
                    "tvl_state": snapshot and snapshot.state,
                    "tvl_reason": snapshot and snapshot.reason,
                    "liq_state": scan and scan.state,
                    "liq_reason": scan and scan.reason,
                }
            )
    return pl.DataFrame(rows, schema=daily_panel.EXPECTED)


def build(*, tables: Tables, ledger: Ledger, csus: Mapping[str, Csu]) -> list[Made]:
    """Silver to gold: the balanced daily panel over every market and day the ledger knows of."""
    expected = expected_rows(ledger.states(), csus)
    frame = daily_panel.build(tables.read(tvl.TVL), tables.read(liquidations.LIQUIDATIONS), expected)
    _hold(daily_panel.DAILY_PANEL, frame)
    tables.write(daily_panel.DAILY_PANEL, frame)
    return [Made("gold daily_panel", frame.height, str(tables.path(daily_panel.DAILY_PANEL)))]


def publish(
    *, tables: Tables, ledger: Ledger, csus: Mapping[str, Csu], data: Path, warehouse: Warehouse, code_version: str
) -> list[Made]:
    """Finished tables to plain files and to PostgreSQL, and the ledger to the documented checkpoints."""
    made = []
    for table in (tvl.TVL, liquidations.LIQUIDATIONS):
        frame = tables.read(table)
        for (csu,), part in sorted(frame.group_by("csu", maintain_order=True), key=lambda group: str(group[0][0])):
            made.append(Made(f"file {table.name}", part.height, str(tables.publish(table, part, csu=str(csu)))))
    panel = tables.read(daily_panel.DAILY_PANEL)
    made.append(Made("file daily_panel", panel.height, str(tables.publish(daily_panel.DAILY_PANEL, panel))))
    in_panel = {name: csus[name] for name in panel["csu"].unique() if name in csus}
    document = metadata_document(daily_panel.DAILY_PANEL, panel, csus=in_panel, code_version=code_version)
    made.append(Made("file metadata", 1, str(tables.publish_json("gold/metadata.json", document))))
    write_checkpoints(ledger, data / "checkpoints")
    warehouse.setup(WAREHOUSE_TABLES)
    for table in (tvl.TVL, liquidations.LIQUIDATIONS, daily_panel.DAILY_PANEL):
        warehouse.load(table, tables.read(table), "replace")
        made.append(Made(f"PostgreSQL {table.name}", tables.read(table).height, table.name))
    return made
