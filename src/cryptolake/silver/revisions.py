"""Log table `metric_revisions`: what a vendor changed in its own history, from what, to what, seen when. No I/O."""

from __future__ import annotations

from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
    name="metric_revisions",
    layer="log",
    grain="one change of one stored value by `backfill --restate`",
    key=(),
    fields=(
        Field("revised_at", "timestamp", "when we saw the new value", unit="UTC"),
        Field("source", "text", "vendor", sql="VARCHAR(100)"),
        Field("asset", "text", "the vendor's entity identifier", sql="VARCHAR(100)"),
        Field("metric_name", "text", "standardised upper-case name", sql="VARCHAR(200)"),
        Field("pulled_at", "timestamp_naive", "the instant whose value changed", unit="UTC"),
        Field("old_value", "float64", "what was stored", null=True),
        Field("new_value", "float64", "what the vendor says now", null=True),
    ),
    doc="Restatements of vendors. A third of a recorded series changed within three months.",
    indexes=(("source", "asset", "metric_name", "pulled_at"),),
    identity="id",
    in_lake=False,
)
