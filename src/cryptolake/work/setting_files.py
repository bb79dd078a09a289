"""Puts settings into `cryptolake.toml` and keys into `.env`: what else is in them stays, and the old file is kept beside.

What does not belong here: what the settings mean (settings) and asking for them (cli).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import unified_diff
from pathlib import Path

from cryptolake.errors import BadInput
from cryptolake.files.atomic import write_bytes
from cryptolake.files.text import read_text

SECRET_MODE = 0o600
Value = str | int | date | Sequence[str] | None


def merged_toml(text: str, values: Mapping[str, Value]) -> str:
    """`text` with these settings changed in place or added; None takes a setting out. Comments and order stay.

    Raises BadInput when the text is no TOML, or is laid out so that a line cannot be changed.
    """
    before = _parsed(text)
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    top, tables = lines[:end], lines[end:]
    for name, value in values.items():
        if before.get(name) == (None if value is None else _parsed(f"x = {_written(value)}")["x"]):
            continue
        at = next((n for n, line in enumerate(top) if re.match(rf"\s*{name}\s*=", line)), None)
        new = [] if value is None else [f"{name} = {_written(value)}"]
        if at is not None:
            top[at : at + 1] = new
        else:
            top += new
    made = "\n".join([*top, *tables]) + "\n"
    wanted = {**before, **{name: _parsed(f"x = {_written(v)}")["x"] for name, v in values.items() if v is not None}}
    gone = {name for name, value in values.items() if value is None}
    wanted = {name: value for name, value in wanted.items() if name not in gone}
    try:
        same = tomllib.loads(made) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise BadInput("cryptolake.toml: a setting spans several lines; write it on one line, then run this again")
    return made


def merged_tables(text: str, group: str, tables: Mapping[str, Mapping[str, int]]) -> str:
    """`text` with these values in the tables `[group.name]`, changed in place or added. Comments and order stay.

    Raises BadInput when the text is no TOML, or is laid out so that a line cannot be changed.
    """
    before = _parsed(text)
    held = before.get(group, {})
    wanted = {**held} if isinstance(held, dict) else {}
    lines = text.splitlines()
    for name, values in tables.items():
        wanted[name] = {**wanted.get(name, {}), **values}
        header = rf"\s*\[\s*{group}\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]\s*(#.*)?"
        at = next((number for number, line in enumerate(lines) if re.fullmatch(header, line)), None)
        if at is None:
            lines += ["", f"[{group}.{_key(name)}]"]
            at = len(lines) - 1
        for setting, value in values.items():
            end = next((n for n in range(at + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
            line = next((n for n in range(at + 1, end) if re.match(rf"\s*{setting}\s*=", lines[n])), None)
            if line is None:
                lines.insert(at + 1, f"{setting} = {value}")
            elif _parsed(lines[line]) != {setting: value}:
                lines[line] = f"{setting} = {value}"
    made = "\n".join(lines).lstrip("\n") + "\n"
    try:
        same = tomllib.loads(made) == ({**before, group: wanted} if tables else before)
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise BadInput(
            f"cryptolake.toml: {group} is laid out in another way; write a table [{group}.NAME] each, then run this again"
        )
    return made


def _key(name: str) -> str:
    """A name as TOML has it among dots."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def merged_env(text: str, values: Mapping[str, str]) -> str:
    """`text`, the content of a `.env` file, with these variables changed in place or added."""
    lines = text.splitlines()
    for name, value in values.items():
        lines = [line for line in lines if not re.match(rf"\s*(export\s+)?{name}\s*=", line)]
        lines.append(f"{name}={value}")
    return "\n".join(lines) + "\n"


def difference(path: Path, new: str) -> list[str]:
    """The lines that change, as a diff shows them; for files without secrets only."""
    lines = unified_diff(content(path).splitlines(), new.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def content(path: Path) -> str:
    """The text of a file; empty where there is none. Raises BadInput when it cannot be read."""
    return read_text(path, remedy="repair or move it") if path.exists() else ""


def replace_file(path: Path, new: str, *, mode: int = 0o644) -> Path | None:
    """Write the file; what was there is kept beside it. The path of the copy, None where nothing had to be kept."""
    old, kept = content(path), None
    if old == new:
        return None
    if path.exists():
        kept = _free(path)
        write_bytes(kept, old.encode(), mode=mode)
    write_bytes(path.resolve(), new.encode(), mode=mode)
    return kept


def _free(path: Path) -> Path:
    """A name beside the file that nothing has."""
    number, found = 1, path.with_name(f"{path.name}.bak")
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.bak{number}")
    return found


def _written(value: Value) -> str:
    """A value as TOML has it."""
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value if isinstance(value, str | int) else list(value or ()), ensure_ascii=False)


def _parsed(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"cryptolake.toml: {error}; correct that line") from None
