"""A lock file that one process at a time may hold; it dies with its holder. What it protects belongs to the caller."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

_BYTE = 1 << 30  # where Windows locks: far beyond the text, which stays readable
_SHARED_FIRST, _SHARED_BYTES = (1 << 30) + 2, 510  # where SQLite's readers and writers hold their shared lock


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Try to hold `path`: yields True while this process holds it, False at once when another one does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not _take(file):
            yield False
            return
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
        file.flush()
        yield True


def holder(path: Path) -> str | None:
    """Who holds `path` now, in words; None when nobody does."""
    try:
        with path.open("r+") as file:
            if _take(file):
                return None
            return file.read().strip() or "another process"
    except FileNotFoundError:
        return None


def in_use(database: Path) -> bool:
    """Whether another process has the SQLite file open, so that it must not be moved.

    A file in WAL mode is locked for as long as it is open, in the bytes SQLite documents. Our own connections must be
    closed: ending the look ends their locks. On Windows False: an open file cannot be moved there.
    """
    if sys.platform == "win32" or not database.exists():
        return False
    import fcntl

    with database.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_BYTES, _SHARED_FIRST)
        except OSError:
            return True
    return False


def _take(file: TextIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
