"""SQL over the lake's tables, asked of DuckDB in this process: one statement that reads, in an engine that can do nothing else.

Every question gets an engine of its own, in memory, which sees the files of the current tables and no other file, address
or variable, and whose settings are locked. What does not belong here: PostgreSQL (publish) and which tables there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import orjson
import polars as pl
import pyarrow as pa

from cryptolake.contracts.quoting import distinct, identifier, literal
from cryptolake.contracts.table import Table, sql_type
from cryptolake.errors import BadInput, Retry
from cryptolake.lake.stored import Stored

_FILE = "cryptolake file"  # a column that no table has
_READS_ONLY = "queries read the lake's tables and nothing else"
# The parts of a parsed statement that only read, and the table functions that neither reach a file nor run a statement. The
# rest is refused, whatever it is: the engine may learn new ones.
_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_FUNCTIONS = {
    *("generate_series", "json_each", "json_tree", "range", "unnest"),
    *("duckdb_columns", "duckdb_functions", "duckdb_tables", "duckdb_types", "duckdb_views"),
}

_OF_THE_MACHINE = {"current_setting", "getenv", "getvariable", "pg_conf_load_time", "version"}  # no table says it


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one statement may take: seconds, memory of the engine and of the answer in bytes, threads."""

    seconds: float = 300.0
    memory_b: int = 2 * 1024**3
    answer_b: int = 2 * 1024**3
    threads: int = min(4, os.cpu_count() or 1)


def query(
    statement: str,
    tables: Iterable[Stored],
    *,
    absent: Mapping[str, str] | None = None,
    look: Callable[[Table], None] = lambda _table: None,
    bounds: Bounds | None = None,
) -> pl.DataFrame:
    """The answer to one statement that reads; each table is a view under its name and its former names.

    Repeated column names get a number, whole numbers of any size come as 64-bit integers where they fit, else as floats, as
    do decimals; instants are UTC. `absent` says of tables that are not here why, and what to do. `look` is shown every table
    that is read, before it is, and may raise. Raises BadInput with the remedy for anything else than one reading statement
    and for what the engine refuses, Retry when a table's files were replaced meanwhile.
    """
    bounds, absent = bounds or Bounds(), absent or {}
    named = {name: one for one in tables for name in (one.table.name, *one.table.formerly)}
    with _engine(named.values(), bounds) as engine:
        try:
            _require_reading(engine, statement)
            wanted = engine.get_table_names(statement)
            if why := [absent[name] for name in sorted(wanted) if name in absent]:
                raise BadInput(why[0])
            # A statement that names only tables needs no other; one about the schema, or that hides names, needs them all.
            shown = {name: named[name] for name in wanted} if wanted and wanted <= named.keys() else named
            for table in dict.fromkeys(one.table for one in shown.values()):
                look(table)
            for name, one in shown.items():
                engine.execute(f"CREATE VIEW {identifier(name)} AS {_select(one)}")
            return _answer(engine.sql(statement), bounds)
        except duckdb.Error as error:
            raise _said(error, named, bounds) from None


def _engine(tables: Iterable[Stored], bounds: Bounds) -> duckdb.DuckDBPyConnection:
    """An empty engine that reads the folders of these tables; no statement can give it more."""
    engine = duckdb.connect(":memory:")
    settings: dict[str, object] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,  # variables of the calling program are no tables
        "temp_directory": "",
        "memory_limit": f"{bounds.memory_b}B",
        "threads": bounds.threads,
        "max_execution_time": round(bounds.seconds * 1000),
        "TimeZone": "UTC",
        "allowed_directories": sorted({f"{one.folder}/" for one in tables}),
        "enable_external_access": False,
        "lock_configuration": True,
    }
    for name, value in settings.items():
        engine.execute(f"SET {name} = {_constant(value)}")
    return engine


def _constant(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_constant, value))}]"
    return literal(value) if isinstance(value, str) else str(value)


