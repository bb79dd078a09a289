"""What a stored table looks like, for the orchestrator's pages: counts, digest, a sample, a trend, and its contract's checks.

Works on a frame or, for tables that only PostgreSQL holds, by SQL rendered from the contract. What does not belong here:
checks that know DeFi (quality).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cryptolake.contracts.quoting import identifier, identifiers, literal
from cryptolake.contracts.table import Field, Table
from cryptolake.gold.metadata import content_digest
from cryptolake.quality.results import Result

_SAMPLE_ROWS = 5
_BARS = " ▁▂▃▄▅▆▇█"
_TREND_DAYS = 60
_WHY = {
    "schema": "columns and types are the contract's",
    "not_null": "no NULL where the contract allows none",
    "finite": "no infinite value and no NaN",
    "minimum": "nothing below its least value",
    "maximum": "nothing above its greatest value",
    "allowed": "only the values of closed sets",
    "integer": "raw amounts are whole numbers",
    "unique": "every key once",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """A table as stored: rows, bytes (None if unknown), content digest (empty if unknown), sample rows, trend in Markdown."""

    rows: int
    bytes: int | None
    digest: str
    sample: Sequence[dict[str, str]]
    trend: str = ""


def facts(table: Table, frame: pl.DataFrame, size: int | None) -> Facts:
    """Describe a frame that holds the whole table."""
    return Facts(
        frame.height, size, content_digest(table, frame), texts(frame.tail(_SAMPLE_ROWS)), _trend(table, frame)
    )


def size_sql(table: Table) -> str:
    """The number of rows and of bytes, indexes included."""
    return f"SELECT count(*) AS rows, pg_total_relation_size({literal(table.quoted)}) AS bytes FROM {table.quoted}"


def sample_sql(table: Table) -> str:
    """A few rows, the latest where the table has a surrogate number."""
    order = f" ORDER BY {identifier(table.identity)} DESC" if table.identity else ""
    return f"SELECT {identifiers(table.columns)} FROM {table.quoted}{order} LIMIT {_SAMPLE_ROWS}"


def texts(frame: pl.DataFrame) -> list[dict[str, str]]:
    """The rows as text, long values cut."""
    return [{name: "" if value is None else str(value)[:60] for name, value in row.items()} for row in frame.to_dicts()]


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """The rows as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(
        [*lines, *("| " + " | ".join(row[name].replace("|", "/") for name in names) + " |" for row in rows)]
    )


def _trend(table: Table, frame: pl.DataFrame) -> str:
    """Each USD column's daily sum over the last days as bars; empty for a table without days or amounts."""
    columns = [f.name for f in table.fields if f.dtype == "float64" and f.unit == "USD"]
    if "date" not in table.columns or not columns or frame.is_empty():
        return ""
    daily = frame.group_by("date").agg(pl.col(columns).sum()).sort("date").tail(_TREND_DAYS)
    lines = [
        f"{daily['date'][0]} .. {daily['date'][-1]}, sum over all rows of a day",
        "",
        "| column | trend | last, USD |",
    ]
    lines.append("|---|---|---|")
    for name in columns:
        values = [float(value or 0.0) for value in daily[name]]
        top = max(values) or 1.0
        bars = "".join(_BARS[max(0, round(value / top * 8))] for value in values)
        lines.append(f"| {name} | `{bars}` | {values[-1]:,.0f} |")
    return "\n".join(lines)


def check_kinds(table: Table, *, in_postgres: bool) -> dict[str, str]:
    """The names of the checks the contract implies, with what each means.

    PostgreSQL itself guarantees the columns, their types and the unique key, so those are not checked again there.
    """
    wanted = set() if in_postgres else {"schema"} | ({"unique"} if table.key else set())
    for field in table.fields:
        wanted |= set(_conditions(field))
    return {kind: why for kind, why in _WHY.items() if kind in wanted}


def check_frame(table: Table, frame: pl.DataFrame) -> list[Result]:
    """Every check on a frame; one that is broken makes the table unfit for use."""
    rows, words = dict.fromkeys(check_kinds(table, in_postgres=False), 0), dict[str, str]()
    for violation in table.violations(frame):
        kind = violation.check.rpartition(".")[2]
        rows[kind] += violation.rows
        words[kind] = f"{violation.check}: {violation.example}"
    return [_held(kind, broken, words.get(kind, "")) for kind, broken in rows.items()]


def check_sql(table: Table) -> str:
    """One SELECT with a column per check: how many rows of the PostgreSQL table break it."""
    conditions: dict[str, list[str]] = {}
    for field in table.fields:
        for kind, condition in _conditions(field).items():
            conditions.setdefault(kind, []).append(condition)
    columns = [f"count(*) FILTER (WHERE {' OR '.join(found)}) AS {kind}" for kind, found in sorted(conditions.items())]
    return f"SELECT {', '.join(columns)} FROM {table.quoted}"


def check_counts(counts: pl.DataFrame) -> list[Result]:
    """The answer to `check_sql`."""
    return [_held(kind, int(rows), "") for kind, rows in counts.row(0, named=True).items()]


def _held(kind: str, rows: int, detail: str) -> Result:
    return Result(kind, "error", rows == 0, rows, detail, doc=_WHY[kind])


def _conditions(field: Field) -> dict[str, str]:
    """Per check the SQL condition of a row that breaks it; the same rules as `Table.violations`."""
    name, found = identifier(field.name), {}
    if not field.null:
        found["not_null"] = f"{name} IS NULL"
    if field.dtype == "float64":
        found["finite"] = f"{name} IN ('NaN', 'Infinity', '-Infinity')"
    if field.minimum is not None:
        found["minimum"] = f"{name} < {field.minimum}"
    if field.maximum is not None:
        found["maximum"] = f"{name} > {field.maximum}"
    if field.allowed:
        listed = ", ".join(map(literal, field.allowed))
        found["allowed"] = f"{name} NOT IN ({listed})"
    if field.dtype == "integer_text":
        found["integer"] = f"{name} !~ '^-?[0-9]+$'"
    return found
