"""Rewrites the committed snapshot of what this version promises and finds: `snapshot/<what>.json`. `make snapshot` runs it.

It writes the index of commands and the words of each too, which belong to the package: by them a listing knows the commands
and a shell the words without importing anything.

A change of a file here is a change that users see: it is reviewed with the commit that makes it. Nothing counts what is
in them; tests compare them with the code of today.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

import cryptolake
from cryptolake.app import App
from cryptolake.catalogue import contracts, found_tables
from cryptolake.cli._words import render_words
from cryptolake.cli.complete import FILE as COMPLETION
from cryptolake.cli.found import INDEX, promises, render_index
from cryptolake.contracts.versions import document
from cryptolake.registry.loader import load_registry
from cryptolake.settings import Settings
from cryptolake.sources.found import FoundSources, find_sources
from cryptolake.sources.onchain.families import declared

FOLDER = Path(__file__).resolve().parents[1] / "snapshot"


def api() -> bytes:
    """What programs may rely on: every exported name, with the signatures of its public members."""
    found: dict[str, object] = {}
    for name in sorted(cryptolake.__all__):
        value = getattr(cryptolake, name)
        if inspect.isclass(value):
            found[name] = {"is": [one.__name__ for one in value.__mro__[1:-1]], "members": _members(value)}
        else:
            found[name] = str(inspect.signature(value)) if callable(value) else type(value).__name__
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _members(kind: type) -> dict[str, str]:
    """The public members of a class that this project wrote, each with its signature or, for a field, its type."""
    found = {name: str(hint) for name, hint in inspect.get_annotations(kind).items() if not name.startswith("_")}
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            found[name] = str(inspect.signature(member.fget).return_annotation) if member.fget else ""
        elif inspect.isfunction(member):
            found[name] = str(inspect.signature(member))
    return found


def _sources() -> dict[str, object]:
    """The vendors with their datasets, what these feed and which key they need, and who tells prices."""
    app = App(Settings())
    try:
        vendors = app.vendors()
    finally:
        app.close()
    found: FoundSources = find_sources()
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
    "api.json": api,
    "contracts.json": lambda: document(contracts()),
    "commands.json": promises,
    "found.json": found_document,
}

if __name__ == "__main__":
    INDEX.write_bytes(render_index())
    COMPLETION.write_bytes(render_words())  # after the index, by which commands are listed
    FOLDER.mkdir(exist_ok=True)
    for name, render in FILES.items():
        (FOLDER / name).write_bytes(render())
