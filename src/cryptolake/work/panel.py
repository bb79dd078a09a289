"""Silver to gold: the balanced panel over every market and day the ledger knows of, and the tables made of it.

What does not belong here: what a figure rests on (evidence), how it is made (gold), and an app's parts (lending).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cryptolake.catalogue import MARKET_DAYS, FoundTable, asked_alone, downstream, found_tables
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.table import Table
from cryptolake.flow.outputs import Built, Output
from cryptolake.gold import daily_panel, event_days, flagged_markets
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.publish.stores import Stores
from cryptolake.registry.exclusions import Exclusion
from cryptolake.registry.known_events import KnownEvent
from cryptolake.registry.markets import Csu
from cryptolake.silver import (
    bad_debt,
    event_prices,
    exclusions,
    isolated_markets,
    known_events,
    liquidations,
    prices,
    quotes,
    refined,
    tvl,
)
from cryptolake.sources.onchain.families import isolating
from cryptolake.work import evidence
from cryptolake.work.grading import certified_states
from cryptolake.work.price_evidence import priced_evidence, prices_of_days
from cryptolake.work.standing import MarketDay, Standing, answers_of, market_day, standing
from cryptolake.work.tables import derive, read_from

# What `refine` makes of answers.
REFINED = tuple(one.TABLE.name for one in (tvl, isolated_markets, liquidations, bad_debt, quotes, prices, refined))
# Nothing left out or flagged any more, no event on a day that is there, and prices that nobody asked for, are no loss.
MAY_BE_EMPTY = {one.TABLE.name for one in (exclusions, flagged_markets, event_prices, known_events, event_days)}


def expected_rows(found: pl.DataFrame, csus: Mapping[str, Csu]) -> pl.DataFrame:
    """The panel's key set: every market ever asked for, on every day anyone was asked for, with what is known of it.

    `found` is what `work.evidence` says. Columns: those of `daily_panel.EXPECTED`; states, reasons and grades
    are null where nobody asked.
    """
    keys, days = found.select("csu").unique().sort("csu"), found.select("date").unique().sort("date")
    about = [(name, csus[name].chain, csus[name].family, csus[name].protocol) for name in keys["csu"]]
    markets = pl.DataFrame(
        about, schema=["csu", "chain", "family", "protocol"], orient="row", schema_overrides={"csu": pl.String}
    )
    frame = keys.join(days, how="cross").join(markets, on="csu", how="left")
    for dataset, side in (("tvl", "tvl"), ("liquidations", "liq")):
        known = found.filter(pl.col("dataset") == dataset).select(
            "csu", "date", *(pl.col(name).alias(f"{side}_{name}") for name in ("state", "reason", "grade"))
        )
        frame = frame.join(known, on=["csu", "date"], how="left")
    return frame.select(daily_panel.EXPECTED.names()).cast(daily_panel.EXPECTED).sort("csu", "date")


@dataclass(frozen=True, slots=True)
class PanelNow:
    """The panel, the evidence it rests on, and what of it is flagged or left out, with the list of what is to be left out.

    `tvl` and `liquidations` are silver's rows that it was made of, all columns.
    """

    panel: pl.DataFrame
    evidence: pl.DataFrame
    flagged: pl.DataFrame
    exclusions: pl.DataFrame
    tvl: pl.DataFrame
    liquidations: pl.DataFrame


def panel_now(
    *,
    tables: Tables,
    bronze: Bronze,
    states: Mapping[Partition, Entry],
    csus: Mapping[str, Csu],
    left_out: Sequence[Exclusion],
    told_by: refined.PriceAnswers | None = None,
    known: Mapping[MarketDay, Standing] | None = None,
) -> PanelNow:
    """The panel that ledger and silver give now, and the evidence (`evidence.EVIDENCE`) it rests on. Writes nothing.

    Figures and their statuses are made from the same rows, read once. `left_out` is what totals leave out, `told_by` what was
    answered of prices (None: nobody looks whether silver was priced by all of it). `known` is
    `standing(states)`, for a caller that has it already.
    """
    columns = daily_panel.COLUMNS
    certified = certified_states(states, bronze)
    stands = standing(certified) if known is None or certified is not states else known
    of_tvl = [*columns["tvl"], *flagged_markets.COLUMNS["tvl"]]
    amounts, events, apart, found = _evidence(tables, bronze, stands, csus, told_by, of_tvl, columns["liquidations"])
    named = exclusions.conform(left_out)
    flagged = flagged_markets.build(amounts, apart, named)
    expected = expected_rows(found, csus).join(_lost(tables), on=["csu", "date"], how="left")
    anyone = [name for name, csu in csus.items() if isolating(csu.family) is not None]
    expected = expected.with_columns(pl.col("csu").is_in(anyone).alias("anyone"))
    panel = daily_panel.build(amounts, events, expected, flagged)
    rows = (amounts.select(tvl.TABLE.columns), events.select(liquidations.TABLE.columns))
    return PanelNow(panel, found, flagged, named, *rows)


def _lost(tables: Tables) -> pl.DataFrame:
    """What each market lost on each day by its protocol's own word, in USD: it explains what would look odd otherwise."""
    rows = tables.read(bad_debt.TABLE, columns=["csu", "date", "kind", "amount_usd", *bad_debt.TABLE.key])
    lost = rows.filter(pl.col("kind") != "covered").sort("csu", "date", "tx", "log_index")
    return lost.group_by("csu", "date", maintain_order=True).agg(pl.col("amount_usd").sum().alias("bad_debt_usd"))


