"""Where a table comes from is found from its feeds and columns; a check that PostgreSQL counts agrees with one in memory."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.catalogue import FoundTable
from cryptolake.contracts.source import Dataset
from cryptolake.contracts.table import Field, Table
from cryptolake.publish.warehouse import Warehouse
from cryptolake.watch.report import check_counts, check_frame, check_kinds, check_sql, facts, markdown
from cryptolake.work.lineage import lineage


class _Source:
    def __init__(self, name: str, *feeds: str) -> None:
        self.name = name
        self.datasets: Sequence[Dataset] = [Dataset(f"about_{feed}", feed, "", "as_of") for feed in feeds]


def _table(name: str, layer: str, *columns: str) -> Table:
    return Table(name, layer, "one", ("day",), tuple(Field(one, "text", "") for one in ("day", *columns)), "")  # type: ignore[arg-type]


def test_every_kind_of_table_finds_its_step_and_parents() -> None:
    made = pl.DataFrame
    tables = {
        one.table.name: one
        for one in (
            FoundTable(_table("pulls", "log"), ""),
            FoundTable(_table("metrics", "silver"), ""),
            FoundTable(_table("staging", "silver"), ""),
            FoundTable(_table("history", "silver"), "", ("staging",), build=made),
            FoundTable(_table("mart", "gold"), "", ("staging",), build=made),
            FoundTable(_table("tvl", "silver", "csu"), "", ("prices",)),
            FoundTable(_table("prices", "silver", "chain"), ""),
            FoundTable(_table("panel", "gold", "csu"), "", ("tvl", "prices", "listed"), build=made),
            FoundTable(_table("listed", "silver", "csu"), ""),
            FoundTable(_table("apart", "silver", "csu"), ""),
            FoundTable(_table("made_of", "silver", "csu"), "", ("tvl", "apart")),
        )
    }
    chain, vendors = _Source("onchain", "tvl"), [_Source("v", "metrics"), _Source("w", "metrics", "staging")]
    found = {node.table.name: node for node in lineage(chain, vendors, tables)}  # type: ignore[arg-type]
    assert "pulls" not in found
    assert found["metrics"].datasets == (("v", "about_metrics"), ("w", "about_metrics"))
    assert (found["staging"].step, found["staging"].datasets) == ("vendor", (("w", "about_staging"),))
    assert (found["history"].step, found["history"].tables) == ("vendor", ("staging",))
    assert (found["mart"].step, found["mart"].tables) == ("vendor", ("staging",))
    assert (found["tvl"].step, found["tvl"].datasets) == ("refine", (("onchain", "about_tvl"),))
    assert (found["prices"].step, found["prices"].datasets) == ("refine", (("onchain", "about_tvl"),))
    assert (found["panel"].step, found["panel"].tables) == ("build", ("tvl", "prices", "listed"))
    assert (found["listed"].step, found["listed"].datasets) == ("build", ()), "who uses it writes it"
    assert [(found[name].step, found[name].datasets) for name in ("apart", "made_of")] == [
        ("refine", (("onchain", "about_tvl"),))
    ] * 2


ODD = Table(
    "odd_values",
    "silver",
    "one row",
    ("name",),
    (
        Field("name", "text", "key"),
        Field("share", "float64", "a share", null=True, minimum=0, maximum=1),
        Field("kind", "text", "one of two", null=True, allowed=("it's", "b")),
        Field("raw", "integer_text", "whole", null=True),
    ),
    "odd",
)
ROWS = {
    "name": ["a", "b", "c", "d", "e"],
    "share": [0.5, -1.0, 2.0, float("inf"), None],
    "kind": ["it's", "b", "c", None, "b"],
    "raw": ["1", "-2", "1.5", None, "x"],
}


def test_the_checks_count_the_same_in_memory_and_in_postgresql(warehouse: Warehouse) -> None:
    frame = pl.DataFrame(ROWS, schema=ODD.polars_schema())
    warehouse.setup([ODD])
    warehouse.load(ODD, frame, "replace")
    counted = {one.check: one.rows for one in check_counts(warehouse.query(check_sql(ODD)))}
    here = {one.check: one.rows for one in check_frame(ODD, frame)}
    assert counted == {kind: rows for kind, rows in here.items() if kind in check_kinds(ODD, in_postgres=True)}
    assert counted == {"not_null": 0, "finite": 1, "minimum": 1, "maximum": 2, "allowed": 1, "integer": 2}


def test_a_table_describes_itself() -> None:
    panel = Table(
        "p",
        "gold",
        "one",
        ("date", "csu"),
        (Field("date", "date", ""), Field("csu", "text", ""), Field("v", "float64", "", unit="USD", null=True)),
        "",
    )
    days = pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 1, 3), eager=True)
    frame = pl.DataFrame({"date": days, "csu": ["a|b"] * 3, "v": [0.0, None, 8.0]}, schema=panel.polars_schema())
    found = facts(panel, frame, 10)
    assert (found.rows, found.bytes, len(found.digest)) == (3, 10, 64)
    assert "2026-01-01 .. 2026-01-03" in found.trend
    assert "`  █`" in found.trend
    assert markdown(found.sample).count("\n") == 4
    assert "a/b" in markdown(found.sample)
    assert facts(panel, panel.empty(), 0).trend == ""
