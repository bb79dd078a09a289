"""The sandbox journey, run once per session by the real command line in an empty folder."""

from __future__ import annotations

import shutil
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
        yield folder, cryptolake(folder, "demo", PYTHONHASHSEED="1")


@pytest.fixture
def lake(demo: tuple[Path, object], tmp_path: Path) -> Path:
    """The demo's answers, ledger, silver and gold in a folder of their own."""
    for name in ("bronze", "silver", "gold"):
        shutil.copytree(demo[0] / "sandbox" / name, tmp_path / "data" / name)
    for name in ("ledger.sqlite", "registry.yaml"):
        shutil.copy(demo[0] / "sandbox" / name, tmp_path / "data" / name)
    return tmp_path
