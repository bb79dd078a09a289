"""What a table looks like now, and whether it holds: the contract's checks and what `quality` knows, for one table at a time.

The orchestrator's metadata and asset checks. What does not belong here: making tables (work) and the rules (quality).
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from cryptolake.app import App
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.metadata import content_digest
from cryptolake.quality import coins as coin_checks
from cryptolake.quality.checks import CHECKS
from cryptolake.quality.checks import run as run_checks
from cryptolake.quality.results import LENDING, Result
from cryptolake.quality.rules import FinishedTables as QualityTables
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.staging_crypto_market import TABLE as STAGING
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.watch import report
from cryptolake.work import coins
from cryptolake.work.evidence import lacking
from cryptolake.work.lineage import Node
from cryptolake.work.panel import PanelNow
from cryptolake.work.results import keep_results
from cryptolake.work.vouched import panel_of


def _counted_in_postgres(node: Node) -> bool:
    """Whether the table is looked at where vendors' loads leave it; what only the lake has is looked at there."""
    return node.step == "vendor" and node.table.in_postgres


def facts(app: App, node: Node) -> report.Facts:
    """What the table looks like now: the lake's tables are read whole, PostgreSQL's are counted there."""
    if not _counted_in_postgres(node):
        return report.facts(node.table, app.tables.read(node.table), app.tables.size(node.table))
    with app.warehouse() as warehouse:
        size, sample = (warehouse.query(one) for one in (report.size_sql(node.table), report.sample_sql(node.table)))
    rows, size_b = size.row(0)
    return report.Facts(rows, size_b, digest="", sample=report.texts(sample))


def check_kinds(node: Node) -> dict[str, str]:
    """The names of the table's checks with what each means: its contract's, and what `quality` knows about it."""
    known = report.check_kinds(node.table, in_postgres=_counted_in_postgres(node))
    if node.table.name == DAILY_PANEL.name:
        known |= {one.name: one.doc for one in CHECKS}
    if node.table.name == STAGING.name:
        nothing = coin_checks.check_staging(STAGING, STAGING.empty(), as_of=datetime.now(UTC))
        nothing += coin_checks.partitions(0, [], datetime.now(UTC).date())
        known |= {one.check: f"the coins' {one.check.replace('_', ' ')}" for one in nothing}
    return known


def check(app: App, node: Node) -> list[Result]:
    """Every check of the table as stored; what they found is kept."""
    name, at = node.table.name, datetime.now(UTC)
    if node.step == "vendor":
        with app.warehouse() as warehouse:
            found = report.check_counts(warehouse.query(report.check_sql(node.table)))
    else:
        found = report.check_frame(node.table, app.tables.read(node.table))
    with app.warehouse() as warehouse:
        keep_results(warehouse, found, about=name, at=at)
    if name == STAGING.name:
        found += coins.check_now(app.stores, at)
    if name == DAILY_PANEL.name:
        found += check_panel(app, finished(app), at)
    return found


def check_panel(app: App, tables: QualityTables, at: datetime, *, keep: bool = True) -> list[Result]:
    """The invariants of lending markets over finished tables; `keep` writes what was found to the database."""
    found = run_checks(tables)
    if keep:
        version = content_digest(DAILY_PANEL, tables.panel)
        with app.warehouse() as warehouse:
            keep_results(warehouse, found, about=LENDING, at=at, dataset_version=version)
    return found


def finished(app: App, chosen: pl.DataFrame | None = None, given: PanelNow | None = None) -> QualityTables:
    """The finished tables of lending markets as the quality rules read them, or what of them belongs to a chosen panel.

    `given` is `panel_of(app)` for a caller that has it already.
    """
    made = given or panel_of(app)
    now, lacks = made.panel, lacking(made.evidence)
    tvl, liquidations, prices = (app.tables.read(one) for one in (TVL, LIQUIDATIONS, PRICES))
    stored = app.tables.read(DAILY_PANEL)
    panel = stored if chosen is None else chosen
    if chosen is not None:
        keys = chosen.select("csu", "date")
        tvl, liquidations, now, lacks = (
            one.join(keys, on=["csu", "date"], how="semi") for one in (tvl, liquidations, now, lacks)
        )
        # Rows of the selection that nobody ever asked for stand in no stored panel: they are what they would be now.
        unasked = chosen.join(stored, on=["csu", "date"], how="anti").join(now, on=["csu", "date"], how="anti")
        now = pl.concat([now, unasked.select(now.columns)])
        named = [(tvl, "asset"), (liquidations, "debt_asset"), (liquidations, "collateral_asset")]
        valued = pl.concat([one.select("chain", "date", pl.col(name).alias("asset")) for one, name in named])
        prices = prices.join(valued, on=["chain", "asset", "date"], how="semi")
    boundary, accounting = app.boundary, app.registry.accounting
    return QualityTables(tvl, liquidations, prices, panel, now, lacks, boundary, accounting)
