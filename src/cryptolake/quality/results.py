"""What a check found, in the one vocabulary of all checks, and log table `quality_results`, which keeps it. No I/O.

error: the numbers are wrong and must not be used; warning: look at them before using them; info: worth knowing. What does
not belong here: the checks (checks, rules, coins, and the contracts' own) and storing results (work).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from cryptolake.contracts.table import Field, MergedTable, Table

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

COINS = "coins"  # what `about` says of a check of a coin run or of the coin tables as they rest
LENDING = "lending"  # and of the invariants of lending markets
AT_REST = "now"  # the `run` of a check of the coin tables as they rest


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found: whether it held, and the rows that break it (a check may tolerate a few of them).

    `detail` is one line fit to print, `doc` what should hold, `examples` up to five rows as `subject date: detail`.
    `blocks`: while it is broken, what was checked is kept out of the tables.
    """

    check: str
    severity: Severity
    passed: bool
    rows: int
    detail: str = ""
    doc: str = ""
    examples: tuple[str, ...] = ()
    blocks: bool = False


def exit_code(results: Sequence[Result], fail_on: Severity = "error") -> int:
    """1 when a check of this severity or a higher one is broken."""
    counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return int(any(not one.passed and one.severity in counted for one in results))


_MARKET_CHECKS = MergedTable(
    name="market_checks",
    doc="checks of coins, with the severities of earlier versions: block, error, warn",
    where=f"about = '{COINS}'",
    identity=("id", "result_id"),
    columns=(
        (Field("checked_at", "timestamp", "when the check ran", unit="UTC"), "run_at"),
        (Field("run", "text", "the run looked at, or `now` for the tables as they rest"), "run"),
        (Field("check_name", "text", "which check"), "check_name"),
        (
            Field("severity", "text", "block: keeps a run out; error: loaded but wrong; warn"),
            "CASE WHEN blocks THEN 'block' WHEN severity = 'error' THEN 'error' ELSE 'warn' END",
        ),
        (Field("passed", "bool", "whether it held"), "passed"),
        (Field("rows_failed", "int64", "rows in which it did not hold"), "broken_rows"),
        (Field("detail", "text", "one line"), "detail"),
    ),
    takes=(
        ("about", f"'{COINS}'"),
        ("run_at", "checked_at"),
        ("run", "run"),
        ("check_name", "check_name"),
        ("severity", "CASE severity WHEN 'warn' THEN 'warning' ELSE 'error' END"),
        ("blocks", "severity = 'block'"),
        ("passed", "passed"),
        ("broken_rows", "rows_failed"),
        ("detail", "detail"),
    ),
)

INPUTS = ()
TABLE = Table(
    name="quality_results",
    layer="log",
    grain="one check, each time it was run",
    key=(),
    fields=(
        Field("run_at", "timestamp", "when the check ran", unit="UTC"),
        Field("dataset_version", "text", "content digest of the panel that was checked", null=True),
        Field("check_name", "text", "the check"),
        Field("severity", "text", "how much a broken check matters", allowed=SEVERITIES),
        Field("passed", "bool", "whether it held"),
        Field("broken_rows", "int64", "rows that break it; some checks tolerate a few", minimum=0),
        Field("examples", "text", "up to five of them, one per line", null=True),
        Field(
            "about",
            "text",
            "what was checked: `lending`, `coins`, or the table whose contract was; null: lending, by an earlier version",
            null=True,
        ),
        Field("run", "text", "the coin run that was checked, or `now` for the tables as they rest", null=True),
        Field("blocks", "bool", "whether a broken one keeps what was checked out of the tables", null=True),
        Field("detail", "text", "what was found, in one line", null=True),
    ),
    doc="What every check found.",
    indexes=(("run_at",),),
    identity="result_id",
    in_lake=False,
    merged=(_MARKET_CHECKS,),
)


def frame(
    results: Sequence[Result],
    *,
    about: str,
    run_at: datetime,
    dataset_version: str | None = None,
    run: str | None = None,
) -> pl.DataFrame:
    """The results as rows of the table."""
    rows = [
        (
            run_at,
            dataset_version,
            one.check,
            one.severity,
            one.passed,
            one.rows,
            "\n".join(one.examples) or None,
            about,
            run,
            one.blocks,
            one.detail or None,
        )
        for one in results
    ]
    return pl.DataFrame(rows, schema=TABLE.polars_schema(), orient="row")
