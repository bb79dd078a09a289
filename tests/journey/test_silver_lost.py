"""Days that are missing from silver are pending by name, never zeros that say ok; by the commands a user types."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from tests.command import cryptolake, python

from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.tables import Tables
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.tvl import TABLE as TVL

pytestmark = pytest.mark.xdist_group("demo")

EVENTS = [date(2024, 12, 5), date(2024, 12, 9)]  # days with liquidations
SPAN = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-01", "--end-date", "2024-12-14")

# Ends the process with SIGKILL before the n-th write of a table.
KILLER = """
import os, signal, sys
from cryptolake.cli import main
from cryptolake.lake.tables import Tables
left = int(sys.argv.pop())
real = Tables.write
def write(self, *arguments, **more):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *arguments, **more)
Tables.write = write
main()
"""


def ours(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return cryptolake(folder, *arguments, CRYPTOLAKE_REGISTRY=str(sandbox_registry()), **variables)


def panel(folder: Path) -> pl.DataFrame:
    return Tables(folder / "data").read(DAILY_PANEL)


def wanted(demo: tuple[Path, object]) -> pl.DataFrame:
    return Tables(demo[0] / "sandbox").read(DAILY_PANEL)


def assert_no_zero(found: pl.DataFrame) -> None:
    """No number on any day, and no `ok`."""
    assert set(found["status"]) == set(found["liquidations_status"]) == {"pending"}
    for name in ("liquidations_usd", "liquidation_count", "total_tvl_usd", "num_assets"):
        assert found[name].null_count() == found.height


def test_lost_silver_is_told_found_by_quality_and_made_good_by_refine(demo: tuple[Path, object], lake: Path) -> None:
    shutil.rmtree(lake / "data" / "silver")
    checked = json.loads(ours(lake, "quality", "--no-store", "--json").stdout)
    broken = {one["check"]: one["rows"] for one in checked["checks"] if one["rows"]}
    assert checked["exit_code"] == 1
    assert (broken["answers_in_silver"], broken["panel_supported"]) == (28, 14)
    refused = ours(lake, "release", "1.0")
    assert refused.returncode != 0
    assert "cryptolake build" in refused.stderr
    built = ours(lake, "build")
    assert built.returncode == 1
    assert "cryptolake refine" in " ".join(built.stdout.split())
    assert_no_zero(panel(lake))
    checked = json.loads(ours(lake, "quality", "--no-store", "--json").stdout)
    assert (checked["exit_code"], [row["share"] for row in checked["coverage"]]) == (1, [0.0, 0.0])
    assert ours(lake, "refine").returncode == 0
    assert ours(lake, "build").returncode == 0
    assert panel(lake).equals(wanted(demo))
    assert ours(lake, "quality", "--no-store").returncode == 0
    assert ours(lake, "release", "1.0").returncode == 0


@pytest.mark.parametrize("table", [TVL, LIQUIDATIONS], ids=lambda one: one.name)
def test_one_day_lost_is_that_day_s_matter(demo: tuple[Path, object], lake: Path, table: object) -> None:
    tables = Tables(lake / "data")
    here = TVL if table is TVL else LIQUIDATIONS
    tables.write(here, tables.read(here).filter(pl.col("date") != EVENTS[0]))
    assert ours(lake, "build").returncode == 1
    side = "status" if table is TVL else "liquidations_status"
    found = panel(lake)
    assert found.filter(pl.col(side) == "pending")["date"].to_list() == [EVENTS[0]]
    assert found.filter(pl.col("date") != EVENTS[0]).equals(wanted(demo).filter(pl.col("date") != EVENTS[0]))
    assert ours(lake, "refine").returncode == 0
    assert ours(lake, "build").returncode == 0
    assert panel(lake).equals(wanted(demo))


def test_collected_and_not_refined_is_pending_and_plain_refine_refines_it(
    demo: tuple[Path, object], tmp_path: Path
) -> None:
    nothing = ours(tmp_path, "refine")
    assert nothing.returncode == 2
    assert "cryptolake collect" in nothing.stderr
    with Replay() as replay:
        collected = ours(tmp_path, "collect", *SPAN, CRYPTOLAKE_RPC_SANDBOX=replay.rpc_url)
        assert collected.returncode == 0, collected.stderr
    told = ours(tmp_path, "build")
    assert told.returncode == 1
    assert "cryptolake refine" in " ".join(told.stdout.split())
    assert_no_zero(panel(tmp_path))
    elsewhere = ours(
        tmp_path, "refine", "--csu", "aave_v3_sandbox", "--start-date", "2023-01-01", "--end-date", "2023-01-02"
    )
    assert elsewhere.returncode == 2, "nothing of that selection was collected"
    refined = ours(tmp_path, "refine")
    assert refined.returncode == 0
    assert Tables(tmp_path / "data").read(TVL).height > 0
    again = ours(tmp_path, "refine")
    assert "holds everything" in again.stdout
    assert ours(tmp_path, "build").returncode == 0
    assert panel(tmp_path).equals(wanted(demo))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_between_any_two_tables_the_next_build_invents_nothing(demo: tuple[Path, object], lake: Path) -> None:
    complete = wanted(demo)
    for number in range(1, 6):  # tvl, liquidations, quotes, prices, refined
        shutil.rmtree(lake / "data" / "silver", ignore_errors=True)
        ours_too = {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())}
        killed = python(KILLER, "refine", str(number), folder=lake, variables=ours_too)
        assert killed.returncode == -signal.SIGKILL
        assert ours(lake, "build").returncode == 1
        assert_no_zero(panel(lake))
    assert ours(lake, "refine").returncode == 0
    assert ours(lake, "build").returncode == 0
    assert panel(lake).equals(complete)
