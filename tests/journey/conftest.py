"""The sandbox journey, run once per session by the real command line in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptolake.warehouse.server import stop_embedded

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("CRYPTOLAKE", "ALCHEMY", "DATABASE_URL"))}


def cryptolake(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line as a user runs it, in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", "from cryptolake.cli import main; main()", *arguments],
        cwd=folder,
        env={**CLEAN, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


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
