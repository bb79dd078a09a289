"""Locks that one process at a time may hold and that die with their holder. What they protect belongs to the caller."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_BYTE = 1 << 30  # where Windows locks: far beyond the text, which stays readable
_SHARED_FIRST, _SHARED_BYTES = (1 << 30) + 2, 510  # where SQLite's readers and writers hold their shared lock


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Try to hold `path`: yields True while this process holds it, False at once when another one does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not taken(file.fileno()):
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
        with path.open("r+" if os.access(path, os.W_OK) else "r") as file:
            if taken(file.fileno()):
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


@contextmanager
def locked(file: int) -> Iterator[None]:
    """Wait for the lock of an open file and hold it while the block lasts. Threads of one process are not kept apart."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, _BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if sys.platform == "win32":
            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_UN)


def taken(file: int) -> bool:
    """Whether the lock of an open file was free and is ours now; until the file is closed, here and in who inherited it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, _BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(file, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
