"""The whole trip of a record on one page: collect -> refine -> build -> publish, and the vendors' pull and backfill.

Each step is a function of what the step before it stored, so each can be killed, run again or run alone. What does not
belong here: how anything is fetched, stored or computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.table import Table
from cryptolake.contracts.versions import document
from cryptolake.files.atomic import write_bytes
from cryptolake.flow.made import Made as Made
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.quality.results import QUALITY_RESULTS
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, metrics, prices, pulls, revisions, tvl
from cryptolake.state.checkpoints import write_checkpoints
from cryptolake.state.ledger import Ledger
from cryptolake.work.coins import MARKET_TABLES
from cryptolake.work.exchanges import EXCHANGE_TABLES
from cryptolake.work.refine import hold
from cryptolake.work.refine import refine as refine

WAREHOUSE_TABLES: tuple[Table, ...] = (
    pulls.PULLS,
    metrics.METRICS,
    revisions.REVISIONS,
    tvl.TVL,
    liquidations.LIQUIDATIONS,
    prices.PRICES,
    daily_panel.DAILY_PANEL,
    *MARKET_TABLES,
    *EXCHANGE_TABLES,
    QUALITY_RESULTS,
)
CONTRACTS_FILE = "gold/contracts.json"  # what the tables beside it promise; `contracts diff` reads it


def promised_tables() -> tuple[Table, ...]:
    """Every table whose name and columns readers may rely on: those in PostgreSQL, and those of the lake alone."""
    return (*WAREHOUSE_TABLES, prices.QUOTES)


def expected_rows(states: Mapping[Partition, Entry], csus: Mapping[str, Csu]) -> pl.DataFrame:
    """The panel's key set: every market ever asked for, on every day anyone was asked for, with what the ledger knows.

    Columns: csu, date, chain, family, protocol, tvl_state, tvl_reason, liq_state, liq_reason (null if never asked).
    """
    asked = [one for one in states if one.dataset in {"tvl", "liquidations"} and one.key in csus]
    columns = {"csu": pl.String, "date": pl.Date, "period": pl.String, "state": pl.String, "reason": pl.String}
    keys = pl.DataFrame({"csu": sorted({one.key for one in asked})}, schema={"csu": pl.String})
    days = pl.DataFrame({"date": sorted({one.period.day for one in asked})}, schema={"date": pl.Date})
    about = [(name, csus[name].chain, csus[name].family, csus[name].protocol) for name in keys["csu"]]
    markets = pl.DataFrame(
        about, schema=["csu", "chain", "family", "protocol"], orient="row", schema_overrides={"csu": pl.String}
    )
    frame = keys.join(days, how="cross").join(markets, on="csu", how="left")
    for dataset, side in (("tvl", "tvl"), ("liquidations", "liq")):
        entries = [
            (p.key, p.period.day, str(p.period), states[p].state, states[p].reason)
            for p in asked
            if p.dataset == dataset
        ]
        known = pl.DataFrame(entries, schema=columns, orient="row").sort("csu", "date", "period")
        last = known.unique(subset=["csu", "date"], keep="last", maintain_order=True).drop("period")
        frame = frame.join(
            last.rename({"state": f"{side}_state", "reason": f"{side}_reason"}), on=["csu", "date"], how="left"
        )
    return frame.select(daily_panel.EXPECTED.names()).cast(daily_panel.EXPECTED).sort("csu", "date")


def build(
    *, tables: Tables, ledger: Ledger, csus: Mapping[str, Csu], states: Mapping[Partition, Entry] | None = None
) -> list[Made]:
    """Silver to gold: the balanced daily panel over every market and day the ledger knows of.

    `states` spares a second reading of the ledger to a caller that has just read it.
    """
    expected = expected_rows(ledger.states() if states is None else states, csus)
    amounts = tables.read(tvl.TVL, columns=daily_panel.TVL_COLUMNS)
    events = tables.read(liquidations.LIQUIDATIONS, columns=daily_panel.LIQUIDATION_COLUMNS)
    frame = daily_panel.build(amounts, events, expected)
    hold(daily_panel.DAILY_PANEL, frame)
    tables.write(daily_panel.DAILY_PANEL, frame)
    return [Made("gold daily_panel", frame.height, str(tables.path(daily_panel.DAILY_PANEL)))]


def publish(
    *,
    tables: Tables,
    ledger: Ledger,
    csus: Mapping[str, Csu],
    data: Path,
    warehouse: Warehouse,
    code_version: str,
    registry_version: str = "",
    day_boundary: str = "utc",
) -> list[Made]:
    """Finished tables to plain files and to PostgreSQL, and the ledger to the documented checkpoints."""
    made = []
    frames = {table: tables.read(table) for table in (tvl.TVL, liquidations.LIQUIDATIONS, prices.PRICES)}
    for table in (tvl.TVL, liquidations.LIQUIDATIONS):
        parts = frames[table].partition_by("csu", as_dict=True, maintain_order=True)
        for (csu,), part in sorted(parts.items(), key=lambda item: str(item[0])):
            made.append(Made(f"file {table.name}", part.height, str(tables.publish(table, part, csu=str(csu)))))
    made.append(
        Made("file prices", frames[prices.PRICES].height, str(tables.publish(prices.PRICES, frames[prices.PRICES])))
    )
    panel = frames[daily_panel.DAILY_PANEL] = tables.read(daily_panel.DAILY_PANEL)
    made.append(Made("file daily_panel", panel.height, str(tables.publish(daily_panel.DAILY_PANEL, panel))))
    in_panel = {name: csus[name] for name in panel["csu"].unique() if name in csus}
    about = metadata_document(
        daily_panel.DAILY_PANEL,
        panel,
        csus=in_panel,
        code_version=code_version,
        registry_version=registry_version,
        day_boundary=day_boundary,
        prices=frames[prices.PRICES],
    )
    made.append(Made("file metadata", 1, str(tables.publish_json("gold/metadata.json", about))))
    write_bytes(data / CONTRACTS_FILE, document(promised_tables()))
    made.append(Made("file contracts", len(promised_tables()), str(data / CONTRACTS_FILE)))
    write_checkpoints(ledger, data / "checkpoints")
    warehouse.setup(WAREHOUSE_TABLES)
    for table, frame in frames.items():
        warehouse.load(table, frame, "replace")
        made.append(Made(f"PostgreSQL {table.name}", frame.height, table.name))
    return made
