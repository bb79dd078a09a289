"""extend, daily, watch and retry on the sandbox, as a user or cron runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import CLEAN, cryptolake, widest
from tests.waiting import PATIENCE_S

from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.state.ledger import Ledger

CSU = ("--csu", "aave_v3_sandbox")


@pytest.fixture
def variables() -> Iterator[dict[str, str]]:
    with Replay() as replay:
        yield {"CRYPTOLAKE_RPC_SANDBOX": replay.rpc_url, "CRYPTOLAKE_REGISTRY": str(sandbox_registry())}


def settled(folder: Path) -> set[str]:
    ledger = Ledger(folder / "data" / "ledger.sqlite")
    found = {str(p) for p, entry in ledger.states().items() if entry.state in {"done", "empty"}}
    ledger.close()
    return found


def test_daily_catches_up_and_extend_goes_back(tmp_path: Path, variables: dict[str, str]) -> None:
    nothing = cryptolake(tmp_path, "daily", **variables)
    assert nothing.returncode == 2
    assert "--csu all" in nothing.stderr
    first = cryptolake(tmp_path, "daily", *CSU, "--end-date", "2024-12-10", "--no-publish", "--json", **variables)
    assert json.loads(first.stdout)["done"] + json.loads(first.stdout)["empty"] == 2
    later = cryptolake(tmp_path, "daily", "--end-date", "2024-12-14", "--no-publish", **variables)
    assert later.returncode == 0, later.stderr
    assert settled(tmp_path) == {
        f"{d}/aave_v3_sandbox/2024-12-{n}" for d in ("tvl", "liquidations") for n in range(10, 15)
    }
    again = cryptolake(tmp_path, "daily", "--end-date", "2024-12-14", "--no-publish", "--json", **variables)
    assert json.loads(again.stdout)["done"] == 0, "nothing is due"
    back = cryptolake(tmp_path, "extend", *CSU, "--until", "2024-12-01", "--end-date", "2024-12-14", **variables)
    assert back.returncode == 0, back.stderr
    assert "reached 2024-12-01" in back.stdout
    assert widest(back.stdout) <= 100
    assert len(settled(tmp_path)) == 28
    late = cryptolake(tmp_path, "extend", *CSU, "--until", "2025-01-01", "--end-date", "2024-12-14", **variables)
    assert late.returncode == 2


def test_what_failed_is_told_and_only_that_is_retried(tmp_path: Path, variables: dict[str, str]) -> None:
    span = (*CSU, "--start-date", "2024-12-01", "--end-date", "2024-12-02", "--dataset", "tvl")
    wrong_chain = {**variables, "CRYPTOLAKE_RPC_ETHEREUM": variables["CRYPTOLAKE_RPC_SANDBOX"]}
    stopped = cryptolake(
        tmp_path, "collect", "--csu", "aave_v3_ethereum", "--start-date", "2024-12-01", "--end-date", "2024-12-01",
        "--dataset", "tvl", **wrong_chain,
    )  # fmt: skip
    assert stopped.returncode == 1
    monitor = json.loads(cryptolake(tmp_path, "monitor", "--json", **variables).stdout)
    assert {one["reason"] for one in monitor["failures"]} == {"stopped"}
    nothing = cryptolake(tmp_path, "collect", *span, "--retry-failed", "--json", **variables)
    assert json.loads(nothing.stdout)["done"] == 0, "of these days nothing had failed"
    assert cryptolake(tmp_path, "collect", *span, **variables).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_watch_follows_until_it_is_asked_to_stop(tmp_path: Path, variables: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()", "monitor", "--watch"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**CLEAN, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while "no run is at work" not in process.stdout.readline():
        assert process.poll() is None
    done = cryptolake(tmp_path, "collect", *CSU, "--start-date", "2024-12-01", "--end-date", "2024-12-01", **variables)
    assert done.returncode == 0, done.stderr
    while "2 answers in the last hour" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 0
    process.communicate()
