"""Silver table `exclusions`: what totals leave out, as the registry named it when the panel was built. No I/O.

What does not belong here: the list itself (registry) and leaving out (gold).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cryptolake.contracts.table import Field, Table
from cryptolake.registry.exclusions import KINDS, REASONS, Exclusion

INPUTS = ()
TABLE = Table(
    name="exclusions",
    layer="silver",
    grain="one isolated market, token or oracle that one market's totals leave out from one day on",
    key=("csu", "kind", "id", "first_day"),
    fields=(
        Field("csu", "text", "market whose totals leave it out"),
        Field("kind", "text", "what is named", allowed=KINDS),
        Field("id", "text", "id of the isolated market, or address of the token or oracle, EIP-55"),
        Field("first_day", "date", "first day on which it is left out; 1970-01-01: from the beginning"),
        Field("last_day", "date", "last day on which it is left out; null: to this day", null=True),
        Field("reason", "text", "why: " + "; ".join(f"{code} = {said}" for code, said in REASONS.items())),
        Field("why", "text", "the facts in a sentence"),
        Field("sources", "text", "where that is stated, joined by ` | `"),
    ),
    doc="What totals leave out and why, by name, date and source.",
    methodology="The registry's list, with the rows of the user's registry file. Whatever it does not name stays in the "
    "totals, however odd it looks; what looks odd is flagged (`flagged_markets`).",
)
_BEGINNING = pl.date(1970, 1, 1)


def conform(exclusions: Iterable[Exclusion]) -> pl.DataFrame:
    """The list as rows of the table, sorted by key."""
    rows = [
        (one.csu, one.kind, one.id, one.first, one.last, one.reason, one.why, " | ".join(one.sources))
        for one in exclusions
    ]
    frame = pl.DataFrame(rows, schema=TABLE.polars_schema(), orient="row")
    return frame.with_columns(pl.col("first_day").fill_null(_BEGINNING)).sort(TABLE.key)
