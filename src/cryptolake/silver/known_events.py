"""Silver table `known_events`: exploits, failures of oracles and lost pegs, as the registry named them. No I/O.

What does not belong here: the list itself (registry) and the market-days they fall on (`event_days`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cryptolake.contracts.table import Field, Table
from cryptolake.registry.known_events import KINDS, KnownEvent

INPUTS = ()
TABLE = Table(
    name="known_events",
    layer="silver",
    grain="one event",
    key=("event",),
    fields=(
        Field("event", "text", "its name in the registry"),
        Field(
            "kind",
            "text",
            "what it was: " + "; ".join(f"{k} = {said}" for k, said in KINDS.items()),
            allowed=tuple(KINDS),
        ),
        Field("first_day", "date", "first day on which it is flagged, UTC"),
        Field("last_day", "date", "last day on which it is flagged"),
        Field("what", "text", "the facts in a sentence"),
        Field("csus", "text", "markets that it touches by name, joined by `;`", null=True),
        Field("protocols", "text", "protocols whose markets it touches, joined by `;`", null=True),
        Field("chains", "text", "chains to which the protocols are narrowed, joined by `;`; null: all", null=True),
        Field("symbols", "text", "tokens whose holders it touches, joined by `;`", null=True),
        Field("sources", "text", "where it is stated, joined by ` | `"),
    ),
    doc="Known exploits, failures of oracles and lost pegs, by date and source.",
    methodology="The registry's list, with the rows of the user's registry file. Nothing is left out of any total because of "
    "an event; `event_days` says on which market-days they fall.",
)


def conform(events: Iterable[KnownEvent]) -> pl.DataFrame:
    """The list as rows of the table, sorted by key."""
    rows = [
        (
            one.name,
            one.kind,
            one.first,
            one.last,
            one.what,
            *(";".join(names) or None for names in (one.csus, one.protocols, one.chains, one.symbols)),
            " | ".join(one.sources),
        )
        for one in events
    ]
    return pl.DataFrame(rows, schema=TABLE.polars_schema(), orient="row").sort(TABLE.key)
