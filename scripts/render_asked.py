"""Renders docs/asked.md from docs/asked.yaml: what the documents ask beside what is here. `render_docs` calls it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
_HEAD = """# What was asked, and where it is

Rendered from `docs/asked.yaml` by `scripts/render_docs.py`; a test checks every command, table, setting, file, test and
figure in it. Five documents describe what this project is for. Each of their requirements is a row: what it asks in our
words, what answers it here, the test that would notice its loss, what was measured ([how](../benchmarks/README.md)), and
where we differ and why. An empty last column means: as asked. "Not built" means just that.
"""


def documents() -> list[dict[str, Any]]:
    """The table as it is written."""
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "asked.yaml").read_text(encoding="utf-8"))
    return found


def rows() -> list[dict[str, Any]]:
    """Every row of every document."""
    return [row for one in documents() for section in one["sections"] for row in section["rows"]]


def asked_page() -> str:
    """The page."""
    lines = [_HEAD]
    for one in documents():
        lines += [f"## {one['document']}", ""]
        for section in one["sections"]:
            lines += [f"### {section['section']}", "", "| asked | here | tested by | measured | differs, and why |"]
            lines += ["|---|---|---|---|---|", *map(_line, section["rows"]), ""]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    here = [row["ours"]] if "ours" in row else []
    here += [f"[`cryptolake {one}`](commands.md#{_anchor(one)})" for one in row.get("commands", ())]
    here += [_table(one) for one in row.get("tables", ())]
    here += [f"setting [`{one}`](settings.md)" for one in row.get("settings", ())]
    here += [_file(one) for one in row.get("files", ())]
    here += [f"`data/{one}`" for one in row.get("data", ())]
    tests = [f"`{one.split('::')[1]}`" for one in row.get("tests", ())]
    measured = row.get("measured", "")
    cells = (row["asks"], ", ".join(here) or "–", ", ".join(tests) or "–", measured or "–", row.get("differs", ""))
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _anchor(command: str) -> str:
    words = [word for word in command.split() if not word.startswith("--")]
    return "-".join(words)


def _table(name: str) -> str:
    table, _, column = name.partition(".")
    return f"column `{column}`" if column else f"table [`{table}`](tables.md#{table})"


def _file(path: str) -> str:
    inside = re.fullmatch(r"docs/(.*\.md)", path)
    return f"[{inside[1]}]({inside[1]})" if inside else f"[`{path}`](../{path})"
