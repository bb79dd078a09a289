"""What this installation is: its version, the commit it was made from, a digest of the code that makes figures.

What does not belong here: anything else.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

__version__ = version("cryptolake")

_PACKAGE = Path(__file__).parent
# These show, alert and hand out work; no figure comes from them.
_SHOWING = frozenset({"alerts", "cli", "cluster", "definitions.py", "demo", "watch", "__pycache__"})
_ROWS = ("registry", "data")  # they have a version of their own (`registry.version`)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def commit() -> str | None:
    """The commit of the checkout this code lies in, else the one that its version names; None where neither is known."""
    checkout = _PACKAGE.parents[1] / ".git"
    found = _head(checkout) if checkout.exists() else None
    if found is not None:
        return found
    named = re.search(r"\+g([0-9a-f]{7,40})", __version__)
    return named[1] if named else None


def _head(checkout: Path) -> str | None:
    """The commit that a checkout stands on, read from its files: git itself need not be installed."""
    try:
        if checkout.is_file():  # a work tree beside the repository names the folder it belongs to
            checkout = (checkout.parent / checkout.read_text().removeprefix("gitdir:").strip()).resolve()
        shared = checkout / "commondir"
        home = (checkout / shared.read_text().strip()).resolve() if shared.exists() else checkout
        head = (checkout / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head if _COMMIT.fullmatch(head) else None
        name = head.removeprefix("ref: ")
        loose = home / name
        if loose.exists():
            return loose.read_text().strip()
        packed = (line.split(" ", 1) for line in (home / "packed-refs").read_text().splitlines() if " " in line)
        return next((digest for digest, one in packed if one == name), None)
    except OSError:
        return None


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 over the files of this package that figures come from: the same wherever the same code is installed."""
    found = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*"), key=lambda one: one.relative_to(_PACKAGE).as_posix()):
        parts = path.relative_to(_PACKAGE).parts
        if path.is_file() and not _SHOWING.intersection(parts) and parts[:2] != _ROWS:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{'/'.join(parts)} {content}\n".encode())
    return found.hexdigest()
