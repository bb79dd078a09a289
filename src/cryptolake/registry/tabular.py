"""Reads a user's table as lines, whatever it is kept in: CSV with a head, JSON or Parquet, under the user's own column names.

Which it is is told by the content, not by the name. JSON is a list of objects, or one object a line. What does not belong
here: what the columns mean.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time

import orjson

from cryptolake.registry.tables import Line, lines_of

_PARQUET = b"PAR1"


def table_lines(
    name: str, content: bytes, required: Sequence[str], faults: list[str], *, columns: Mapping[str, str] | None = None
) -> list[Line]:
    """The rows of a table with their places (`file, line 7` or `file, row 7`); cells are text, empty where there is none.

    `columns` says how a column is called in the file (ours: theirs); the others bear our names. Faults are appended.
    """
    theirs = dict(columns or {})
    needed = [theirs.get(name, name) for name in (*required, *theirs)]
    wanted = list(dict.fromkeys(needed))
    if content.startswith(_PARQUET):
        lines = _parquet(name, content, wanted, faults)
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            faults.append(f"{name} is neither Parquet nor UTF-8 text; save it as Parquet, or as CSV or JSON in UTF-8")
            return []
        is_json = text.lstrip()[:1] in ("[", "{")
        lines = _json(name, text, wanted, faults) if is_json else lines_of(name, text, wanted, faults)
    return [Line(one.where, _renamed(one.cells, theirs)) for one in lines]


def _renamed(cells: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """The cells by our names: a column that the user names stands for ours, whatever else is called so."""
    return {**cells, **{ours: cells[name] for ours, name in theirs.items()}}


def _parquet(name: str, content: bytes, required: Sequence[str], faults: list[str]) -> list[Line]:
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        faults.append(f"{name} is no whole Parquet file ({error}); write it again")
        return []
    if missing := [one for one in required if one not in frame.columns]:
        faults.append(f"{name}: column {', '.join(missing)} is missing; it has {', '.join(frame.columns)}")
        return []
    return _lines(((f"{name}, row {number}", row) for number, row in enumerate(frame.iter_rows(named=True), 1)), faults)


def _json(name: str, text: str, required: Sequence[str], faults: list[str]) -> list[Line]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        document, said = None, str(error)
        rows = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                rows.append((f"{name}, line {number}", orjson.loads(line)))
            except orjson.JSONDecodeError:
                faults.append(f"{name} is no JSON ({said}), nor is its line {number} alone; correct it there")
                return []
    else:
        listed = document if isinstance(document, list) else [document]
        rows = [(f"{name}, row {number}", row) for number, row in enumerate(listed, 1)]
    found = []
    for where, row in rows:
        if not isinstance(row, dict):
            faults.append(f"{where}: no object; each row has its columns by name")
        elif missing := [one for one in required if one not in row]:
            faults.append(f"{where}: column {', '.join(missing)} is missing")
        else:
            found.append((where, row))
    return _lines(found, faults)


def _lines(rows: Iterable[tuple[str, Mapping[str, object]]], faults: list[str]) -> list[Line]:
    found = []
    for where, row in rows:
        try:
            found.append(Line(where, {column: _text(value) for column, value in row.items()}))
        except TypeError as error:
            faults.append(f"{where}: {error}")
    return found


def _text(value: object) -> str:
    """A value as it would stand in a CSV. Raises TypeError for what is no single value."""
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case datetime():
            whole_day = value.tzinfo is None and value.time() == time.min
            return value.date().isoformat() if whole_day else value.isoformat()
        case date():
            return value.isoformat()
        case bool() | list() | dict() | bytes():
            raise TypeError(f"{value!r} is no number, text or day")
        case _:
            return str(value)
