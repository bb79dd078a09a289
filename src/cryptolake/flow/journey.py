"""The whole trip of a record on one page: collect -> refine -> build -> publish, and the vendors' pull and backfill.

Each step is a function of what the step before it stored, so each can be killed, run again or run alone. What does not
belong here: how anything is fetched, stored or computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.table import Table
from cryptolake.flow import evidence
from cryptolake.flow.exchanges import EXCHANGE_TABLES
from cryptolake.flow.made import Built as Built
from cryptolake.flow.made import Made as Made
from cryptolake.flow.market import MARKET_TABLES
from cryptolake.flow.refine import hold
from cryptolake.flow.refine import refine as refine
from cryptolake.flow.standing import standing
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.checkpoints import write_checkpoints
from cryptolake.lake.ledger import Ledger
from cryptolake.lake.tables import Tables
from cryptolake.quality.results import QUALITY_RESULTS
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, metrics, prices, pulls, refined, revisions, tvl
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


def expected_rows(found: pl.DataFrame, csus: Mapping[str, Csu]) -> pl.DataFrame:
    """The panel's key set: every market ever asked for, on every day anyone was asked for, with what is known of it.

    `found` is what `flow.evidence` says. Columns: csu, date, chain, family, protocol, tvl_state, tvl_reason, liq_state,
    liq_reason (null if never asked).
    """
    keys, days = found.select("csu").unique().sort("csu"), found.select("date").unique().sort("date")
    about = [(name, csus[name].chain, csus[name].family, csus[name].protocol) for name in keys["csu"]]
    markets = pl.DataFrame(
        about, schema=["csu", "chain", "family", "protocol"], orient="row", schema_overrides={"csu": pl.String}
    )
    frame = keys.join(days, how="cross").join(markets, on="csu", how="left")
    for dataset, side in (("tvl", "tvl"), ("liquidations", "liq")):
        known = found.filter(pl.col("dataset") == dataset).select(
            "csu", "date", pl.col("state").alias(f"{side}_state"), pl.col("reason").alias(f"{side}_reason")
        )
        frame = frame.join(known, on=["csu", "date"], how="left")
    return frame.select(daily_panel.EXPECTED.names()).cast(daily_panel.EXPECTED).sort("csu", "date")


def panel(
    *, tables: Tables, states: Mapping[Partition, Entry], csus: Mapping[str, Csu]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The panel that ledger and silver give now, and the evidence (`evidence.EVIDENCE`) it rests on. Writes nothing.

    Figures and their statuses are made from the same rows, read once.
    """
    amounts, events, found = _evidence(tables, states, csus, daily_panel.TVL_COLUMNS, daily_panel.LIQUIDATION_COLUMNS)
    return daily_panel.build(amounts, events, expected_rows(found, csus)), found


def not_in_silver(*, tables: Tables, states: Mapping[Partition, Entry], csus: Mapping[str, Csu]) -> pl.DataFrame:
    """The market-days that the ledger calls answered and silver cannot vouch for, with the reason."""
    return evidence.lacking(_evidence(tables, states, csus)[2])


def _evidence(
    tables: Tables,
    states: Mapping[Partition, Entry],
    csus: Mapping[str, Csu],
    of_tvl: Sequence[str] = (),
    of_liquidations: Sequence[str] = (),
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Silver's amounts and events with these columns more, and what they and the ledger say together."""
    amounts = tables.read(tvl.TVL, columns=list(dict.fromkeys([*of_tvl, *evidence.TVL_COLUMNS])))
    columns = list(dict.fromkeys([*of_liquidations, *evidence.LIQUIDATION_COLUMNS]))
    events = tables.read(liquidations.LIQUIDATIONS, columns=columns)
    found = evidence.evidence(
        standing(states),
        csus,
        recorded=tables.read(refined.REFINED),
        amounts=amounts,
        events=events,
        prices=tables.read(prices.PRICES, columns=[*prices.PRICES.key, "price"]),
    )
    return amounts, events, found


def build(
    *, tables: Tables, ledger: Ledger, csus: Mapping[str, Csu], states: Mapping[Partition, Entry] | None = None
) -> Built:
    """Silver to gold: the balanced daily panel over every market and day the ledger knows of.

    A day that the ledger calls answered has a number only where silver was made of that very answer and still holds it;
    the others are `pending` or `failed` in the panel and listed in the result. `states` spares a second reading of the
    ledger to a caller that has just read it.
    """
    frame, found = panel(tables=tables, states=ledger.states() if states is None else states, csus=csus)
    hold(daily_panel.DAILY_PANEL, frame)
    tables.write(daily_panel.DAILY_PANEL, frame)
    made = Made("gold daily_panel", frame.height, str(tables.path(daily_panel.DAILY_PANEL)))
    return Built([made], evidence.lacking(found))


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
    gold = frames[daily_panel.DAILY_PANEL] = tables.read(daily_panel.DAILY_PANEL)
    made.append(Made("file daily_panel", gold.height, str(tables.publish(daily_panel.DAILY_PANEL, gold))))
    in_panel = {name: csus[name] for name in gold["csu"].unique() if name in csus}
    document = metadata_document(
        daily_panel.DAILY_PANEL,
        gold,
        csus=in_panel,
        code_version=code_version,
        registry_version=registry_version,
        day_boundary=day_boundary,
        prices=frames[prices.PRICES],
    )
    made.append(Made("file metadata", 1, str(tables.publish_json("gold/metadata.json", document))))
    write_checkpoints(ledger, data / "checkpoints")
    warehouse.setup(WAREHOUSE_TABLES)
    for table, frame in frames.items():
        warehouse.load(table, frame, "replace")
        made.append(Made(f"PostgreSQL {table.name}", frame.height, table.name))
    return made
