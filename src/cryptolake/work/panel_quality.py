"""The quality checks over a panel, and their results on file: what every driver means by checking the tables.

What does not belong here: the rules (quality), the report and exit codes (cli), checks of one table at a time (checking).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from cryptolake.app import App
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.metadata import content_digest
from cryptolake.quality import results
from cryptolake.quality.checks import Result, run
from cryptolake.quality.rules import Tables
from cryptolake.work.checking import finished


@dataclass(frozen=True, slots=True)
class Examined:
    """What the checks found, about which tables, when (UTC) and under which digest of the panel."""

    results: list[Result]
    tables: Tables
    dataset_version: str
    at: datetime


def examine(app: App, panel: pl.DataFrame, *, store: bool = True) -> Examined:
    """Check a chosen panel and what it is made of; `store` appends the results to `quality_results` in PostgreSQL."""
    tables = finished(app, panel)
    found = Examined(run(tables), tables, content_digest(DAILY_PANEL, panel), datetime.now(UTC))
    if store:
        with app.warehouse() as warehouse:
            warehouse.append(results.TABLE, results.frame(found.results, found.at, found.dataset_version))
    return found
