"""A real PostgreSQL with the exchanges' tables empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.server_folder import server_folder

from cryptolake.publish.warehouse import Warehouse
from cryptolake.work.exchanges import EXCHANGE_TABLES


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with server_folder("exchanges") as folder, Warehouse.open(folder, None) as opened:
        opened.setup(EXCHANGE_TABLES)
        yield opened
