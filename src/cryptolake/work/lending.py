"""The whole trip of a record on one page: collect -> refine -> build -> publish, and the vendors' pull and backfill.

Each step is a function of what the step before it stored, so each can be killed, run again or run alone. What does not
belong here: how anything is fetched, stored or computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from cryptolake.catalogue import MARKET_DAYS, FoundTable, contracts, downstream, found_tables
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.table import Table
from cryptolake.contracts.versions import document
from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.flow.made import Built as Built
from cryptolake.flow.made import Made as Made
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, prices, quotes, refined, tvl
from cryptolake.state.checkpoints import write_checkpoints
from cryptolake.state.ledger import Ledger
from cryptolake.work import evidence
from cryptolake.work.refine import refine as refine
from cryptolake.work.standing import DATASETS, standing
from cryptolake.work.tables import OpenWarehouse, derive, read_from

# What `refine` makes of answers.
REFINED = tuple(one.TABLE.name for one in (tvl, liquidations, quotes, prices, refined))
CONTRACTS_FILE = "gold/contracts.json"  # what the tables beside it promise; `contracts diff` reads it


def expected_rows(found: pl.DataFrame, csus: Mapping[str, Csu]) -> pl.DataFrame:
    """The panel's key set: every market ever asked for, on every day anyone was asked for, with what is known of it.

    `found` is what `work.evidence` says. Columns: csu, date, chain, family, protocol, tvl_state, tvl_reason, liq_state,
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
    amounts, events, found = _evidence(
        tables, states, csus, daily_panel.COLUMNS["tvl"], daily_panel.COLUMNS["liquidations"]
    )
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
    amounts = tables.read(tvl.TABLE, columns=list(dict.fromkeys([*of_tvl, *evidence.TVL_COLUMNS])))
    columns = list(dict.fromkeys([*of_liquidations, *evidence.LIQUIDATION_COLUMNS]))
    events = tables.read(liquidations.TABLE, columns=columns)
    found = evidence.evidence(
        standing(states),
        csus,
        recorded=tables.read(refined.TABLE),
        amounts=amounts,
        events=events,
        prices=tables.read(prices.TABLE, columns=[*prices.TABLE.key, "price"]),
    )
    return amounts, events, found


def finished() -> list[FoundTable]:
    """The tables that `publish` takes to files and PostgreSQL: what `refine` and `build` make, inputs first."""
    made = {*REFINED, *(one.table.name for one in downstream([*REFINED, MARKET_DAYS]))}
    return [one for name, one in found_tables().items() if name in made and one.table.in_postgres]


def build(
    *,
    tables: Tables,
    ledger: Ledger,
    csus: Mapping[str, Csu],
    warehouse: OpenWarehouse | None = None,
    states: Mapping[Partition, Entry] | None = None,
) -> Built:
    """Silver to gold: the balanced daily panel over every market and day the ledger knows of, and what is made of it.

    A day that the ledger calls answered has a number only where silver was made of that very answer and still holds it;
    the others are `pending` or `failed` in the panel and listed in the result. `states` spares a second reading of the
    ledger to a caller that has just read it; `warehouse` is opened only for a
    table made with one that the lake does not hold.
    """
    frame, found = panel(tables=tables, states=ledger.states() if states is None else states, csus=csus)
    daily_panel.TABLE.require(frame)
    built = [(daily_panel.TABLE, frame)]
    changed = {**dict.fromkeys(REFINED), MARKET_DAYS: expected_rows(found, csus), daily_panel.TABLE.name: frame}
    with read_from(tables, warehouse, changed) as read:
        built += [(one.table, rows) for one, rows in derive(changed, read)]
    for table, rows in built:
        tables.write(table, rows)
    made = [Made(f"gold {table.name}", rows.height, str(tables.path(table))) for table, rows in built]
    return Built(made, evidence.lacking(found))


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
    frames = {one.table: tables.read(one.table) for one in finished()}
    _refuse_to_empty(frames, ledger, warehouse, data)
    for table, frame in frames.items():
        if table.publish_as is None:
            continue
        if "{csu}" not in table.publish_as:
            made.append(Made(f"file {table.name}", frame.height, str(tables.publish(table, frame))))
            continue
        parts = frame.partition_by("csu", as_dict=True, maintain_order=True)
        for (csu,), part in sorted(parts.items(), key=lambda item: str(item[0])):
            made.append(Made(f"file {table.name}", part.height, str(tables.publish(table, part, csu=str(csu)))))
    gold = frames[daily_panel.TABLE]
    in_panel = {name: csus[name] for name in gold["csu"].unique() if name in csus}
    about = metadata_document(
        daily_panel.TABLE,
        gold,
        csus=in_panel,
        code_version=code_version,
        registry_version=registry_version,
        day_boundary=day_boundary,
        prices=frames[prices.TABLE],
    )
    made.append(Made("file metadata", 1, str(tables.publish_json("gold/metadata.json", about))))
    write_bytes(data / CONTRACTS_FILE, document(contracts()))
    made.append(Made("file contracts", len(contracts()), str(data / CONTRACTS_FILE)))
    write_checkpoints(ledger, data / "checkpoints")
    for table, frame in frames.items():
        warehouse.load(table, frame, table.load)
        made.append(Made(f"PostgreSQL {table.name}", frame.height, table.name))
    return made


def _refuse_to_empty(frames: Mapping[Table, pl.DataFrame], ledger: Ledger, warehouse: Warehouse, data: Path) -> None:
    """A lost lake must not empty what was published: the ledger tells "lost" from "there is nothing"."""
    answered = {dataset for (dataset, _), states in ledger.tally().items() if states.get("done")}
    for table, frame in frames.items():
        of = {table.name} if table.name in DATASETS else set(DATASETS)
        if frame.height or not answered & of:
            continue
        file = data / (table.publish_as or "").format(csu="")
        (stored,) = warehouse.query(f"SELECT EXISTS (SELECT FROM {table.quoted})").row(0)
        if stored or file.is_file():
            raise Stop(
                f"{table.name} is empty in the lake although the ledger knows answers for it; what is published was left as "
                "it is. Run `cryptolake rebuild`, nothing is collected again"
            )
