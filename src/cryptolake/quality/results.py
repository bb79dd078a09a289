"""Log table `quality_results`: what each check found, each time it was run. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from cryptolake.contracts.table import Field, Table
from cryptolake.quality.checks import SEVERITIES, Result

INPUTS = ()
TABLE = Table(
    name="quality_results",
    layer="log",
    grain="one check of one quality run",
    key=(),
    fields=(
        Field("run_at", "timestamp", "when the run was", unit="UTC"),
        Field("dataset_version", "text", "content digest of the panel that was checked"),
        Field("check_name", "text", "the check"),
        Field("severity", "text", "how much a broken check matters", allowed=SEVERITIES),
        Field("passed", "bool", "whether no row breaks it"),
        Field("broken_rows", "int64", "rows that break it", minimum=0),
        Field("examples", "text", "up to five of them, one per line", null=True),
    ),
    doc="What the quality checks found.",
    indexes=(("run_at",),),
    identity="result_id",
    in_lake=False,
)


def frame(results: Sequence[Result], run_at: datetime, dataset_version: str) -> pl.DataFrame:
    """The results as rows of the table."""
    rows = [
        (run_at, dataset_version, one.check, one.severity, one.rows == 0, one.rows, "\n".join(one.examples) or None)
        for one in results
    ]
    return pl.DataFrame(rows, schema=TABLE.polars_schema(), orient="row")