def not_in_silver(
    *,
    tables: Tables,
    bronze: Bronze,
    states: Mapping[Partition, Entry],
    csus: Mapping[str, Csu],
    told_by: refined.PriceAnswers | None = None,
) -> pl.DataFrame:
    """The market-days that the ledger calls answered and silver cannot vouch for, with the reason."""
    return evidence.lacking(_evidence(tables, bronze, standing(states), csus, told_by)[-1])


def _evidence(
    tables: Tables,
    bronze: Bronze,
    stands: Mapping[MarketDay, Standing],
    csus: Mapping[str, Csu],
    told_by: refined.PriceAnswers | None,
    of_tvl: Sequence[str] = (),
    of_liquidations: Sequence[str] = (),
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Silver's amounts and events with these columns more, its isolated markets, and what they and the ledger say together."""
    amounts = tables.read(tvl.TABLE, columns=list(dict.fromkeys([*of_tvl, *evidence.TVL_COLUMNS])))
    columns = list(dict.fromkeys([*of_liquidations, *evidence.LIQUIDATION_COLUMNS]))
    events = tables.read(liquidations.TABLE, columns=columns)
    apart = tables.read(isolated_markets.TABLE)
    lost = bronze.lost(answers_of(entry for (_, csu, _), one in stands.items() if csu in csus for entry in one.entries))
    priced = tables.read(prices.TABLE)
    found = evidence.evidence(
        stands,
        csus,
        recorded=tables.read(refined.TABLE),
        amounts=amounts,
        events=events,
        prices=priced,
        quotes=tables.read(quotes.TABLE),
        lost={market_day(one) for one in lost},
        isolated=apart,
        isolating={name for name, csu in csus.items() if isolating(csu.family) is not None},
        told_by=told_by,
    )
    worth = prices_of_days(amounts, events, priced, told_by)
    return amounts, events, apart, priced_evidence(found, worth)


def finished() -> list[FoundTable]:
    """The tables that `publish` takes to files and PostgreSQL: what `refine` and `build` make, inputs first."""
    made = {
        *REFINED,
        exclusions.TABLE.name,
        event_prices.TABLE.name,
        known_events.TABLE.name,
        *(one.table.name for one in downstream([*REFINED, MARKET_DAYS, *asked_alone()])),
    }
    kept = (one for name, one in found_tables().items() if name in made and one.table.in_lake)
    return [one for one in kept if one.table.in_postgres or one.table.publish_as is not None]


def build(
    stores: Stores,
    *,
    csus: Mapping[str, Csu],
    left_out: Sequence[Exclusion],
    events: Sequence[KnownEvent] = (),
    told_by: refined.PriceAnswers | None = None,
    states: Mapping[Partition, Entry] | None = None,
    known: Mapping[MarketDay, Standing] | None = None,
) -> Built:
    """Silver to gold: the balanced daily panel over every market and day the ledger knows of, and what is made of it.

    A day that the ledger calls answered has a number only where silver was made of that very answer and still holds it;
    the others are `pending` or `failed` in the panel and listed in the result. `events` are the known ones, which are flagged
    on their market-days. `told_by` as in `panel_now`. `states` spares
    a second reading of the ledger to a caller that has just read it, `known` working out what of it stands; PostgreSQL is
    opened only for a table made with one that the lake does not hold.
    """
    tables = stores.tables
    states = stores.ledger.states() if states is None else states
    now = panel_now(
        tables=tables,
        bronze=stores.bronze,
        states=states,
        csus=csus,
        left_out=left_out,
        told_by=told_by,
        known=known,
    )
    stores.bronze.keep_whole()
    built = [
        (exclusions.TABLE, now.exclusions),
        (known_events.TABLE, known_events.conform(events)),
        (flagged_markets.TABLE, now.flagged),
        (daily_panel.TABLE, now.panel),
    ]
    for table, rows in built:
        table.require(rows)
    stored: dict[str, pl.DataFrame | None] = dict.fromkeys([*REFINED, *asked_alone()])
    changed = {
        **stored,
        tvl.TABLE.name: now.tvl,  # just read: the year's rows need not be read again
        liquidations.TABLE.name: now.liquidations,
        MARKET_DAYS: expected_rows(now.evidence, csus),
        **{table.name: rows for table, rows in built},
    }
    with read_from(stores, changed) as read:
        built += [(one.table, rows) for one, rows in derive(changed, read)]
    for table, rows in built:
        if table.in_lake:
            tables.write(table, rows)
        else:
            with stores.warehouse() as warehouse:
                warehouse.load(table, rows, table.load)
    made = [Output(f"{table.layer} {table.name}", rows.height, _place(table, tables)) for table, rows in built]
    return Built(made, evidence.lacking(now.evidence))


def _place(table: Table, tables: Tables) -> str:
    return str(tables.path(table)) if table.in_lake else f"PostgreSQL {table.name}"
