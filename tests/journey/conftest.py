"""The sandbox journey, run once per session by the real command line in an empty folder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import cryptolake

from cryptolake.warehouse.server import stop_embedded


@pytest.fixture(scope="session")
def demo() -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    """The folder in which `cryptolake demo` ran, and what it said."""
    folder = Path(tempfile.mkdtemp(prefix="cryptolake-demo-"))
    folder.chmod(0o755)  # the database server runs as an unprivileged user where we are root
    try:
        yield folder, cryptolake(folder, "demo")
    finally:
        stop_embedded(folder / "sandbox")
        shutil.rmtree(folder, ignore_errors=True)
