"""The ledger as a release holds it: every entry that its figures rest on, without the machine that wrote it.

What does not belong here: taking the entries out of a ledger (work.releasing) and putting them back (work.rebuilding).
"""

from __future__ import annotations

from cryptolake.contracts.table import Field, Table

TABLE = Table(
    name="ledger",
    layer="log",
    grain="the latest entry of one partition: a dataset of a market, or the prices of a chain, on one day or hour",
    key=("partition", "source"),
    fields=(
        Field("partition", "text", "dataset, market (or chain, or file) and period, joined by `/`"),
        Field("source", "text", "who answered: onchain, or a source of prices"),
        Field("all_days", "bool", "whether it counts for every day and not for its own alone: a user's file of prices"),
        Field(
            "state",
            "text",
            "done; empty: nothing happened; failed; claimed or landed: not ready; else never to be answered",
        ),
        Field("at", "timestamp", "when that was recorded", unit="UTC"),
        Field("attempt", "int32", "number of the attempt"),
        Field("rows", "int64", "rows that were read from the answer", null=True),
        Field("digest", "text", "SHA-256 of the answer's payload; null where there is none", null=True),
        Field("block", "int64", "block that the answer is of", null=True),
        Field("cursor", "text", "point to go on from", null=True),
        Field("reason", "text", "a stable code for what has no answer, or a doubted one", null=True),
        Field("error", "text", "the same in words, without secrets", null=True),
        Field("grade", "text", "how far the answer is borne out", null=True),
    ),
    doc="Every answer that a release rests on, with its digest, and what was asked and not answered.",
    methodology="All days of the release's markets, since flags and bounds look at earlier ones, and the prices of those days.",
)
ENTRIES = TABLE.polars_schema()
