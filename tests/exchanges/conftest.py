"""A real PostgreSQL with the exchanges' tables empty."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptolake.flow.exchanges import EXCHANGE_TABLES
from cryptolake.warehouse.connection import Warehouse
from cryptolake.warehouse.server import stop_embedded


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    folder = Path(tempfile.mkdtemp(prefix="cryptolake-exchanges-"))
    folder.chmod(0o755)  # the server runs as an unprivileged user where we are root
    try:
        with Warehouse.open(folder, None) as opened:
            opened.setup(EXCHANGE_TABLES)
            yield opened
    finally:
        stop_embedded(folder)
        shutil.rmtree(folder, ignore_errors=True)
