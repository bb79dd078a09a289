"""Rewrites the committed snapshot of what this version promises and finds: `snapshot/<what>.json`. `make snapshot` runs it.

It writes the index of commands too, which belongs to the package: by it a listing knows the commands without importing them.

A change of a file here is a change that users see: it is reviewed with the commit that makes it. Nothing counts what is
in them; tests compare them with the code of today.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptolake.catalogue import contracts
from cryptolake.cli.found import INDEX, promises, render_index
from cryptolake.contracts.versions import document

FOLDER = Path(__file__).resolve().parents[1] / "snapshot"

# File under snapshot/ -> what it holds today.
FILES: dict[str, Callable[[], bytes]] = {"contracts.json": lambda: document(contracts()), "commands.json": promises}

if __name__ == "__main__":
    INDEX.write_bytes(render_index())
    FOLDER.mkdir(exist_ok=True)
    for name, render in FILES.items():
        (FOLDER / name).write_bytes(render())