def _require_reading(engine: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Raises BadInput unless it is one SELECT, VALUES, DESCRIBE, SHOW or the like, and reads in all of its parts.

    The kind of the statement is not enough: a WITH clause may hold COPY or INSERT, and functions run statements.
    """
    if "\0" in statement:
        raise BadInput("the statement holds a NUL character; leave it out")
    try:
        statement.encode()
    except UnicodeEncodeError:
        raise BadInput("the statement is no UTF-8 text; write it in UTF-8") from None
    found = engine.extract_statements(statement)
    if len(found) != 1:
        raise BadInput("give one statement at a time" if found else "the statement is empty; write a SELECT")
    try:
        kind = found[0].type
    except ValueError:  # one that the Python module has no name for
        raise BadInput(f"{_READS_ONLY}; write a SELECT") from None
    if kind == duckdb.StatementType.MULTI:
        raise BadInput("a PIVOT needs its values: PIVOT ... ON column IN (...)")
    if kind != duckdb.StatementType.SELECT:
        raise BadInput(f"{_READS_ONLY}, so {kind.name} is refused; write a SELECT")
    ((text,),) = engine.execute("SELECT json_serialize_sql($1::VARCHAR)", [statement]).fetchall()
    parsed = orjson.loads(text)
    if parsed.get("error") is not False:
        raise BadInput(f"{_READS_ONLY}; write a SELECT")
    for part in _parts(parsed["statements"]):
        kind_of_part = str(part.get("type", ""))
        if kind_of_part.endswith("_NODE") and kind_of_part not in _NODES:
            raise BadInput(
                f"{_READS_ONLY}, so {kind_of_part.partition('_')[0]} in a part of one is refused; leave it out"
            )
        if kind_of_part == "TABLE_FUNCTION":
            name = str(part["function"]["function_name"])
            if name not in _FUNCTIONS:
                raise BadInput(f"{_READS_ONLY}, so {name}() is refused; known: {', '.join(sorted(_FUNCTIONS))}")
        if str(part.get("class", "")) == "FUNCTION" and (name := str(part.get("function_name"))) in _OF_THE_MACHINE:
            raise BadInput(f"{_READS_ONLY}, so {name}() is refused; leave it out")


def _parts(tree: object) -> Iterator[dict[str, Any]]:
    """Every object of a parsed statement, at whatever depth."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _select(one: Stored) -> str:
    """The table's rows with the contract's columns, whatever they are called in the files."""
    table, names = one.table, one.names(one.table.columns)
    kinds = {field.name: sql_type(field.dtype) for field in table.fields}
    files = one.paths()
    if not files:
        return f"SELECT {', '.join(f'NULL::{kinds[name]} AS {identifier(name)}' for name in names)} WHERE false"
    columns = []
    for name, there in names.items():
        value = "NULL" if there is None else identifier(there)
        if name == table.partition:
            # Delta leaves it out of the files. The last folder names it; one above with `=` in its name must not.
            pattern = literal(f".*/{name}=([^/]*)/")
            value = f"url_decode(regexp_extract({identifier(_FILE)}, {pattern}, 1))"
        columns.append(f"CAST({value} AS {kinds[name]}) AS {identifier(name)}")
    listed = f"[{', '.join(map(literal, files))}]"
    source = f"read_parquet({listed}, hive_partitioning = false, filename = {literal(_FILE)})"
    return f"SELECT {', '.join(columns)} FROM {source}"


def _answer(relation: duckdb.DuckDBPyRelation, bounds: Bounds) -> pl.DataFrame:
    """The rows, given up when they take more memory than allowed."""
    batches, held = [], 0
    reader = relation.to_arrow_reader(100_000)
    try:
        for batch in reader:
            held += batch.nbytes
            if held > bounds.answer_b:
                raise BadInput(f"the answer takes more than {_size(bounds.answer_b)}; ask for fewer rows or columns")
            batches.append(batch)
    except OSError as error:  # how Arrow passes on what the engine says while rows are fetched
        raise duckdb.Error(str(error)) from None
    answered = pa.Table.from_batches(batches, schema=reader.schema).rename_columns(distinct(reader.schema.names))
    columns = []
    for name in answered.column_names:
        try:
            columns.append(pl.Series(name, pl.from_arrow(answered.column(name))))
        except pl.exceptions.PolarsError:
            kind = answered.schema.field(name).type
            raise BadInput(f"column {name} is of type {kind}, which no frame has; cast it, e.g. {name}::text") from None
    return pl.DataFrame([_number(one) if one.dtype.is_decimal() else one for one in columns])


def _number(column: pl.Series) -> pl.Series:
    """A decimal column as 64-bit integers where it has no decimals and all of them fit, else as floats."""
    if isinstance(column.dtype, pl.Decimal) and column.dtype.scale == 0:
        whole = column.cast(pl.Int64, strict=False)
        if whole.null_count() == column.null_count():
            return whole
    return column.cast(pl.Float64)


def _said(error: duckdb.Error, named: Mapping[str, Stored], bounds: Bounds) -> BadInput | Retry:
    """What the engine said, in one line with the remedy."""
    line = " ".join(str(error).split("\n\nLINE ")[0].split())
    if "maximum execution time" in line:
        return BadInput(f"the query ran longer than {bounds.seconds:g} s; ask for less")
    if isinstance(error, duckdb.OutOfMemoryException) or line.startswith("Out of Memory"):
        return BadInput(f"the query needs more than {_size(bounds.memory_b)} of memory; ask for less")
    if isinstance(error, duckdb.PermissionException) or "configuration has been locked" in line:
        return BadInput(f"{_READS_ONLY} ({line}); leave that out")
    if isinstance(error, duckdb.IOException):
        return Retry(f"a table was written anew while it was read ({line}); ask again")
    if isinstance(error, duckdb.CatalogException):
        return BadInput(f"SQL: {line}; the tables here are: {', '.join(sorted(named)) or 'none yet'}")
    return BadInput(f"SQL: {line}; correct the statement")


def _size(size_b: int) -> str:
    return f"{size_b / 1024**3:g} GiB"
