"""A collection killed with SIGKILL at random moments ends with the data of an undisturbed one, and verifies."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from datetime import date
from pathlib import Path

import orjson
import polars as pl
import pytest
from tests.waiting import PATIENCE_S

from cryptolake.cli import main
from cryptolake.cli.state import State
from cryptolake.contracts.partition import Partition, days
from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.lake.bronze import Bronze
from cryptolake.state.ledger import Ledger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

CSU = "aave_v3_sandbox"
SPAN = ["--csu", CSU, "--start-date", "2024-12-01", "--end-date", "2024-12-14"]
# A server that has everything imported: each run starts in milliseconds, so that kills land in the work, not in imports.
RUNS = multiprocessing.get_context("forkserver")
RUNS.set_forkserver_preload(["cryptolake.cli", "cryptolake.cli.onchain", "cryptolake.app"])


def _run(data: str, url: str, *steps: str) -> None:
    os.environ |= {
        "CRYPTOLAKE_RPC_SANDBOX": url,
        "CRYPTOLAKE_REGISTRY": str(sandbox_registry()),
        "CRYPTOLAKE_DATA": data,
    }
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for the rest of this short-lived process
    for step in steps:
        sys.argv = ["cryptolake", step, *(SPAN if step in {"collect", "refine", "verify"} else [])]
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                os._exit(int(ended.code))


def whole(data: Path, url: str, *steps: str) -> int | None:
    """Run steps to their end in another process; the exit code."""
    process = RUNS.Process(target=_run, args=(str(data), url, *steps))
    process.start()
    process.join(timeout=PATIENCE_S)
    return process.exitcode


def outcome(data: Path) -> dict[str, object]:
    """What the run is for: silver rows, ledger states, and the answers without their time stamps."""
    ledger, bronze = Ledger(data / "ledger.sqlite"), Bronze(data)
    try:
        states = {str(partition): entry.state for partition, entry in ledger.states().items()}
    finally:
        ledger.close()
    answers = {}
    for dataset in ("tvl", "liquidations"):
        for period in days(date(2024, 12, 1), date(2024, 12, 14)):
            raw = bronze.read(Partition(dataset, CSU, period), "onchain")
            if raw is not None:
                payload = orjson.loads(raw.payload)
                payload.pop("certificate", None)
                answers[f"{dataset} {period}"] = payload
    tables = {path.parent.name: pl.read_parquet(path) for path in data.glob("bronze/*/*/*.parquet")}
    return {"states": states, "answers": answers, "rows": {name: frame.height for name, frame in tables.items()}}


def killed(data: Path, url: str, after_s: float) -> bool:
    """Start collecting and refining, kill it after a while; whether it was still at work."""
    process = RUNS.Process(target=_run, args=(str(data), url, "collect", "refine"))
    process.start()
    process.join(timeout=after_s)
    if process.pid is None or process.exitcode is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return True


@pytest.mark.parametrize("moments", [6, pytest.param(200, marks=pytest.mark.soak)])
def test_kill_9_at_random_moments_changes_nothing(tmp_path: Path, moments: int) -> None:
    State.settings = None
    with Replay() as replay:
        assert whole(tmp_path / "calm", replay.rpc_url, "collect", "refine") == 0  # also warms the fork server
        started = time.monotonic()
        assert whole(tmp_path / "undisturbed", replay.rpc_url, "collect", "refine") == 0
        duration = time.monotonic() - started
        wanted = outcome(tmp_path / "undisturbed")
        assert len(wanted["answers"]) == 28  # type: ignore[arg-type]
        chance = random.Random(20241231)
        done, round_number = 0, 0
        while done < moments:
            data = tmp_path / f"round-{round_number}"
            round_number += 1
            for _ in range(4):
                done += killed(data, replay.rpc_url, chance.uniform(0, duration))
            assert whole(data, replay.rpc_url, "collect", "refine") == 0
            assert outcome(data) == wanted
            assert whole(data, replay.rpc_url, "verify") == 0
        (next((data / "bronze" / "liquidations" / CSU).glob("2024-12-05.raw*"))).unlink()
        assert whole(data, replay.rpc_url, "verify") == 1
