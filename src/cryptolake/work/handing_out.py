"""The one door through which figures leave: no row of gold, nor of what is made of it, that ledger and silver do not give now.

Files, releases, frames, descriptions and answers to SQL all come by here. What does not belong here: what a figure rests on
(evidence), and how rows leave (publish, research, front).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import polars as pl

from cryptolake.app import App
from cryptolake.catalogue import downstream
from cryptolake.contracts.counting import counted
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.quality.supported import differing
from cryptolake.work import evidence
from cryptolake.work.vouched import lacking_of, panel_of


def guarded(table: Table) -> bool:
    """Whether the table's rows are figures of the panel, or made of them."""
    return table.name in {DAILY_PANEL.name, *(one.table.name for one in downstream([DAILY_PANEL.name]))}


def require_supported(app: App, stated: pl.DataFrame) -> None:
    """Refuse rows of the panel that ledger and silver do not give now. Raises Stop before anything is handed out."""
    refuse_rows(unsupported(app, stated))


def require_table_supported(app: App, table: Table) -> None:
    """The same for all rows of a table as they lie in the lake; of one that is not `guarded` nothing is asked."""
    if guarded(table):
        require_supported(app, app.tables.read(DAILY_PANEL))


def unsupported(app: App, stated: pl.DataFrame) -> pl.DataFrame:
    """The rows of a panel, as `quality.supported.differing` has them, that state a number which is not what there is now."""
    return differing(stated, panel_of(app).panel).filter("has_number")


def refuse_rows(wrong: pl.DataFrame) -> None:
    """Raises Stop with the first of these rows of `differing` and the remedy; nothing when there are none."""
    if wrong.height:
        raise Stop(f"{said_of(wrong)}; run `cryptolake build` first")


def said_of(wrong: pl.DataFrame) -> str:
    """These rows of `differing` in a line: how many, and the first."""
    name, day, columns = wrong.select("csu", "date", "columns").row(0)
    return (
        f"{counted(wrong.height, 'row of the panel is', 'rows of the panel are')} not what ledger and silver give now "
        f"(first {name} {day}: {columns})"
    )


def require_in_silver(app: App, csus: Collection[str], days: Collection[date]) -> None:
    """Refuse silver's rows of these markets and days where silver cannot vouch for them. Raises Stop with the remedy."""
    lacks = lacking_of(app, app.ledger.states())
    if lines := evidence.lines(lacks.filter(pl.col("csu").is_in(sorted(csus)) & pl.col("date").is_in(sorted(days)))):
        raise Stop(lines[0])
