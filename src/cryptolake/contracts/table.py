"""`Field` and `Table`: the contract of a published table, from which schema, DDL, checks and docs are all rendered.

Nothing rendered from here (PostgreSQL DDL, Arrow schema, data dictionary) is ever written by hand elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.quoting import identifier, identifiers, literal
from cryptolake.contracts.wellformed import require_types
from cryptolake.errors import Stop

if TYPE_CHECKING:
    import pyarrow as pa

Dtype = Literal["text", "int64", "int32", "float64", "bool", "date", "timestamp", "timestamp_naive", "integer_text"]

# integer_text: an unscaled integer of any size (uint256) as decimal text. timestamp: an instant, microseconds, UTC.
# timestamp_naive: the same instant in UTC without zone, for the documented tables whose column type is TIMESTAMP.
_POLARS: dict[Dtype, pl.DataType] = {
    "text": pl.String(),
    "int64": pl.Int64(),
    "int32": pl.Int32(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "timestamp_naive": pl.Datetime("us"),
    "integer_text": pl.String(),
}
_SQL: dict[Dtype, str] = {
    "text": "TEXT",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "float64": "DOUBLE PRECISION",
    "bool": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "timestamp_naive": "TIMESTAMP",
    "integer_text": "TEXT",
}


@dataclass(frozen=True, slots=True)
class Former:
    """A name that a column had in an earlier version, and its dtype then where it differed.

    PostgreSQL keeps answering to it by a generated column; the lake reads files that still have it.
    """

    name: str
    dtype: Dtype | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One column: name (with unit suffix), dtype, unit in words, meaning, and whether NULL is allowed.

    `sql` overrides the rendered column type and clauses where a documented table demands it (`VARCHAR(100)`).
    `minimum` and `maximum` are inclusive bounds and `allowed` a closed set of values; all three become checks.
    """

    name: str
    dtype: Dtype
    doc: str
    unit: str = ""
    null: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    sql: str | None = None
    formerly: tuple[Former, ...] = ()  # a rename or a new type: what readers of earlier versions still ask for
    added: bool = False  # rows stored by an earlier version lack it, which reads as null: nobody knew it then

    def __post_init__(self) -> None:
        require_types(self)


