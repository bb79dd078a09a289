"""Folder names that tables cannot lie under. What does not belong here: making folders, and what lies in them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from cryptolake.errors import BadInput

_IMPOSSIBLE = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]\\]|[\x00-\x1f\x7f]")  # taken for something else by the table format


def check_folder(folder: Path) -> None:
    """Refuse a folder whose name the table format takes for another one. Raises BadInput with the characters."""
    found = sorted({one.group() for one in _IMPOSSIBLE.finditer(str(folder.absolute()))})
    if found:
        raise BadInput(
            f"tables cannot be kept under {str(folder.absolute())!r}: {_listed(found)} in a folder's name would lead to "
            "another folder; rename it, or set --data to another one"
        )


def _listed(texts: Collection[str]) -> str:
    return " and ".join(repr(one) if len(one) == 1 else f"'{one}'" for one in texts)
