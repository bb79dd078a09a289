"""Moves a lake's files out of the way without losing any: `<data>/aside/<name>/`. Which answers stay is the caller's choice.

Every step is a rename inside one file system, and can be done again after a kill.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from pathlib import Path

from cryptolake.errors import Stop
from cryptolake.files.atomic import refused
from cryptolake.files.lock import in_use

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


def move_damaged(ledger: Path) -> Path | None:
    """Move a closed ledger out of the way, its write-ahead log with it; where it lies then.

    None when SQLite does not say that the file is damaged: a busy file, a full disk, a missing right prove nothing. Raises
    Stop when another process works with it.
    """
    if not _damaged(ledger):
        return None
    if in_use(ledger):
        raise Stop(
            f"another command is at work with {ledger}; let it finish or stop it, then run the same command again"
        )
    number = 1
    while (aside := ledger.with_name(f"ledger.damaged-{number}.sqlite")).exists():
        number += 1
    for suffix in ("-shm", "-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            ledger.with_name(ledger.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _damaged(ledger: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.Error as error:
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def moved_ledger(root: Path, name: str) -> Path:
    """The ledger that was moved. Raises Stop when there is none."""
    path = root / "aside" / name / "ledger.sqlite"
    if not path.exists():
        raise Stop(f"{path} is missing; nothing was deleted, look into {path.parent}")
    return path