@dataclass(frozen=True, slots=True)
class MergedTable:
    """A table of an earlier version whose rows lie in another one now; PostgreSQL keeps a view of its name and columns.

    `columns`: each with the SQL expression that answers it from the table of today, over the rows that `where` chooses.
    `takes`: columns of today with the expression that fills them from the old table, so that its rows move over once.
    `identity`: its surrogate id column and the column of today that answers to it.
    """

    name: str
    doc: str
    columns: tuple[tuple[Field, str], ...]
    where: str
    takes: tuple[tuple[str, str], ...]
    identity: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that did not hold: its name, how many rows broke it and one example key, fit to print."""

    check: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """The contract of one table: what a row is (`grain`), natural `key`, fields, and how its numbers are made."""

    name: str
    layer: Literal["bronze", "silver", "gold", "log"]
    grain: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    doc: str
    methodology: str = ""
    publish_as: str | None = None  # file under data/, `{csu}` is replaced per market
    indexes: tuple[tuple[str, ...], ...] = ()
    identity: str | None = None  # surrogate bigint id column that only PostgreSQL has, if documented
    enforced: bool = False  # PostgreSQL itself holds the key (PRIMARY KEY) and the fields' bounds and sets (CHECK)
    named_indexes: tuple[tuple[str, str], ...] = ()  # documented index name and its columns, e.g. "share DESC"
    monthly: str | None = None  # timestamp column by whose UTC month PostgreSQL partitions the table
    daily: bool = False  # a UTC day of a series has one row, at whichever instant of the day: it stands for any other
    partition: str | None = None  # column whose values get files of their own in the lake, so a day is replaced alone
    in_lake: bool = True  # False: only PostgreSQL holds it, because it is changed row by row
    in_postgres: bool = True  # False: only the lake holds it
    load: Literal["replace", "update"] = "replace"  # how new rows meet the old: instead of them, or beside them by key
    formerly: tuple[str, ...] = ()  # names the table had: PostgreSQL keeps a view of each, the lake finds its folder
    merged: tuple[MergedTable, ...] = ()  # tables of earlier versions that became a part of this one

    def __post_init__(self) -> None:
        require_types(self)
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: a field is named twice")
        by = [name for name in (self.partition, self.monthly) if name is not None]
        if missing := [name for name in (*self.key, *by) if name not in names]:
            raise ValueError(f"table {self.name}: key, partition or monthly columns {missing} are no fields")
        if unknown := [field.dtype for field in self.fields if field.dtype not in _SQL]:
            raise ValueError(f"table {self.name}: unknown dtype {unknown[0]!r}; known: {', '.join(_SQL)}")
        known = [*names, *(former.name for field in self.fields for former in field.formerly)]
        if len(set(known)) != len(known) or self.name in self.formerly:
            raise ValueError(f"table {self.name}: a former name is in use; a new type needs a new column name")
        if any(field.formerly for field in self.fields if field.name == self.partition):
            raise ValueError(f"table {self.name}: the column that names folders of the lake cannot be renamed")

    @property
    def quoted(self) -> str:
        """The name as SQL spells it."""
        return identifier(self.name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Field names in order."""
        return tuple(field.name for field in self.fields)

    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema, with unit and doc in each field's metadata."""
        import pyarrow as pa  # heavy, and most who read a contract never want it

        arrow: dict[Dtype, pa.DataType] = {
            "text": pa.string(),
            "int64": pa.int64(),
            "int32": pa.int32(),
            "float64": pa.float64(),
            "bool": pa.bool_(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us", tz="UTC"),
            "timestamp_naive": pa.timestamp("us"),
            "integer_text": pa.string(),
        }
        return pa.schema(
            [
                pa.field(f.name, arrow[f.dtype], nullable=f.null, metadata={"unit": f.unit, "doc": f.doc})
                for f in self.fields
            ],
            metadata={"table": self.name, "grain": self.grain, "key": ",".join(self.key)},
        )

    def polars_schema(self) -> pl.Schema:
        """The polars schema (dtypes only)."""
        return pl.Schema({f.name: _POLARS[f.dtype] for f in self.fields})

    def empty(self) -> pl.DataFrame:
        """A frame with this table's columns and no rows."""
        return pl.DataFrame(schema=self.polars_schema())

    def ddl(self) -> list[str]:
        """Idempotent PostgreSQL 15+ statements: table, unique key `idx_<table>_unique`, indexes, comments.

        An enforced table has its key as primary key instead. A monthly one gets its default partition; the months are
        opened by the warehouse as they come.
        """
        lines = (
            [f"{identifier(self.identity)} BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"]
            if self.identity
            else []
        )
        lines += [self.column_ddl(name) for name in self.columns]
        lines += self._constraints() if self.enforced else []
        body = ",\n  ".join(lines)
        partitioned = f" PARTITION BY RANGE ({identifier(self.monthly)})" if self.monthly else ""
        statements = [f"CREATE TABLE IF NOT EXISTS {self.quoted} (\n  {body}\n){partitioned}"]
        if self.monthly:
            default = identifier(f"{self.name}_default")
            statements.append(f"CREATE TABLE IF NOT EXISTS {default} PARTITION OF {self.quoted} DEFAULT")
        if self.key and not self.enforced:
            unique = identifier(f"idx_{self.name}_unique")
            statements.append(f"CREATE UNIQUE INDEX IF NOT EXISTS {unique} ON {self.quoted} ({identifiers(self.key)})")
        for index in self.indexes:
            name = "_".join(["idx", self.name, *(self._sorted_by(one)[0] for one in index)])
            statements.append(self._index(name, index))
        for name, listed in self.named_indexes:
            statements.append(self._index(name, [listed] if listed in self.columns else listed.split(", ")))
        statements.append(f"COMMENT ON TABLE {self.quoted} IS {literal(self.doc)}")
        for f in self.fields:
            text = f"{f.doc} [{f.unit}]" if f.unit else f.doc
            statements.append(f"COMMENT ON COLUMN {self.quoted}.{identifier(f.name)} IS {literal(text)}")
        return statements

    def column_ddl(self, name: str) -> str:
        """One column's definition, as in CREATE TABLE."""
        (field,) = (one for one in self.fields if one.name == name)
        return f"{identifier(name)} {field.sql or _SQL[field.dtype]}{'' if field.null else ' NOT NULL'}"

    def _index(self, name: str, sorted_by: Sequence[str]) -> str:
        columns = ", ".join(f"{identifier(name)}{order}" for name, order in map(self._sorted_by, sorted_by))
        return f"CREATE INDEX IF NOT EXISTS {identifier(name)} ON {self.quoted} ({columns})"

    def _sorted_by(self, text: str) -> tuple[str, str]:
        """Column and order of `column` or `column DESC`; a column's own name may hold spaces."""
        column, space, order = text.rpartition(" ")
        return (text, "") if text in self.columns or not column else (column, space + order)

    def _constraints(self) -> list[str]:
        """The primary key and one named CHECK per field that has bounds or a closed set."""
        found = [f"PRIMARY KEY ({identifiers(self.key)})"] if self.key else []
        for f in self.fields:
            terms = [f"{identifier(f.name)} >= {f.minimum!r}"] if f.minimum is not None else []
            terms += [f"{identifier(f.name)} <= {f.maximum!r}"] if f.maximum is not None else []
            terms += [f"{identifier(f.name)} IN ({', '.join(map(literal, f.allowed))})"] if f.allowed else []
            if terms:
                name = identifier(f"{self.name}_{f.name}_check")
                found.append(f"CONSTRAINT {name} CHECK ({' AND '.join(terms)})")
        return found

    def violations(self, frame: pl.DataFrame) -> list[Violation]:
        """Every contract check that `frame` breaks: columns, dtypes, nulls, bounds, closed sets, unique key."""
        if dict(frame.schema) != dict(self.polars_schema()):
            wanted, found = dict(self.polars_schema()), dict(frame.schema)
            differing = sorted({*wanted, *found} - {n for n in wanted if found.get(n) == wanted[n]})
            return [Violation(f"{self.name}.schema", frame.height, ", ".join(differing) or "column order")]
        broken: dict[str, pl.Expr] = {}
        for f in self.fields:
            column = pl.col(f.name)
            if not f.null:
                broken[f"{f.name}.not_null"] = column.is_null()
            if f.dtype == "float64":
                broken[f"{f.name}.finite"] = column.is_infinite() | column.is_nan()
            if f.minimum is not None:
                broken[f"{f.name}.minimum"] = column < f.minimum
            if f.maximum is not None:
                broken[f"{f.name}.maximum"] = column > f.maximum
            if f.allowed:
                broken[f"{f.name}.allowed"] = ~column.is_in(f.allowed)
            if f.dtype == "integer_text":
                broken[f"{f.name}.integer"] = ~column.str.contains(r"^-?[0-9]+$")
        if self.key:
            broken["unique"] = pl.struct(self.key).is_duplicated()
        # All counted by one query: one for each check costs more than most tables' own rows do.
        counts = frame.select(rule.fill_null(False).sum().alias(check) for check, rule in broken.items())
        breaking = {check: int(counts[check][0]) for check in broken if counts[check][0]}
        return [
            Violation(f"{self.name}.{check}", rows, self._name_row(frame.filter(broken[check].fill_null(False))))
            for check, rows in breaking.items()
        ]

    def require(self, frame: pl.DataFrame) -> None:
        """Refuse a frame that breaks the contract. Raises Stop naming the first broken check and a row."""
        if broken := self.violations(frame):
            first = broken[0]
            raise Stop(
                f"{self.name}: {counted(first.rows, 'row breaks', 'rows break')} {first.check} "
                f"({first.example}); nothing was written"
            )

    def _name_row(self, frame: pl.DataFrame) -> str:
        row = frame.row(0, named=True)
        return " ".join(f"{name}={row[name]}" for name in self.key or self.columns[:3])

    def markdown(self) -> str:
        """The table's page of the data dictionary."""
        lines = [
            f"## {self.name}",
            "",
            self.doc,
            "",
            f"One row: {self.grain}. Key: {', '.join(self.key) or 'none'}.",
            "",
        ]
        if self.methodology:
            lines += [self.methodology, ""]
        lines += ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
        for f in self.fields:
            sql = f.sql or _SQL[f.dtype]
            lines.append(f"| `{f.name}` | {sql} | {f.unit} | {'yes' if f.null else 'no'} | {f.doc} |")
        for one in self.merged:
            listed = ", ".join(f"`{f.name}` ({f.doc})" for f, _ in one.columns)
            lines += ["", f"The view `{one.name}` answers as that table of earlier versions did ({one.doc}): {listed}."]
        return "\n".join(lines) + "\n"


def sql_type(dtype: Dtype) -> str:
    """The PostgreSQL type of a dtype."""
    return _SQL[dtype]
