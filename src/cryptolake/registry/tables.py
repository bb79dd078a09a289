"""Reads a CSV table, the package's own or a user's, with its line numbers; every fault is gathered, none is guessed away."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.files.text import read_text


@dataclass(frozen=True, slots=True)
class Line:
    """One row: where it stands (`file, line 7`) and its cells by column, stripped."""

    where: str
    cells: Mapping[str, str]


def read_table(path: Path | None, shipped: str, required: Sequence[str], faults: list[str]) -> list[Line]:
    """The rows of the user's file at `path`, or of the package's `shipped` one. Faults of the table itself are appended.

    Raises BadInput when the file cannot be read at all.
    """
    name = shipped if path is None else str(path)
    if path is None:
        text = (files("cryptolake.registry") / "data" / shipped).read_text("utf-8")
    else:
        text = read_text(path, remedy="correct the path in the settings")
    return lines_of(name, text, required, faults)


def lines_of(name: str, text: str, required: Sequence[str], faults: list[str]) -> list[Line]:
    """The rows of a table's text; `name` is how its file is called in faults. Blank lines are none."""
    reader = csv.reader(text.splitlines())
    try:
        head = [cell.strip() for cell in next(reader, [])]
        if missing := [column for column in required if column not in head]:
            faults.append(
                f"{name}, line 1: column {', '.join(missing)} is missing; the head must have {','.join(required)}"
            )
            return []
        if twice := sorted({column for column in head if head.count(column) > 1}):
            faults.append(f"{name}, line 1: column {', '.join(twice)} stands there twice; leave one")
        lines = []
        for row in reader:
            where = f"{name}, line {reader.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(head):
                faults.append(
                    f"{where}: {counted(len(row), 'cell')} where the head has {len(head)}; quote cells that hold commas"
                )
                continue
            lines.append(Line(where, {column: cell.strip() for column, cell in zip(head, row, strict=True)}))
    except csv.Error as error:
        faults.append(f"{name}, line {reader.line_num}: {error}; correct the quotes")
        return []
    return lines


def report(what: str, faults: Sequence[str]) -> None:
    """Raise BadInput with every fault, if there is one."""
    if faults:
        raise BadInput(f"{what}, {len(faults)} fault{'s' * (len(faults) > 1)}: " + "; ".join(faults))
