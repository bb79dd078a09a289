"""The sandbox journey, run once per session by the real command line in an empty folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.server_folder import server_folder


@pytest.fixture(scope="session")
def demo() -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    """The folder in which `cryptolake demo` ran, and what it said."""
    with server_folder("demo", "sandbox") as folder:
        yield folder, cryptolake(folder, "demo")
