"""A real PostgreSQL with the exchanges' tables empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.server_folder import server_folder

from cryptolake.catalogue import contracts
from cryptolake.publish.warehouse import Warehouse


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    with server_folder("exchanges") as folder, Warehouse.open(folder, None) as opened:
        opened.setup(contracts())
        yield opened
