"""A temporary folder in which an embedded PostgreSQL may run; used by tests, benchmarks and the pictures of the docs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptolake.publish.server import stop_embedded


@contextmanager
def server_folder(name: str, data: str = ".") -> Iterator[Path]:
    """A fresh folder; at the end the server of the data folder `data` in it is stopped and everything is removed."""
    folder = Path(tempfile.mkdtemp(prefix=f"cryptolake-{name}-"))
    folder.chmod(0o755)  # the server runs as an unprivileged user where we are root
    try:
        yield folder
    finally:
        stop_embedded(folder / data)
        shutil.rmtree(folder, ignore_errors=True)
