"""A real embedded PostgreSQL per worker, under a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server_folder import server_folder

from cryptolake.publish.warehouse import Warehouse


@pytest.fixture(scope="session")
def pg_data() -> Iterator[Path]:
    """A data folder whose server may be started; it is stopped and removed at the end."""
    with server_folder("pg") as folder:
        yield folder


@pytest.fixture
def warehouse(pg_data: Path) -> Iterator[Warehouse]:
    """An open session on it."""
    with Warehouse.open(pg_data, None) as opened:
        yield opened
