"""The whole trip of a record on one page: collect -> refine -> build -> publish, and the vendors' pull and backfill.

Each step is a function of what the step before it stored, so each can be killed, run again or run alone. What does not
belong here: how anything is fetched, stored or computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cryptolake.catalogue import MARKET_DAYS, FoundTable, downstream, found_tables
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.flow.made import Made as Made
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, prices, quotes, tvl
from cryptolake.state.checkpoints import write_checkpoints
from cryptolake.state.ledger import Ledger
from cryptolake.work.refine import refine as refine
from cryptolake.work.tables import derive, reader

# What `refine` makes of answers.
REFINED = tuple(one.TABLE.name for one in (tvl, liquidations, quotes, prices))


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


def finished() -> list[FoundTable]:
    """The tables that `publish` takes to files and PostgreSQL: what `refine` and `build` make, inputs first."""
    made = {*REFINED, *(one.table.name for one in downstream([*REFINED, MARKET_DAYS]))}
    return [one for name, one in found_tables().items() if name in made and one.table.in_postgres]


def build(
    *, tables: Tables, ledger: Ledger, csus: Mapping[str, Csu], states: Mapping[Partition, Entry] | None = None
) -> list[Made]:
    """Silver to gold: the balanced daily panel over every market and day the ledger knows of, and what is made of it.

    `states` spares a second reading of the ledger to a caller that has just read it.
    """
    days = expected_rows(ledger.states() if states is None else states, csus)
    built = derive({**dict.fromkeys(REFINED), MARKET_DAYS: days}, reader(tables))
    for one, frame in built:
        tables.write(one.table, frame)
    return [Made(f"gold {one.table.name}", frame.height, str(tables.path(one.table))) for one, frame in built]


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
    frames = {one.table: tables.read(one.table) for one in finished()}
    for table, frame in frames.items():
        if table.publish_as is None:
            continue
        if "{csu}" not in table.publish_as:
            made.append(Made(f"file {table.name}", frame.height, str(tables.publish(table, frame))))
            continue
        parts = frame.partition_by("csu", as_dict=True, maintain_order=True)
        for (csu,), part in sorted(parts.items(), key=lambda item: str(item[0])):
            made.append(Made(f"file {table.name}", part.height, str(tables.publish(table, part, csu=str(csu)))))
    panel = frames[daily_panel.TABLE]
    in_panel = {name: csus[name] for name in panel["csu"].unique() if name in csus}
    document = metadata_document(
        daily_panel.TABLE,
        panel,
        csus=in_panel,
        code_version=code_version,
        registry_version=registry_version,
        day_boundary=day_boundary,
        prices=frames[prices.TABLE],
    )
    made.append(Made("file metadata", 1, str(tables.publish_json("gold/metadata.json", document))))
    write_checkpoints(ledger, data / "checkpoints")
    for table, frame in frames.items():
        warehouse.load(table, frame, table.load)
        made.append(Made(f"PostgreSQL {table.name}", frame.height, table.name))
    return made
