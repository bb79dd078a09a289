"""What was lost is not empty: neither a ledger nor a table of the lake that is gone passes for "there is nothing".

What does not belong here: what may not be done to a folder whatever lies in it (guards).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.silver.refined import TABLE as REFINED_DAYS
from cryptolake.work import panel


def require_ledger(app: App) -> None:
    """Raises Stop where the ledger is lost: silver still says of which answers it was made."""
    if any(states for (dataset, _), states in app.ledger.tally().items() if dataset in MARKET_DATASETS):
        return
    recorded = app.tables.read(REFINED_DAYS, columns=REFINED_DAYS.key)
    days = recorded.filter(pl.col("dataset").is_in(MARKET_DATASETS)).height
    if days:
        raise Stop(
            f"the ledger knows of no answer, but silver was made of those of {counted(days, 'market-day')}; nothing was "
            "changed. Run `cryptolake ledger repair`, which takes the answers in bronze over again, then `cryptolake rebuild`"
        )


def refuse_to_empty(app: App, frames: Mapping[Table, pl.DataFrame]) -> None:
    """Raises Stop where a lost lake would empty what was published: the ledger tells "lost" from "there is nothing"."""
    answered = {dataset for (dataset, _), states in app.ledger.tally().items() if states.get("done")}
    for table, frame in frames.items():
        of = {table.name} if table.name in MARKET_DATASETS else set(MARKET_DATASETS)
        if frame.height or table.name in panel.MAY_BE_EMPTY or not answered & of:
            continue
        file = app.folder.root / (table.publish_as or "").format(csu="")
        with app.warehouse() as warehouse:
            (stored,) = warehouse.query(f"SELECT EXISTS (SELECT FROM {table.quoted})").row(0)
        if stored or file.is_file():
            raise Stop(
                f"{table.name} is empty in the lake although the ledger knows answers for it; what is published was left as "
                "it is. Run `cryptolake rebuild`, nothing is collected again"
            )
