"""The scripts that the research plan names do what it shows, with its own flags, on the sandbox."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import python
from tests.server_folder import server_folder

from cryptolake.demo.replay import Replay, sandbox_registry

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CSU = ["--csu", "aave_v3_sandbox"]
RUN = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
DAYS = ["--start-date", "2024-12-01", "--end-date", "2024-12-03"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with server_folder("scripts", "data") as found:
        yield found


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    with Replay() as found:
        yield found


def script(folder: Path, replay: Replay, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"CRYPTOLAKE_RPC_SANDBOX": replay.rpc_url, "CRYPTOLAKE_REGISTRY": str(sandbox_registry())}
    return python(RUN, str(SCRIPTS / f"{name}.py"), *arguments, folder=folder, variables=variables)


def test_the_phases_of_the_plan_one_after_the_other(folder: Path, replay: Replay) -> None:
    cache = script(folder, replay, "build_block_cache", "--chain", "sandbox", *DAYS)
    assert cache.returncode == 0, cache.stderr
    assert len(json.loads((folder / "data/block_cache.json").read_text())["sandbox"]) == 4
    both = ["--include-tvl", "--include-liquidations"]
    one = script(folder, replay, "collect_single_day", *CSU, "--date", "2024-12-02", *both)
    assert one.returncode == 0, one.stderr
    for dataset in ("tvl", "liquidations"):
        assert (folder / f"data/bronze/{dataset}/aave_v3_sandbox/2024-12-02.json").exists()
    month = script(folder, replay, "collect_month", *CSU, *DAYS, "--workers", "5")
    assert month.returncode == 0, month.stderr
    assert len(list((folder / "data/bronze/tvl/aave_v3_sandbox").glob("*.json"))) == 3
    every = script(folder, replay, "collect_all_csus", "--chain", "sandbox", *DAYS, "--workers", "5", "--resume")
    assert every.returncode == 0, every.stderr
    progress = script(folder, replay, "monitor_progress", *CSU)
    assert "2024-12-01: ✅ TVL + Liquidations" in progress.stdout
    assert script(folder, replay, "process_silver", *CSU, *DAYS).returncode == 0
    gold = script(folder, replay, "aggregate_gold")
    assert gold.returncode == 0, gold.stderr
    assert (folder / "data/gold/daily_panel.parquet").exists()
    whole = script(folder, replay, "test_pipeline", *CSU, *DAYS)
    assert whole.returncode == 0, whole.stderr
    assert "2024-12-03" in whole.stdout


def test_a_wrong_day_is_told(folder: Path, replay: Replay) -> None:
    result = script(folder, replay, "collect_single_day", *CSU, "--date", "yesterday")
    assert result.returncode == 2
    assert "--date" in result.stderr
