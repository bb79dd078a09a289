"""Where a day begins belongs to the data: a folder of New York days is never read, or added to, as one of UTC days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Boundary, Partition, Period
from cryptolake.errors import Stop
from cryptolake.settings import Settings
from cryptolake.work.standing import standing

DAY = date(2024, 12, 31)
Opened = Callable[..., App]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """An app, with the settings given, on a data folder in which days of these boundaries were answered."""
    apps: list[App] = []

    def open_app(*boundaries: Boundary, dataset: str = "tvl", **said: Boundary) -> App:
        app = App(Settings(data=tmp_path, **said))
        apps.append(app)
        for boundary in boundaries:
            partition = Partition(dataset, "aave_v3_ethereum", Period.of_day(DAY, boundary))
            app.ledger.append(Entry(partition, "empty", datetime.now(UTC), "test", rows=0))
        return app

    yield open_app
    for app in apps:
        app.close()


@pytest.mark.parametrize("kept", ["utc", "ny"])
def test_days_begin_as_in_the_answers_that_lie_there(opened: Opened, kept: Boundary) -> None:
    assert opened(kept).boundary == kept


@pytest.mark.parametrize(("kept", "told"), [("utc", "ny"), ("ny", "utc")])
def test_another_boundary_is_refused_with_the_remedy(opened: Opened, kept: Boundary, told: Boundary) -> None:
    with pytest.raises(Stop, match="use another --data"):
        _ = opened(kept, day_boundary=told).boundary


@pytest.mark.parametrize("told", ["utc", "ny"])
def test_a_folder_without_days_of_markets_goes_by_the_settings(opened: Opened, told: Boundary) -> None:
    assert opened("utc", dataset="coin_prices", day_boundary=told).boundary == told


def test_days_of_two_boundaries_are_never_one_row(opened: Opened) -> None:
    """Folders of earlier versions may hold both."""
    with pytest.raises(Stop, match="one date cannot be both"):
        standing(opened("utc", "ny").ledger.states())
