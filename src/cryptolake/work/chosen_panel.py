"""The panel of a selection: its key set is the markets and days that were chosen, not whatever the ledger ever saw.

What does not belong here: what the flags mean (`cli.options`) and making the panel (`lending`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.errors import BadInput
from cryptolake.gold.daily_panel import COLUMNS, EXPECTED, build
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.registry.markets import Csu
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work.handing_out import require_supported


@dataclass(frozen=True, slots=True)
class ChosenPanel:
    """The balanced rows of a selection, and what was taken in words and for programs."""

    panel: pl.DataFrame
    never_asked: int

    @property
    def markets(self) -> list[str]:
        """The markets' names, sorted."""
        return self.panel["csu"].unique().sort().to_list()

    @property
    def days(self) -> list[date]:
        """The days, sorted."""
        return self.panel["date"].unique().sort().to_list()

    @property
    def says(self) -> str:
        """One line: which markets and days."""
        markets, days = self.markets, self.days
        names = ", ".join(markets[:3]) + ", ..." * (len(markets) > 3)
        line = f"{counted(len(markets), 'market')} ({names}) on {counted(len(days), 'day')} ({days[0]} .. {days[-1]})"
        return line + (f"; {self.never_asked:,} of the market-days were never asked for" if self.never_asked else "")

    def document(self) -> dict[str, object]:
        """The same for programs."""
        days = self.days
        return {
            "markets": self.markets,
            "first_day": days[0],
            "last_day": days[-1],
            "days": len(days),
            "never_asked": self.never_asked,
        }


def chosen_panel(
    app: App,
    csus: Sequence[Csu] | None,
    first: date | None,
    last: date | None,
    *,
    version: int | None = None,
    as_stored: bool = False,
) -> ChosenPanel:
    """The stored panel over the chosen markets (None: all of it) and days; keys it lacks are rows that say `not_asked`.

    Figures that ledger and silver do not give now raise Stop (`handing_out`), unless they are wanted `as_stored`, to be judged
    or only counted, or are those of an older `version`. An open end means the first or last day that any chosen market was
    asked for; with both open, only such days count. Raises BadInput when there is no panel, or none of the selection was
    ever asked for.
    """
    stored = app.tables.read(DAILY_PANEL, version=version)
    if stored.is_empty():
        raise BadInput("there is no panel yet; run `cryptolake run` or `cryptolake build` first")
    if csus is None:
        csus = [app.registry.csus[name] for name in stored["csu"].unique().sort() if name in app.registry.csus]
    else:
        stored = stored.filter(pl.col("csu").is_in([csu.name for csu in csus]))
    names = {csu.name for csu in csus}
    asked = {
        (one.key, one.period.day) for one in app.ledger.states() if one.dataset in MARKET_DATASETS and one.key in names
    }
    days = sorted({day for _, day in asked} & set(stored["date"].unique()))
    if not days:
        raise BadInput(
            "the panel has no figure of this selection; run `cryptolake refine` and `cryptolake build` if it was collected, "
            "else `cryptolake run` with the same flags"
        )
    if first is not None or last is not None:
        start, end = first or days[0], last or days[-1]
        days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    if not days:
        raise BadInput(f"no day lies between {first or 'the first day'} and {last or 'the last day'} of the selection")
    if not any(key in asked for key in itertools.product(sorted(names), days)):
        raise BadInput(
            f"nothing of this selection was ever asked for ({counted(len(names), 'market')} on {counted(len(days), 'day')}, "
            f"{days[0]} .. {days[-1]}); run `cryptolake run` with the same flags"
        )
    stored = stored.filter(pl.col("date").is_in(days))
    if version is None and not as_stored:
        require_supported(app, stored)
    missing = _expected(csus, days).join(stored, on=["csu", "date"], how="anti")
    if missing.height:
        amounts = TVL.empty().select(COLUMNS["tvl"])
        events = LIQUIDATIONS.empty().select(COLUMNS["liquidations"])
        stored = pl.concat([stored, build(amounts, events, missing).select(stored.columns)])
    never = sum(key not in asked for key in stored.select("csu", "date").iter_rows())
    return ChosenPanel(stored.sort(DAILY_PANEL.key), never)


def _expected(csus: Sequence[Csu], days: Sequence[date]) -> pl.DataFrame:
    """Every chosen market on every chosen day, as never asked for."""
    about = [(csu.name, csu.chain, csu.family, csu.protocol) for csu in csus]
    markets = pl.DataFrame(about, schema=dict.fromkeys(("csu", "chain", "family", "protocol"), pl.String), orient="row")
    nothing = [pl.lit(None).alias(name) for name in EXPECTED if name.endswith(("_state", "_reason", "_grade"))]
    keys = markets.join(pl.DataFrame({"date": days}, schema={"date": pl.Date}), how="cross").with_columns(nothing)
    return keys.select(EXPECTED.names()).cast(EXPECTED)
