"""The last step of the lending river: finished tables to plain files, to PostgreSQL, and the ledger to its documented shape.

What does not belong here: making tables (panel) and how a table is loaded (publish).
"""

from __future__ import annotations

from cryptolake.app import App
from cryptolake.catalogue import contracts
from cryptolake.contracts.versions import document
from cryptolake.files.atomic import write_bytes
from cryptolake.flow.outputs import Output
from cryptolake.gold import daily_panel
from cryptolake.gold.metadata import metadata_document
from cryptolake.registry.version import registry_version
from cryptolake.silver import refined
from cryptolake.silver.refined import TABLE as REFINED_DAYS
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.state.checkpoints import write_checkpoints
from cryptolake.version import __version__
from cryptolake.work import panel
from cryptolake.work.handing_out import require_supported
from cryptolake.work.lost import refuse_to_empty, require_ledger

CONTRACTS_FILE = "gold/contracts.json"  # what the tables beside it promise; `contracts diff` reads it


def publish(app: App) -> list[Output]:
    """Finished tables to plain files and to PostgreSQL, and the ledger to the documented checkpoints.

    Raises Stop before anything is written when a published table would become empty although answers for it are known, and
    for figures in the panel that ledger and silver do not give now.
    """
    made, tables = [], app.tables
    frames = {one.table: tables.read(one.table) for one in panel.finished()}
    require_ledger(app)
    refuse_to_empty(app, frames)
    require_supported(app, frames[daily_panel.TABLE])
    for table, frame in frames.items():
        if table.publish_as is None:
            continue
        if "{csu}" not in table.publish_as:
            made.append(Output(f"file {table.name}", frame.height, str(tables.publish(table, frame))))
            continue
        parts = frame.partition_by("csu", as_dict=True, maintain_order=True)
        for (csu,), part in sorted(parts.items(), key=lambda item: str(item[0])):
            made.append(Output(f"file {table.name}", part.height, str(tables.publish(table, part, csu=str(csu)))))
    gold, csus = frames[daily_panel.TABLE], app.registry.csus
    about = metadata_document(
        daily_panel.TABLE,
        gold,
        csus={name: csus[name] for name in gold["csu"].unique() if name in csus},
        code_version=__version__,
        registry_version=registry_version(app.registry),
        day_boundary=app.boundary,
        tvl=frames[TVL],
        pricing=refined.pricing_document(tables.read(REFINED_DAYS)),
        exclusions=[one for one in app.registry.exclusions if one.csu in set(gold["csu"])],
    )
    made.append(Output("file metadata", 1, str(tables.publish_json("gold/metadata.json", about))))
    promises = app.folder.root / CONTRACTS_FILE
    write_bytes(promises, document(contracts()))
    made.append(Output("file contracts", len(contracts()), str(promises)))
    write_checkpoints(app.ledger, app.folder.checkpoints)
    with app.warehouse() as warehouse:
        for table, frame in ((one, rows) for one, rows in frames.items() if one.in_postgres):
            warehouse.load(table, frame, table.load)
            made.append(Output(f"PostgreSQL {table.name}", frame.height, table.name))
    return made
