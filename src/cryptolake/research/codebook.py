"""The codebook of an exported file, machine readable and as a page; rendered from the contract and the steps taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.gold.daily_panel import STATUS_CODES

_TYPES = {pl.String: "string", pl.Date: "date", pl.Boolean: "boolean", pl.Float64: "number"}


def codebook(
    table: Table,
    frame: pl.DataFrame,
    *,
    path: str,
    facts: Mapping[str, object],
    steps: Sequence[str] = (),
    derived: Mapping[str, str] | None = None,
    meaning: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """A Frictionless-style resource: fields with meaning, unit and missing values, key, steps, and `facts` of the dataset.

    `meaning` gives the `<value>__<market>` of each column of a wide frame.
    """
    known = {field.name: field for field in table.fields}
    fields = []
    for name, dtype in frame.schema.items():
        base, _, unit_name = (meaning or {}).get(name, name).partition("__")
        field = known.get(base)
        said = field.doc if field else (derived or {}).get(base, "")
        one: dict[str, object] = {
            "name": name,
            "type": _TYPES.get(type(dtype), "datetime" if isinstance(dtype, pl.Datetime) else "integer"),
            "description": f"{base} of {unit_name}: {said}" if unit_name else said,
            "unit": field.unit if field else "",
            "missing": frame[name].null_count(),
        }
        if field and field.allowed:
            one["constraints"] = {"enum": list(field.allowed)}
        fields.append(one)
    return {
        "profile": "tabular-data-resource",
        "name": table.name,
        "path": path,
        "rows": frame.height,
        "schema": {"fields": fields, "primaryKey": [key for key in table.key if key in frame.columns] or ["date"]},
        "methodology": table.methodology,
        "status_codes": STATUS_CODES,
        "transformations": list(steps),
        **facts,
    }


def page(document: Mapping[str, object]) -> str:
    """The codebook for people, in Markdown."""
    schema = document["schema"]
    fields = schema["fields"] if isinstance(schema, dict) else []
    lines = [f"# Codebook of {document['path']}", "", str(document["methodology"]), ""]
    lines += [
        f"- {name}: {document[name]}"
        for name in ("dataset_version", "code_version", "registry_version")
        if name in document
    ]
    lines += [f"- rows: {document['rows']}", ""]
    transformations = document["transformations"]
    if isinstance(transformations, list) and transformations:
        lines += [
            "## What was done to it",
            "",
            *(f"{n}. {step}" for n, step in enumerate(transformations, start=1)),
            "",
        ]
    lines += ["## Columns", "", "| column | type | unit | missing | meaning |", "|---|---|---|---|---|"]
    lines += [f"| `{f['name']}` | {f['type']} | {f['unit']} | {f['missing']} | {f['description']} |" for f in fields]
    codes = document["status_codes"]
    if isinstance(codes, dict):
        lines += ["", "## Status codes", "", "| code | meaning |", "|---|---|"]
        lines += [f"| `{code}` | {meaning} |" for code, meaning in codes.items()]
    return "\n".join(lines) + "\n"
