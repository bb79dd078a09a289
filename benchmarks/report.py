"""Writes a benchmark's table into README.md between its markers, with machine and date. Measures nothing itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

README = Path(__file__).with_name("README.md")


def machine() -> str:
    """Cores, system and Python of this machine; nothing that names it."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def write_table(name: str, method: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print the table and replace the section `name` of the README."""
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {method}", ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    text = README.read_text()
    head, _, rest = text.partition(start)
    _, _, tail = rest.partition(end)
    README.write_text(head + start + "\n".join(lines) + "\n" + end + tail)
    print("\n".join(lines))
