"""Which figures of the panel count, and which market-days are complete: one answer, whoever shows, counts or exports. No I/O.

What does not belong here: what a row's states and evidence are (`daily_panel`), and the largest rectangle of complete days
(`research.rectangle`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from cryptolake.contracts.grades import EVIDENCE, GRADES, UNPROVEN, Grade, at_least
from cryptolake.gold.totals import EVENT_SUMS

# The columns a study of this panel is usually about, all of which a complete market-day has; others by name.
VALUES = ("total_tvl_usd", "total_supplied_usd", "total_borrowed_usd", "utilization_rate", "liquidations_usd")

# The columns that the liquidations' state speaks of; the other figures are the TVL's.
_OF_LIQUIDATIONS = (*EVENT_SUMS, "liquidation_count", "liquidations_dust_count", "priced_liquidations_usd")
_ABOUT_THE_ROW = ("block", "num_assets", "priced_share", "priced_value_share", "price_age_s_max")


def side_of(column: str) -> str:
    """The column that says the state of a figure: `liquidations_status` or `status`."""
    return "liquidations_status" if is_flow(column) else "status"


def evidence_of(column: str) -> str:
    """The column that says how far a figure is borne out: `liquidations_evidence` or `tvl_evidence`."""
    return "liquidations_evidence" if is_flow(column) else "tvl_evidence"


def is_flow(column: str) -> bool:
    """Whether a figure counts what happened within the day, and not what there was at its end."""
    return column in _OF_LIQUIDATIONS


def figures(panel: pl.DataFrame, accept: Collection[str] = ("ok",), least: Grade = "one_voice") -> pl.DataFrame:
    """`panel` with null for every figure whose side has another state than those accepted, or weaker evidence than `least`.

    Rows and other columns stay.
    """
    names = [name for name, dtype in panel.schema.items() if dtype.is_numeric() and name not in _ABOUT_THE_ROW]
    enough = [grade for grade in EVIDENCE if at_least(grade, least)]

    def counts(name: str) -> pl.Expr:
        accepted = pl.col(side_of(name)).is_in(list(accept))
        if evidence_of(name) not in panel.columns and least in EVIDENCE[:2]:  # a panel that an earlier version made
            return accepted
        evidence = pl.col(evidence_of(name))
        # A state that is accepted was answered; only how far that is borne out may be unknown.
        return accepted & (evidence.ne_missing(UNPROVEN) if least == GRADES[0] else evidence.is_in(enough))

    return panel.with_columns(pl.when(counts(name)).then(pl.col(name)).alias(name) for name in names)


def is_complete(values: Sequence[str] = VALUES) -> pl.Expr:
    """Whether a row of what `figures` leaves has all of these values."""
    return pl.all_horizontal(pl.col(name).is_not_null() for name in values)


def complete_days(
    panel: pl.DataFrame,
    values: Sequence[str] = VALUES,
    accept: Collection[str] = ("ok",),
    least: Grade = "one_voice",
) -> pl.DataFrame:
    """The market-days of a panel (csu, date) that have all of these values, in the states and of the evidence accepted."""
    return figures(panel, accept, least).filter(is_complete(values)).select("csu", "date").sort("csu", "date")
