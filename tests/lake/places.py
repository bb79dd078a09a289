"""Folders of any name, for examples that a property makes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def names_of_folders(name: str) -> Iterator[Path]:
    """A folder of this name inside a temporary one; not made yet."""
    with tempfile.TemporaryDirectory(prefix="cryptolake-") as folder:
        yield Path(folder) / name
