"""What vendor tests share: an HTTP client, a database of their own, and the parts of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from tests.server_folder import server_folder
from tests.stores import emptied, stores_of
from tests.waiting import PATIENCE_S

from cryptolake.contracts.source import Source
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.net import conversation
from cryptolake.net.http import Http
from cryptolake.publish.warehouse import Warehouse
from cryptolake.state.ledger import Ledger
from cryptolake.work.refill import Fresh
from cryptolake.work.series import Operation, Pulled, pull_or_backfill


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


@pytest.fixture(scope="session")
def pg_data() -> Iterator[Path]:
    """A data folder whose server may be started; it is stopped and removed at the end."""
    with server_folder("vendors") as folder:
        yield folder


@dataclass
class Lake:
    """A lake, a ledger and an empty database, and one call to run an operation on them."""

    folder: Path
    bronze: Bronze
    ledger: Ledger
    warehouse: Warehouse

    def run(
        self,
        operation: Operation,
        source: Source,
        now: datetime,
        *,
        keys: list[str] | None = None,
        datasets: list[str] | None = None,
        resume: bool = True,
        restate: bool = False,
        fresh: Fresh | None = None,
        workers: int = 5,
    ) -> Pulled:
        return pull_or_backfill(
            operation,
            source,
            stores_of(self.folder, self.ledger, self.warehouse),
            keys=keys,
            datasets=[one.name for one in source.datasets] if datasets is None else datasets,
            resume=resume,
            restate=restate,
            fresh=fresh,
            workers=workers,
            now=lambda: now,
        )

    def rows(self, what: str = "asset, metric_name, pulled_at, value", where: str = "true") -> list[tuple[object, ...]]:
        return sorted(self.warehouse.query(f"SELECT {what} FROM metrics WHERE {where}").rows())

    def doubled_days(self) -> int:
        """How many days of a series have more than one row."""
        groups = "SELECT FROM metrics GROUP BY source, asset, metric_name, pulled_at::date HAVING count(*) > 1"
        found = self.warehouse.query(f"SELECT count(*) FROM ({groups}) AS doubled").item()
        assert isinstance(found, int)
        return found


@pytest.fixture
def lake(tmp_path: Path, pg_data: Path) -> Iterator[Lake]:
    with Warehouse.open(pg_data, None) as warehouse:
        emptied(warehouse)
        ledger = Ledger(tmp_path / "ledger.sqlite")
        yield Lake(tmp_path, Bronze(tmp_path), ledger, warehouse)
        ledger.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked again is asked again without a pause; how long these are is proven in tests/net and tests/flow."""
    monkeypatch.setattr(conversation, "_wait", lambda *_: None)
    without = {**(collect.__kwdefaults__ or {}), "backoff": lambda _failed: 0.0}
    monkeypatch.setattr(collect, "__kwdefaults__", without)
