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
    if not path.exists():
        return None
    with path.open("r+") as file:
        if _take(file):
            return None
        return file.read().strip() or "another process"


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
