"""A real embedded PostgreSQL per worker, under a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptolake.warehouse.connection import Warehouse
from cryptolake.warehouse.server import stop_embedded


@pytest.fixture(scope="session")
def pg_data() -> Iterator[Path]:
    """A data folder whose server may be started; it is stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cryptolake-pg-"))
    folder.chmod(0o755)  # the server runs as an unprivileged user where we are root
    yield folder
    stop_embedded(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def warehouse(pg_data: Path) -> Iterator[Warehouse]:
    """An open session on it."""
    with Warehouse.open(pg_data, None) as opened:
        yield opened
