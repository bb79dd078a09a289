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
from cryptolake.errors import Stop
from cryptolake.flow.exchanges import EXCHANGE_TABLES
from cryptolake.flow.made import Made as Made
from cryptolake.flow.market import MARKET_TABLES
from cryptolake.flow.refine import hold
from cryptolake.flow.refine import refine as refine
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.checkpoints import write_checkpoints
from cryptolake.lake.ledger import Ledger
from cryptolake.lake.tables import Tables
from cryptolake.quality.results import QUALITY_RESULTS
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, metrics, prices, pulls, revisions, tvl
from cryptolake.warehouse.connection import Warehouse

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
    """Finished tables to plain files and to PostgreSQL, and the ledger to the documented checkpoints.

    Raises Stop before anything is written when a published table would become empty although answers for it are known.
    """
    made = []
    frames = {table: tables.read(table) for table in (tvl.TVL, liquidations.LIQUIDATIONS, prices.PRICES)}
    panel = tables.read(daily_panel.DAILY_PANEL)
    warehouse.setup(WAREHOUSE_TABLES)
    _refuse_to_empty({**frames, daily_panel.DAILY_PANEL: panel}, ledger, warehouse, data)
    for table in (tvl.TVL, liquidations.LIQUIDATIONS):
        parts = frames[table].partition_by("csu", as_dict=True, maintain_order=True)
        for (csu,), part in sorted(parts.items(), key=lambda item: str(item[0])):
            made.append(Made(f"file {table.name}", part.height, str(tables.publish(table, part, csu=str(csu)))))
    made.append(
        Made("file prices", frames[prices.PRICES].height, str(tables.publish(prices.PRICES, frames[prices.PRICES])))
    )
    frames[daily_panel.DAILY_PANEL] = panel
    made.append(Made("file daily_panel", panel.height, str(tables.publish(daily_panel.DAILY_PANEL, panel))))
    in_panel = {name: csus[name] for name in panel["csu"].unique() if name in csus}
    document = metadata_document(
        daily_panel.DAILY_PANEL,
        panel,
        csus=in_panel,
        code_version=code_version,
        registry_version=registry_version,
        day_boundary=day_boundary,
        prices=frames[prices.PRICES],
    )
    made.append(Made("file metadata", 1, str(tables.publish_json("gold/metadata.json", document))))
    write_checkpoints(ledger, data / "checkpoints")
    for table, frame in frames.items():
        warehouse.load(table, frame, "replace")
        made.append(Made(f"PostgreSQL {table.name}", frame.height, table.name))
    return made


def _refuse_to_empty(frames: Mapping[Table, pl.DataFrame], ledger: Ledger, warehouse: Warehouse, data: Path) -> None:
    """A lost lake must not empty what was published: the ledger tells "lost" from "there is nothing"."""
    answered = {dataset for (dataset, _), states in ledger.tally().items() if states.get("done")}
    for table, frame in frames.items():
        of = {table.name} if table.name in {"tvl", "liquidations"} else {"tvl", "liquidations"}
        if frame.height or not answered & of:
            continue
        file = data / (table.publish_as or "").format(csu="")
        (stored,) = warehouse.query(f"SELECT EXISTS (SELECT FROM {table.name})").row(0)
        if stored or file.is_file():
            raise Stop(
                f"{table.name} is empty in the lake although the ledger knows answers for it; what is published was left as "
                "it is. Run `cryptolake rebuild`, nothing is collected again"
            )
