"""How many complete market-days there are while answers still come: those of the panel as it was built last.

What does not belong here: which market-days are complete (`gold.completeness`), and showing them (the page, the terminal).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from cryptolake.errors import CryptolakeError
from cryptolake.gold.completeness import VALUES, complete_days, evidence_of, side_of
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.state.ledger import Ledger
from cryptolake.watch.coverage import heat

if TYPE_CHECKING:  # a monitor of an empty folder need not wait for the table format
    from cryptolake.lake.tables import Tables

_ANSWERED = "de"  # letters of the days that are answered and that nobody contradicts
_SIDES = {of(name) for name in VALUES for of in (side_of, evidence_of)}


@dataclass(frozen=True, slots=True)
class Complete:
    """Complete days by market, none of those asked for left out; None where there is no panel to count in, `why` says so."""

    by_market: Mapping[str, int] | None
    why: str | None = None


def complete_by_market(
    tables: Tables, ledger: Ledger, keys: Sequence[str], first: date | None = None, last: date | None = None
) -> Complete:
    """The complete days of these markets in a span (None: open), by the panel as it was built last.

    A day counts while the ledger still calls both its sides answered: what is asked again counts no more. Quick at any size,
    for it reads some columns of the panel and bounded ranges of the ledger; whether silver still bears the panel out is
    asked by whoever hands figures out.
    """
    try:
        if tables.version(DAILY_PANEL) is None:
            return Complete(None, "no panel was built yet")
        panel = tables.read(DAILY_PANEL, columns=["csu", "date", *VALUES, *sorted(_SIDES)])
    except CryptolakeError as error:
        return Complete(None, str(error))
    counts = dict.fromkeys(keys, 0)
    found = [
        (csu, day)
        for csu, day in complete_days(panel).iter_rows()
        if csu in counts and (first is None or first <= day) and (last is None or day <= last)
    ]
    if found:
        start, end = min(day for _, day in found), max(day for _, day in found)
        shown = heat(ledger, sorted({csu for csu, _ in found}), start, end)
        letters = {row["market"]: (row["tvl"], row["liquidations"]) for row in shown}
        for csu, day in found:
            counts[csu] += all(side[(day - start).days] in _ANSWERED for side in letters[csu])
    return Complete(counts)
