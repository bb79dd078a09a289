"""The whole registry as a file that `--registry` takes: every row as it was written, the user's in place of the package's.

What does not belong here: reading a file (loader). Endpoints are left out: they change no number,
and an address may hold a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path

from cryptolake.registry.loader import registry_rows
from cryptolake.registry.rows import LINE, Row

_PRIVATE = frozenset({LINE, "public_rpcs"})


def registry_document(extra: Path | None) -> dict[str, object]:
    """The rows of the package and of a user's file, which take the package's place, as one JSON document."""
    rows = registry_rows(extra)
    sections = {"chains": rows.chains, "csus": rows.csus, "exclusions": rows.exclusions}
    sections |= {"terms": rows.terms, "events": rows.events}
    sets = {str(row.values["name"]): _plain(row.values["markets"]) for row in rows.sets}
    return {
        "schema_version": 1,
        **{name: _plain_rows(found) for name, found in sections.items()},
        "sets": sets,
        "dataset": _plain(rows.dataset[-1].values),
    }


def _plain_rows(rows: Iterable[Row]) -> list[object]:
    """Each row once: such a file taken as a registry, rows without a name stand beside the package's own."""
    found: list[object] = []
    for row in rows:
        if (plain := _plain(row.values)) not in found:
            found.append(plain)
    return found


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items() if key not in _PRIVATE}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | datetime) else value
