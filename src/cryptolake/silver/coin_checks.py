"""Log table `market_checks`: what every data check of the coin market found, run by run. No I/O."""

from __future__ import annotations

from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
    name="market_checks",
    layer="log",
    grain="one check of one run",
    key=(),
    fields=(
        Field("checked_at", "timestamp", "when the check ran", unit="UTC"),
        Field("run", "text", "the run looked at, or `now` for the tables as they rest"),
        Field("check_name", "text", "which check"),
        Field(
            "severity",
            "text",
            "block: keeps a run out; error: loaded but wrong; warn",
            allowed=("block", "error", "warn"),
        ),
        Field("passed", "bool", "whether it held"),
        Field("rows_failed", "int64", "rows in which it did not hold (row_count: rows found)", minimum=0),
        Field("detail", "text", "one line"),
    ),
    doc="Data checks of the coin market.",
    indexes=(("checked_at",),),
    identity="id",
    in_lake=False,
)
