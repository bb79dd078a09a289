"""Killed at many moments with SIGKILL, the run ends with the same data as one that was never disturbed."""

from __future__ import annotations

import json
import random
import signal
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.command import cryptolake, python
from tests.server_folder import server_folder

pytestmark = [
    pytest.mark.xdist_group("demo"),
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
]

# Runs the demo and kills its own process at the n-th file that is put into place: between any two durable steps.
KILLER = """
import os, signal, sys
from pathlib import Path
from cryptolake.cli import main
left = int(sys.argv.pop())
when = sys.argv.pop()
real = Path.replace
def replace(self, target):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(self, target)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
Path.replace = replace
main()
"""


def published(data: Path) -> dict[str, pl.DataFrame]:
    """Every published table, by path."""
    paths = [*data.glob("silver/*/*.parquet"), data / "gold" / "daily_panel.parquet"]
    return {path.relative_to(data).as_posix(): pl.read_parquet(path) for path in paths}


@pytest.mark.parametrize("times", [4, pytest.param(8, marks=pytest.mark.soak)])
def test_kill_9_between_any_two_files_changes_nothing(demo: tuple[Path, object], times: int) -> None:
    wanted = published(demo[0] / "sandbox")
    moments = random.Random(20241231)
    killed = 0
    with server_folder("killed", "sandbox") as folder:
        for _ in range(times):
            arguments = ["demo", moments.choice(["before", "after"]), str(moments.randint(1, 12))]
            killed += python(KILLER, *arguments, folder=folder, variables={}).returncode == -signal.SIGKILL
        assert killed >= times * 3 / 4, "the killer must really have killed"
        result = cryptolake(folder, "demo")
        assert result.returncode == 0, result.stderr
        found = published(folder / "sandbox")
        assert found.keys() == wanted.keys()
        for name, frame in wanted.items():
            assert found[name].equals(frame), name
        sql = "select count(*) n, count(distinct (csu, date, asset)) k from tvl"
        (row,) = json.loads(cryptolake(folder, "--data", "sandbox", "query", "--json", "--sql", sql).stdout)
        assert row["n"] == row["k"] == wanted["silver/tvl/aave_v3_sandbox.parquet"].height
        assert not list((folder / "sandbox" / "silver").rglob("*.tmp"))
