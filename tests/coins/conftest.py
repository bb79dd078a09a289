"""The fake vendor, an HTTP client, and a real PostgreSQL with the market's tables empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.coins.vendor import ASKED_AT, Vendor, serve
from tests.server_folder import server_folder
from tests.stores import emptied, stores_of
from tests.waiting import PATIENCE_S

from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.publish.server import ensure_running
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Warehouse
from cryptolake.sources.coingecko import CoinGecko
from cryptolake.state.ledger import Ledger


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serve() as found:
        yield found


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


@pytest.fixture
def waits() -> list[float]:
    """What the source would have slept."""
    return []


@pytest.fixture
def access(vendor: Vendor, http: Http, waits: list[float]) -> Access:
    """The way to the fake vendor, without a key; its limits do not sleep."""
    return Access(http, urls={"coingecko": vendor.url}, gates=Gates(sleep=waits.append))


@pytest.fixture
def source(access: Access, waits: list[float]) -> CoinGecko:
    return CoinGecko(access, asked_at=lambda: ASKED_AT, patience=Patience(sleep=waits.append, jitter=lambda: 0.5))


@pytest.fixture(scope="session")
def pg_data() -> Iterator[Path]:
    """A data folder whose server may be started; it is stopped and removed at the end."""
    with server_folder("market") as folder:
        yield folder


@pytest.fixture
def database_url(pg_data: Path, warehouse: Warehouse) -> str:
    """The address of that server, every table there and empty."""
    del warehouse
    return ensure_running(pg_data)


@pytest.fixture
def warehouse(pg_data: Path) -> Iterator[Warehouse]:
    """An open session on it, every table there and empty."""
    with Warehouse.open(pg_data, None) as opened:
        emptied(opened)
        yield opened


@pytest.fixture
def stores(tmp_path: Path, warehouse: Warehouse) -> Iterator[Stores]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield stores_of(tmp_path, ledger, warehouse)
    ledger.close()
