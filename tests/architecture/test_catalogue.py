"""Tables are found because their files are there, and a faulty file is named instead of ignored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

import cryptolake.gold
from cryptolake import catalogue
from cryptolake.catalogue import FoundTable, contracts, downstream, found_tables, ordered
from cryptolake.contracts.table import Field, Table
from cryptolake.errors import Stop
from cryptolake.work.tables import derive

PANEL_DAYS = '''
"""Gold table `panel_days`: how many markets a day has. No I/O."""

import polars as pl

from cryptolake.contracts.table import Field, Table

INPUTS = ("daily_panel",)
TABLE = Table(
    name="panel_days",
    layer="gold",
    grain="one day",
    key=("date",),
    fields=(Field("date", "date", "UTC day"), Field("markets", "int64", "markets with a row")),
    doc="Markets a day.",
)


def build(panel: pl.DataFrame) -> pl.DataFrame:
    return panel.group_by("date").agg(pl.len().cast(pl.Int64).alias("markets")).sort("date")
'''

Drop = Callable[[str, str], None]


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Put a file beside those of gold; nothing of it is left afterwards."""
    monkeypatch.setattr(cryptolake.gold, "__path__", [*cryptolake.gold.__path__, str(tmp_path)])

    def drop(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    yield drop
    for name in [one for one in sys.modules if (tmp_path / f"{one.rpartition('.')[2]}.py").exists()]:
        del sys.modules[name]


def test_a_file_is_a_table(drop: Drop) -> None:
    drop("panel_days", PANEL_DAYS)
    assert "panel_days" in {table.name for table in contracts()}
    assert [one.table.name for one in downstream(["daily_panel"])] == ["panel_days"]
    panel = found_tables()["daily_panel"].table.empty()
    ((found, frame),) = derive({"daily_panel": panel}, lambda table, _columns: table.empty())
    assert (found.table.name, frame.columns, frame.height) == ("panel_days", ["date", "markets"], 0)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (PANEL_DAYS.replace('("daily_panel",)', '("daily_pannel",)'), "INPUTS names 'daily_pannel'"),
        (PANEL_DAYS.replace("TABLE = ", "PANEL_DAYS = "), "PANEL_DAYS is a table that nobody would find"),
        (PANEL_DAYS.replace('INPUTS = ("daily_panel",)', ""), "INPUTS is missing"),
        (PANEL_DAYS.replace("def build(panel: pl.DataFrame)", "def build()"), "build must take one frame"),
        (PANEL_DAYS.replace("def build(", "def make("), "needs build"),
        (PANEL_DAYS.replace('name="panel_days"', 'name="daily_panel"'), "is declared in"),
    ],
)
def test_a_faulty_file_is_named(drop: Drop, broken: str, says: str) -> None:
    drop("panel_days", broken)
    with pytest.raises(Stop, match="panel_days") as refused:
        found_tables()
    assert says in str(refused.value)


def test_a_circle_is_refused() -> None:
    def table(name: str, *inputs: str) -> FoundTable:
        contract = Table(name, "gold", "a row", ("k",), (Field("k", "text", "key"),), "doc")
        return FoundTable(contract, f"gold.{name}", inputs, build=lambda *_: pl.DataFrame())

    with pytest.raises(Stop, match="round in a circle"):
        ordered([table("a", "b"), table("b", "a"), table("c")])


def test_inputs_come_before_what_is_made_of_them() -> None:
    seen: set[str] = {catalogue.MARKET_DAYS}
    for name, one in found_tables().items():
        assert set(one.inputs) <= seen, name
        seen.add(name)


def test_a_result_that_breaks_its_contract_is_not_passed_on(drop: Drop) -> None:
    drop("panel_days", PANEL_DAYS.replace("pl.Int64", "pl.Int32"))
    with pytest.raises(Stop, match=r"panel_days: .* break panel_days\.schema"):
        derive({"daily_panel": found_tables()["daily_panel"].table.empty()}, lambda table, _columns: table.empty())
