"""A refresh killed at its worst moments: what was stored stays whole, and the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.coins.vendor import Vendor, coins_of
from tests.command import CLEAN
from tests.waiting import PATIENCE_S, until

from cryptolake.catalogue import contracts
from cryptolake.lake.runs import Runs
from cryptolake.publish.warehouse import Warehouse
from cryptolake.work import coin_runs
from cryptolake.work import coins as flow

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def start(folder: Path, vendor: Vendor, database_url: str, *arguments: str) -> subprocess.Popen[bytes]:
    """The command line as its own process."""
    ours = {"CRYPTOLAKE_URL_COINGECKO": vendor.url, "COINGECKO_DEMO_API_KEY": "CG-x", "DATABASE_URL": database_url}
    return subprocess.Popen(
        [sys.executable, "-c", "from cryptolake.cli import main; main()", "--data", str(folder), "coins", *arguments],
        env={**CLEAN, **ours},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def staged(warehouse: Warehouse) -> list[tuple[object, ...]]:
    warehouse.setup(contracts())
    return warehouse.query("SELECT count(*), min(processed_at), max(processed_at) FROM staging_crypto_market").rows()


def test_killed_between_two_pages_leaves_nothing_half(
    tmp_path: Path, vendor: Vendor, database_url: str, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(600)
    process = start(tmp_path, vendor, database_url, "refresh", "--top", "600")

    def kill(_path: str, query: dict[str, str]) -> None:
        if query.get("page") == "2":
            process.send_signal(signal.SIGKILL)

    vendor.before = kill
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert coin_runs.kept_runs(Runs(tmp_path)) == []
    assert staged(warehouse)[0][0] == 0
    vendor.before = lambda _path, _query: None
    assert start(tmp_path, vendor, database_url, "refresh", "--top", "600").wait(PATIENCE_S) in {
        0,
        1,
    }  # 1: the coins look stale
    assert staged(warehouse)[0][0] == 600
    assert len(coin_runs.kept_runs(Runs(tmp_path))) == 1


def test_killed_before_the_load_keeps_the_run_and_the_old_tables(
    tmp_path: Path, vendor: Vendor, database_url: str, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(100)
    start(tmp_path, vendor, database_url, "refresh", "--top", "100").wait(PATIENCE_S)
    before = staged(warehouse)
    assert before[0][0] == 100
    with psycopg.connect(database_url) as holder:  # another loader at work: the refresh has to wait behind it
        holder.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"cryptolake {flow.LOCK}",))
        process = start(tmp_path, vendor, database_url, "refresh", "--top", "100")
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: process.poll() is not None or warehouse.query(waiting).item() > 0, "a loader that waits")
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    kept = coin_runs.kept_runs(Runs(tmp_path))
    assert len(kept) == 2
    assert staged(warehouse) == before
    vendor.asked.clear()
    start(tmp_path, vendor, database_url, "replay", "latest").wait(PATIENCE_S)
    assert vendor.asked == []
    assert staged(warehouse) == [(100, coin_runs.instant_of(kept[-1]), coin_runs.instant_of(kept[-1]))]
