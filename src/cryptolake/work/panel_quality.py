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
from cryptolake.quality.results import Result
from cryptolake.quality.rules import FinishedTables
from cryptolake.work.checking import check_panel, finished


@dataclass(frozen=True, slots=True)
class Examined:
    """What the checks found, about which tables, when (UTC) and under which digest of the panel."""

    results: list[Result]
    tables: FinishedTables
    dataset_version: str
    at: datetime


def keeps_results(app: App) -> bool:
    """Whether results of checks can be kept: an embedded database cannot be started where nothing may be written."""
    return not app.database.is_embedded or app.folder.is_writable


def examine(app: App, panel: pl.DataFrame, *, store: bool = True) -> Examined:
    """Check a chosen panel and what it is made of; `store` appends the results to `quality_results` where that can be done."""
    tables, at = finished(app, panel), datetime.now(UTC)
    results = check_panel(app, tables, at, keep=store and keeps_results(app))
    return Examined(results, tables, content_digest(DAILY_PANEL, panel), at)
