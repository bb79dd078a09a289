"""Moves a lake's files out of the way without losing any: `<data>/aside/<name>/`. Which answers stay is the caller's choice.

Every step is a rename inside one file system, and can be done again after a kill.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from cryptolake.errors import Stop
from cryptolake.files.atomic import refused

# Everything that can be made or asked again. The block cache (proven facts) and the schedule's journal stay.
_MOVED = ("bronze", "silver", "gold", "checkpoints", "scans", "unfinished.json")
_LEDGER = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm")


def move_aside(root: Path, name: str, keep: Collection[tuple[str, str]]) -> list[str]:
    """Move the lake's files to `aside/<name>`, except the bronze of the (source, dataset) pairs in `keep`.

    The ledger must be closed. Returns what was moved.
    """
    place = root / "aside" / name
    moved = []
    try:
        for one in (*_MOVED, *_LEDGER):
            if (root / one).exists() and not (place / one).exists():
                place.mkdir(parents=True, exist_ok=True)
                (root / one).rename(place / one)
                moved.append(one)
        for source, dataset in sorted(keep):
            kept = place / "bronze" / source / dataset
            if kept.exists():
                (root / "bronze" / source).mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    kept.rename(root / "bronze" / source / dataset)
    except OSError as error:
        raise refused(error, place) from None
    return moved


def ledger_aside(root: Path, name: str) -> Path:
    """The ledger that was moved. Raises Stop when there is none."""
    path = root / "aside" / name / "ledger.sqlite"
    if not path.exists():
        raise Stop(f"{path} is missing; nothing was deleted, look into {path.parent}")
    return path
