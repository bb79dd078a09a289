"""Turns the findings of a live check into corrected rows: a YAML file that is itself a valid registry file.

What does not belong here: asking a chain (work/market_check). Nothing is ever written into the package's own rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import yaml

from cryptolake.registry.anchors import Finding
from cryptolake.registry.rows import LINE, Row

_HEAD = """\
# Proposed by `cryptolake markets check --live`: each row replaces the registry's row of the same name.
# Read it, then use it with --registry FILE, or copy the rows into your own registry file.
"""


def corrected(
    row: Row, findings: Iterable[Finding], *, settled: bool, block: int, today: date
) -> dict[str, object] | None:
    """The row with every correction applied, or None when it says what the chain says.

    `settled` (every contract answered as expected) makes a row that rested on one source or none `verified`, with the
    check as its further source.
    """
    new = {key: _plain(value) for key, value in row.values.items() if key != LINE}
    checked = f"checked on chain at block {block} on {today}"
    changed = False
    for one in findings:
        if one.correction is None:
            continue
        section, _, key = one.field.partition(".")
        part = new.get(section)
        inner: dict[str, object] = dict(part) if isinstance(part, dict) else {}
        if section == "deployment":
            inner[key] = int(one.correction) if key == "block" else one.correction
            inner["block_source" if key == "block" else "date_kind"] = f"first block with code, {checked}"
            if key == "block":  # what was a bound, or open, is settled
                inner.pop("block_kind", None)
                inner.pop("open", None)
        else:
            inner[key] = one.correction
        new[section] = inner
        changed = True
    if settled and new.get("status") != "verified":
        sources = new.get("sources")
        new["sources"] = [*(sources if isinstance(sources, list) else ()), f"{checked}: code and getters as expected"]
        new["status"] = "verified"
        changed = True
    return new if changed else None


def render(rows: Iterable[Mapping[str, object]]) -> str:
    """The rows as a registry file."""
    return _HEAD + yaml.safe_dump({"csus": [dict(row) for row in rows]}, sort_keys=False, allow_unicode=True, width=120)


def _plain(value: object) -> object:
    """A value read from YAML without the line numbers put into it."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key != LINE}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
