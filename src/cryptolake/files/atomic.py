"""Atomic files: a reader sees the old bytes or the new ones, never half. The only way anything is written in the lake."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptolake.errors import Stop


def write_bytes(path: Path, data: bytes, *, synced: bool = True, mode: int = 0o644) -> None:
    """Write `data` to `path` by a temporary file, fsync and rename. Raises Stop with the remedy when the disk refuses.

    `mode` are its permissions, never more than that while it is written. `synced=False` leaves out the fsync; whoever
    writes thousands of files calls `sync_all` once after them.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            os.chmod(temporary, mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refused(error, path) from None


def sync_all(paths: Iterable[Path]) -> None:
    """Make files written with `synced=False` survive a power cut: one sync of the system, else one per file (Windows)."""
    if hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def refused(error: OSError, path: Path) -> Stop:
    """What to tell the user when the file system refuses to store something."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Stop(f"the disk is full at {path.parent}; free space or set --data, then run the same command again")
    return Stop(f"cannot write {path}: {error.strerror}; check the folder's permissions or set --data")
