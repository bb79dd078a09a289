"""The data dictionary of a release: every column of every table in it, rendered from the contracts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cryptolake.contracts.table import Field, Table


def dictionary(version: str, tables: Mapping[str, Table]) -> str:
    """`dictionary.md`; `tables` are the contracts by the names of their files. The same contracts give the same text."""
    parts = [f"# Data dictionary of release {version}", "Rendered from the contracts of the tables."]
    for file, table in tables.items():
        lines = ["| column | type | unit | may be null | meaning |", "|---|---|---|---|---|"]
        lines += [_line(one) for one in table.fields]
        key = ", ".join(f"`{name}`" for name in table.key)
        parts += [f"## {file}", f"{table.doc} One row: {table.grain}; key: {key}.", table.methodology, "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _line(field: Field) -> str:
    allowed = f" One of: {', '.join(field.allowed)}." if field.allowed else ""
    bounds = [
        f"{word} {value:g}"
        for word, value in (("at least", field.minimum), ("at most", field.maximum))
        if value is not None
    ]
    said = f"{field.doc}{'; ' if bounds else ''}{', '.join(bounds)}.{allowed}".replace("|", "\\|")
    return f"| `{field.name}` | {field.dtype} | {field.unit} | {'yes' if field.null else 'no'} | {said} |"
