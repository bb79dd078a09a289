"""What an app's ledger and silver vouch for together: the panel that they give now, and the days that have to be made again.

What does not belong here: how that is found (evidence, panel), and making it good (lending).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.net.liars import Accuser
from cryptolake.silver import refined
from cryptolake.silver.prices import Pricing
from cryptolake.silver.refined import TABLE as REFINED_DAYS
from cryptolake.work.cells import Cell, opened
from cryptolake.work.evidence import MENDED_BY_ASKING, MENDED_BY_VALUING
from cryptolake.work.panel import PanelNow, not_in_silver, panel_now
from cryptolake.work.price_evidence import PriceProof, prices_held
from cryptolake.work.price_sources import price_answers, price_sources
from cryptolake.work.standing import MarketDay, market_day
from cryptolake.work.verify import Verified, verify


def panel_of(app: App) -> PanelNow:
    """The panel that ledger and silver give now."""
    states = app.ledger.states()
    return panel_now(
        tables=app.tables,
        bronze=app.bronze,
        states=states,
        csus=app.registry.csus,
        left_out=app.registry.exclusions,
        told_by=price_answers(app, states),
    )


def prices_of(app: App, day: date | None = None) -> dict[MarketDay, PriceProof]:
    """What the prices are worth that silver values each market's day with, or those of one day."""
    states: dict[Partition, Entry] = {}
    for source in price_sources(app).values():
        for dataset in source.datasets:
            known = app.ledger.states(dataset.name)
            always = day is None or dataset.reach == "whole_history"
            states |= {one: entry for one, entry in known.items() if always or one.period.day == day}
    return prices_held(app.tables, price_answers(app, states), day)


def verify_kept(app: App, partitions: Iterable[Partition], *, least: Grade = "one_voice") -> list[Verified]:
    """Verify these partitions with all that the app knows of them (`work.verify`): liars, rows of the registry, prices."""
    states = app.ledger.states()

    def accused(csu: str) -> Accuser:
        return app.liars.accused(app.registry.csu(csu).chain)

    return verify(
        partitions,
        states,
        app.bronze,
        ONCHAIN,
        least=least,
        accused=accused,
        csus=app.registry.csus,
        priced=prices_of(app),
    )


def opened_cell(app: App, partition: Partition, entry: Entry | None) -> Cell:
    """One cell opened with all that the app knows of it (`work.cells`)."""
    return opened(partition, entry, app.bronze, prices_of(app, partition.period.day))


def lacking_of(app: App, states: Mapping[Partition, Entry]) -> pl.DataFrame:
    """The market-days that were answered and that silver cannot vouch for (`evidence.EVIDENCE`); `states`: the ledger."""
    told_by = price_answers(app, states)
    return not_in_silver(tables=app.tables, bronze=app.bronze, states=states, csus=app.registry.csus, told_by=told_by)


def to_read_again(app: App, states: Mapping[Partition, Entry]) -> set[MarketDay]:
    """The market-days whose answers silver has to be made of again, whatever they are valued at."""
    lacking = lacking_of(app, states).filter(~pl.col("reason").is_in([*MENDED_BY_VALUING, *MENDED_BY_ASKING]))
    return set(lacking.filter("answered").select("dataset", "csu", "date").iter_rows())


def to_make_good(app: App, states: Mapping[Partition, Entry], how: Pricing) -> set[MarketDay]:
    """The market-days that silver cannot vouch for, and those that are not valued like this."""
    lacking = lacking_of(app, states).filter(~pl.col("reason").is_in(list(MENDED_BY_ASKING)))
    otherwise = set(refined.priced_otherwise(app.tables.read(REFINED_DAYS), how))
    # A day whose answer is lost keeps what silver has of it: there is nothing to make it of.
    days = set(lacking.filter("answered").select("dataset", "csu", "date").iter_rows())
    return days | {market_day(one) for one in states if one.period.day in otherwise and one.dataset in MARKET_DATASETS}
