"""Whether a folder may be written, asked of the system before anything is tried. Says nothing of free space."""

from __future__ import annotations

import os
from pathlib import Path


def may_write(path: Path) -> bool:
    """Whether files may be made in the folder `path`, or where it would be made: a mount that may only be read says no."""
    there = next((one for one in (path, *path.absolute().parents) if one.exists()), path)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
