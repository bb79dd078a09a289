"""Rewrites the committed snapshot of what this version promises and finds: `snapshot/<what>.json`. `make snapshot` runs it.

A change of a file here is a change that users see: it is reviewed with the commit that makes it. Nothing counts what is
in them; tests compare them with the code of today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from cryptolake.app import App
from cryptolake.catalogue import contracts, found_tables
from cryptolake.contracts.versions import document
from cryptolake.registry.loader import load_registry
from cryptolake.settings import Settings
from cryptolake.sources.found import Found, find_sources
from cryptolake.sources.onchain.families import declared

FOLDER = Path(__file__).resolve().parents[1] / "snapshot"


def _sources() -> dict[str, object]:
    """The vendors with their datasets, what these feed and which key they need, and who tells prices."""
    app = App(Settings())
    try:
        vendors = app.vendors()
    finally:
        app.close()
    found: Found = find_sources()
    keys = {one.vendor.name: list(one.keys) for one in found.files if one.vendor is not None}
    listed: dict[str, object] = {
        name: {
            "keys": keys.get(name, []),
            "datasets": {one.name: {"feeds": one.feeds, "needs": one.needs} for one in source.datasets},
        }
        for name, source in vendors.items()
    }
    return {"sources": listed, "prices": list(found.price_sources)}


def _tables() -> dict[str, object]:
    return {
        name: {"file": one.module, "inputs": one.inputs, "own_of": one.own_of} for name, one in found_tables().items()
    }


def _families() -> dict[str, object]:
    return {name: {"readable": one.readable, "entry": one.primary_entry} for name, one in declared().items()}


# What is found by presence -> what is there. What comes to be found this way is added here.
FOUND: Mapping[str, Callable[[], object]] = {
    "vendors": _sources,
    "families": _families,
    "tables": _tables,
    "sets": lambda: sorted(load_registry(declared()).sets),
}


def found_document() -> bytes:
    """Everything that is found by presence, as JSON."""
    content = {what: render() for what, render in FOUND.items()}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


# File under snapshot/ -> what it holds today.
FILES: dict[str, Callable[[], bytes]] = {
    "contracts.json": lambda: document(contracts()),
    "found.json": found_document,
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, render in FILES.items():
        (FOLDER / name).write_bytes(render())
