"""A file of a table that is damaged or gone: one line with the remedy, which makes the table what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptolake.app import App
from cryptolake.contracts.table import Table
from cryptolake.demo.replay import sandbox_registry
from cryptolake.errors import Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.settings import Settings
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work import lending

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def app(lake: Path) -> Iterator[App]:
    """The demo's lake, opened."""
    opened = App(Settings(data=lake / "data", registry=sandbox_registry()))
    yield opened
    opened.close()


@pytest.mark.parametrize("how", ["cut", "gone"])
@pytest.mark.parametrize("table", [TVL, PRICES, REFINED, DAILY_PANEL], ids=lambda one: one.name)
def test_it_is_said_in_a_line_and_rebuild_makes_it_good(app: App, table: Table, how: str) -> None:
    true = app.tables.read(table)
    stored = app.tables.stored(table)
    assert stored is not None
    path = Path(stored.paths()[0])
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.unlink()
    with pytest.raises(Stop, match=f"a file of {table.name} is {'damaged' if how == 'cut' else 'missing'}.*rebuild"):
        app.tables.read(table)
    lending.rebuild(app)
    assert app.tables.read(table).equals(true)
