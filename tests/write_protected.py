"""Folders that must not be written: taken away by rights, or mounted so. Files are looked at before and after.

Whoever runs the suite as root may write everywhere: the process under test then gives up the right to override file
permissions (CAP_DAC_OVERRIDE), which is what makes root root here, and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1
_SERVER = "postgres"  # the database's own files belong to its server, which goes on writing them


def plain_rights() -> Callable[[], None] | None:
    """What a child process runs before it begins, so that file permissions hold for it too; None when they do anyway."""
    return _give_up_override if os.geteuid() == 0 else None


def _give_up_override() -> None:
    if ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) != 0:
        raise OSError("root could not give up overriding file permissions")


def rights_can_hold() -> bool:
    """Whether file permissions can be made to hold for a child process here."""
    return sys.platform == "linux" or (sys.platform != "win32" and os.geteuid() != 0)


@contextmanager
def write_protected(folder: Path) -> Iterator[None]:
    """While the block lasts nobody with plain rights may write anything in the folder."""
    ours = [folder, *(one for one in folder.rglob("*") if _SERVER not in one.parts)]
    before = {one: one.stat().st_mode for one in ours}
    for one, mode in before.items():
        one.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for one, mode in before.items():
            one.chmod(mode)


def read_only_mount(folder: Path) -> list[str] | None:
    """What to put before a command so that it sees the folder as a read-only mount; None where that cannot be done."""
    script = f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}" && exec "$@"'
    words = ["unshare", "-m", "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None:
        return None
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else None


def picture(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and the nanosecond of its last change."""
    found = (one for one in folder.rglob("*") if _SERVER not in one.relative_to(folder).parts and one.is_file())
    return {str(one.relative_to(folder)): (one.stat().st_size, one.stat().st_mtime_ns) for one in found}
