"""Tables are found because their files are there, and a faulty file is named instead of ignored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import cryptolake.gold
import cryptolake.sources
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
    folder = tmp_path / "gold"
    folder.mkdir()
    monkeypatch.setattr(cryptolake.gold, "__path__", [*cryptolake.gold.__path__, str(folder)])

    def drop(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)

    yield drop
    for name in [one for one in sys.modules if (folder / f"{one.rpartition('.')[2]}.py").exists()]:
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
        (PANEL_DAYS.replace("def build(panel: pl.DataFrame)", "def build()"), "write a function of daily_panel"),
        (PANEL_DAYS.replace("def build(", "def make("), "needs build"),
        (PANEL_DAYS.replace('name="panel_days"', 'name="daily_panel"'), "is declared in"),
        (
            PANEL_DAYS.replace("build(panel: pl.DataFrame)", "make(panel)") + "\nbuild = 5\n",
            "write a function of daily_panel",
        ),
        (PANEL_DAYS.replace("build(", "biuld("), "nobody reads 'biuld'; did you mean build?"),
        (PANEL_DAYS + "\nCOLUMN = {'daily_panel': ('date',)}\n", "nobody reads 'COLUMN'; did you mean COLUMNS?"),
        (PANEL_DAYS.replace('("daily_panel",)', "(5,)"), "INPUTS is missing"),
        (PANEL_DAYS + "\nCOLUMNS = 5\n", "COLUMNS is no mapping"),
        *(
            (PANEL_DAYS.replace('name="panel_days"', f"name={name!r}"), "cannot have this name")
            for name in ("pg_class", "Bad-Name", "", "9x", "a b", "../x", "a" * 60, "rate_budgets")
        ),
        (PANEL_DAYS.replace('name="panel_days"', 'name="market_days"'), "has the name market_days already"),
        (PANEL_DAYS.replace('layer="gold"', 'layer="silver"'), "has layer 'silver'"),
        (PANEL_DAYS.replace('layer="gold"', 'layer="bronze"'), "has layer 'bronze'"),
        *(
            (PANEL_DAYS.replace('doc="Markets', f'publish_as={place!r}, doc="Markets'), "has publish_as=")
            for place in (
                "gold/daily_panel.parquet",
                "../../../escaped.parquet",
                "/escaped.parquet",
                "gold/../silver/panel_days.parquet",
                "silver/panel_days.parquet",
                "gold/contracts.json",
                "gold/panel_days/{date}.parquet",
                "",
            )
        ),
        (PANEL_DAYS.replace('doc="Markets', 'formerly=("tvl",), doc="Markets'), "has the name tvl already"),
        (PANEL_DAYS.replace('Field("markets"', 'Field("ctid"'), "has a column 'ctid'"),
        (PANEL_DAYS.replace('Field("markets"', 'Field("DATE"'), "differ by capitals"),
        (PANEL_DAYS.replace('"int64"', '"int"'), "dtype='int' is not 'text'"),
        (PANEL_DAYS.replace('doc="Markets', 'partition="dya", doc="Markets'), "are no fields"),
        (PANEL_DAYS.replace('doc="Markets', 'monthly="dya", doc="Markets'), "are no fields"),
    ],
)
def test_a_faulty_file_is_named(drop: Drop, broken: str, says: str) -> None:
    drop("panel_days", broken)
    with pytest.raises(Stop, match="panel_days") as refused:
        found_tables()
    assert says in str(refused.value)


@pytest.mark.parametrize("place", [None, "gold/panel_days.parquet", "gold/panel_days/{csu}.parquet"])
def test_a_tables_own_places_are_taken(drop: Drop, place: str | None) -> None:
    drop("panel_days", PANEL_DAYS.replace('doc="Markets', f'publish_as={place!r}, doc="Markets'))
    assert found_tables()["panel_days"].table.publish_as == place


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


SUN = """
from cryptolake.contracts.source import Dataset, SourceTable
from cryptolake.contracts.table import Field, Table
from cryptolake.contracts.vendor import Vendor

VENDOR = Vendor(name="sun")
TABLES = (
    SourceTable(Table("sunrises", "silver", "a day", ("day",), (Field("day", "date", "day"),), "sunrises"), list),
)

def open_source(access): ...
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put a source's file where sources are found."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setattr(cryptolake.sources, "__path__", [*cryptolake.sources.__path__, str(folder)])

    def put(text: str) -> None:
        (folder / "sun.py").write_text(text)

    yield put
    sys.modules.pop("cryptolake.sources.sun", None)


def test_a_sources_own_table_is_a_table_and_others_are_made_of_it(source: Callable[[str], None], drop: Drop) -> None:
    source(SUN)
    drop("panel_days", PANEL_DAYS.replace('("daily_panel",)', '("sunrises",)'))
    assert (found_tables()["sunrises"].own_of, found_tables()["sunrises"].build) == ("sun", None)
    assert [one.table.name for one in downstream(["sunrises"])] == ["panel_days"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nothing_of_that_name", "sources.sun left out: cannot be imported"),
        (SUN.replace("TABLES = (", "TABELS = ("), "INPUTS names 'sunrises', which is no table"),
        (SUN.replace('"sunrises", "silver"', '"metrics", "silver"'), "INPUTS names 'sunrises', which is no table"),
    ],
)
def test_a_table_of_a_faulty_sources_is_refused_with_both_files(
    source: Callable[[str], None], drop: Drop, text: str, says: str
) -> None:
    source(text)
    drop("panel_days", PANEL_DAYS.replace('("daily_panel",)', '("sunrises",)'))
    with pytest.raises(Stop, match=r"gold\.panel_days") as refused:
        found_tables()
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [("raise KeyError('days')", "KeyError: 'days'"), ("return None", "gave no polars frame")],
)
def test_a_function_that_fails_is_named_with_its_file(drop: Drop, body: str, says: str) -> None:
    drop("panel_days", PANEL_DAYS.replace("    return panel", f"    {body}\n    return panel"))
    with pytest.raises(Stop, match=r"gold\.panel_days: build of panel_days") as refused:
        derive({"daily_panel": found_tables()["daily_panel"].table.empty()}, lambda table, _columns: table.empty())
    assert says in str(refused.value)


def test_what_is_made_whole_gets_new_rows_together_with_the_stored_ones(drop: Drop) -> None:
    """The new rows of a table that keeps its others are only a part of it."""
    drop(
        "panel_days",
        PANEL_DAYS.replace('("daily_panel",)', '("crypto_market_global",)').replace(
            'panel.group_by("date")', 'panel.with_columns(date=pl.col("processed_at").dt.date()).group_by("date")'
        ),
    )
    table = found_tables()["crypto_market_global"].table
    days = [datetime(2024, 12, day, tzinfo=UTC) for day in (1, 2, 3)]
    rows = (
        pl.DataFrame({"processed_at": days})
        .with_columns(
            pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in table.polars_schema().items()
            if name != "processed_at"
        )
        .select(table.columns)
        .cast(table.polars_schema())
    )
    made = derive({table.name: rows[1:]}, lambda asked, _columns: rows[:2] if asked == table else asked.empty())
    frame = {one.table.name: frame for one, frame in made}["panel_days"]
    assert frame["markets"].to_list() == [1, 1, 1]
