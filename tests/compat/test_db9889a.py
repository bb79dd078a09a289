"""A data folder that commit db9889a made is opened by today's commands and gives the same tables."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.command import cryptolake
from tests.compat.kept import KEPT, LENDING, RENAMED, TABLES, as_named_today, comparable, compare, kept
from tests.server_folder import server_folder

from cryptolake.catalogue import contracts
from cryptolake.contracts.versions import changes, promises, read_document
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("compat")
DAYS = [f"2024-12-{day:02}" for day in range(1, 15)]
FILES = {
    "tvl": "silver/tvl/aave_v3_sandbox.parquet",
    "liquidations": "silver/liquidations/aave_v3_sandbox.parquet",
    "prices": "silver/prices.parquet",
    "daily_panel": "gold/daily_panel.parquet",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which `data` is a copy of what that commit left behind, without its PostgreSQL."""
    with server_folder("compat", "data") as made:
        shutil.copytree(KEPT / "data", made / "data")
        yield made


def run(folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints; it must end with this code."""
    result = cryptolake(folder, "--data", "data", *words)
    assert result.returncode == code, f"{words}: {result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
    return result.stdout


def test_no_contract_was_broken_since() -> None:
    then = read_document((KEPT / "contracts.json").read_bytes(), "db9889a")
    found = changes(then, promises(contracts()))
    assert [one for one in found if one.breaks] == []
    renamed = {one.where for one in found if one.kind == "renamed" and "." in one.where}
    assert renamed == {f"{table}.{column}" for table, columns in RENAMED.items() for column in columns}


@pytest.mark.parametrize("name", LENDING)
def test_its_delta_tables_and_files_are_read_as_they_were(name: str) -> None:
    (table,) = (one for one in contracts() if name in (one.name, *one.formerly))
    then = as_named_today(name, kept(name))
    # The lake and its files keep zoned instants where PostgreSQL answers naive ones, and 32-bit dates: same values.
    file = as_named_today(name, pl.read_parquet(KEPT / "data" / FILES[name]))
    for now in (Tables(KEPT / "data").read(table), file):
        same = now.select(then.columns)
        assert_frame_equal(same, then.cast(same.schema), check_row_order=False, check_exact=True)  # type: ignore[arg-type]


def test_commands_open_it(folder: Path) -> None:
    monitor = json.loads(run(folder, "monitor", "--json"))
    assert monitor["counts"].get("failed", 0) == 0
    text = run(folder, "monitor")
    assert [day for day in DAYS if f"{day}: ✅ TVL + Liquidations" in text] == DAYS
    assert "gap                  0" in run(folder, "verify")
    assert "not_refined" in run(folder, "quality", code=1), "no figure without evidence"
    assert "Its answer is kept and whole" in run(folder, "ledger", "inspect", f"tvl/aave_v3_sandbox/{DAYS[4]}")
    plan = run(folder, "plan", "--csu", "aave_v3_sandbox", "--start-date", DAYS[0], "--end-date", DAYS[-1])
    assert "0 calls" in plan, "what that commit collected is not asked again"
    run(folder, "query", "--sql", "select count(*) from metrics")


def test_figures_wait_until_silver_says_what_it_was_made_of(folder: Path) -> None:
    """That commit kept no record of it: `build` alone says so with the remedy, invents nothing and ends with 1."""
    said = " ".join(run(folder, "build", code=1).split())
    assert "28 answered market-days are pending" in said
    assert re.search(r"run `cryptolake (--data \S+ )?refine`", said), said
    run(folder, "refine")
    run(folder, "build")
    run(folder, "quality")


@pytest.mark.parametrize("steps", [("refine", "build", "publish"), ("rebuild",)], ids=" ".join)
def test_its_tables_are_made_again_as_they_were(folder: Path, steps: tuple[str, ...]) -> None:
    for step in steps:
        run(folder, step)
    with Warehouse.open(folder / "data", None) as warehouse:
        for table in TABLES:
            if table != "metrics":  # vendors' rows are in PostgreSQL alone, which the folder is without
                compare(warehouse, table)
    for name, path in FILES.items():
        now, then = pl.read_parquet(folder / "data" / path), as_named_today(name, pl.read_parquet(KEPT / "data" / path))
        assert_frame_equal(
            comparable(name, now.select(then.columns)), comparable(name, then), check_exact=True, check_row_order=False
        )
