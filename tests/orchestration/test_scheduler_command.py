"""`cryptolake scheduler` as a process on the sandbox: fills, one instance, clean stop, fresh start without loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from tests.command import CLEAN, widest
from tests.hostile.server import Hostile, status
from tests.net.node import Node
from tests.orchestration.conftest import sandbox_variables
from tests.orchestration.stack import MAIN
from tests.server_folder import server_folder
from tests.vendors.server import Reply, vendor
from tests.waiting import PATIENCE_S

from cryptolake.catalogue import contracts
from cryptolake.demo.replay import Replay
from cryptolake.publish.warehouse import Warehouse
from cryptolake.state.slots import Slots

pytestmark = [
    pytest.mark.xdist_group("scheduler"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


@contextmanager
def scheduler(variables: dict[str, str], until: str, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running scheduler once it has said `until`, and all it has said so far."""
    process = subprocess.Popen(
        [*MAIN, "scheduler", *flags],
        env={**CLEAN, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if until in " ".join(said.split()):
                break
        else:
            raise AssertionError(said)
        yield process, said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=PATIENCE_S)


def ask(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """One command, with what it said."""
    environment = {**CLEAN, **variables}
    return subprocess.run(
        [*MAIN, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture
def variables(replay: Replay, folder: Path) -> dict[str, str]:
    return sandbox_variables(replay, folder)


@pytest.fixture
def empty() -> Iterator[Path]:
    """A data folder in which nothing was done yet: a first pull is one only once."""
    with server_folder("scheduler") as made:
        yield made


def test_it_fills_runs_once_and_stops_cleanly(replay: Replay, empty: Path) -> None:
    folder, variables = empty, sandbox_variables(replay, empty)
    with scheduler(variables, "onchain_daily: first pull") as (process, said):
        assert said.index("defillama") < said.index("onchain_daily: backfill")
        assert "known before" in said
        second = ask(variables, "scheduler")
        assert second.returncode == 1
        assert f"process {process.pid}" in second.stderr
        status = json.loads(ask(variables, "scheduler", "status", "--json").stdout)
        assert f"process {process.pid}" in status["running"]
        process.send_signal(signal.SIGTERM)
        assert "stopped" in process.communicate(timeout=PATIENCE_S)[0]
        assert process.returncode == 0
    assert pl.read_parquet(folder / "gold/daily_panel.parquet").height == 14
    shown = ask(variables, "scheduler", "status")
    assert "not running" in shown.stdout
    assert "onchain_daily" in shown.stdout
    assert widest(shown.stdout) <= 100


def test_killed_it_catches_up_the_missed_slots_once(replay: Replay, empty: Path) -> None:
    path, variables = empty / "scheduler.sqlite", sandbox_variables(replay, empty)
    with scheduler(variables, "onchain_daily: first pull") as (process, _):
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    journal = Slots(path)
    journal._connection.execute("UPDATE jobs SET since = since - 3 * 86400")  # as if it had stood still for three days
    journal.close()
    with scheduler(variables, "onchain_daily: 20") as (process, said):
        assert "(3 slots)" in said
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    journal = Slots(path)
    for job in ("onchain_daily",):
        assert [row.state for row in journal.rows(job)] == ["done"] * 3
    journal.close()


def test_a_fresh_start_asks_and_loses_nothing(variables: dict[str, str], folder: Path) -> None:
    ask(variables, "backfill", "defillama", "--key", "tether")
    span = ["--start-date", "2024-12-01", "--end-date", "2024-12-14"]
    assert ask(variables, "collect", "--csu", "aave_v3_sandbox", *span).returncode == 0
    (metrics,) = (table for table in contracts() if table.name == "metrics")
    gone_elsewhere = pl.DataFrame(
        {"source": "defillama", "asset": "gone-coin", "metric_name": "STABLECOIN_SUPPLY", "value": 7.0},
    ).with_columns(pulled_at=pl.datetime(2020, 1, 1, time_unit="us"))
    with Warehouse.open(folder, None) as warehouse:
        warehouse.load(metrics, gone_elsewhere.select(metrics.columns).cast(metrics.polars_schema()), "nothing")
        before = warehouse.query(
            "SELECT source, asset, metric_name, pulled_at::date d, value FROM metrics ORDER BY 1,2,3,4"
        )
        pulls = warehouse.query("SELECT count(*) FROM pulls").item()
    earlier = set((folder / "aside").glob("*"))
    refused = ask(variables, "scheduler", "--fresh")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert "rows of metrics" in refused.stdout.replace("\n", " ")
    with scheduler(variables, "that nobody gave again were put back", "--fresh", "--yes") as (process, said):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert "1 row that no vendor gave again" in said.replace("\n", " ")
    with Warehouse.open(folder, None) as warehouse:
        after = warehouse.query(
            "SELECT source, asset, metric_name, pulled_at::date d, value FROM metrics ORDER BY 1,2,3,4"
        )
        assert warehouse.query("SELECT count(*) FROM pulls").item() > pulls
    assert before.join(after, on=before.columns, how="anti").is_empty()
    assert after.filter(pl.col("asset") == "gone-coin").height == 1
    assert pl.read_parquet(folder / "gold/daily_panel.parquet")["priced_tvl_usd"].drop_nulls().len() == 14, (
        "asked again"
    )
    (aside,) = set((folder / "aside").iterdir()) - earlier
    assert (aside / "ledger.sqlite").exists()
    assert (aside / "bronze/tvl/aave_v3_sandbox/2024-12-05.json").exists()
    assert not (folder / "fresh.json").exists()


def test_a_fresh_start_with_a_lapsed_endpoint_ends_with_what_was_there(variables: dict[str, str], folder: Path) -> None:
    span = ["--start-date", "2024-12-01", "--end-date", "2024-12-14"]
    assert ask(variables, "run", "--csu", "aave_v3_sandbox", *span).returncode == 0
    before = pl.read_parquet(folder / "gold/daily_panel.parquet")
    with Hostile(Node(), {"401": (status(401, b"{}"), 10**6)}) as lapsed:
        dead = {**variables, "CRYPTOLAKE_RPC_SANDBOX": lapsed.url}
        with scheduler(dead, "that nobody gave again were put back", "--fresh", "--yes") as (process, said):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    assert "28 answers" in " ".join(said.split())
    after = pl.read_parquet(folder / "gold/daily_panel.parquet")
    assert after.select("csu", "date", "total_tvl_usd").equals(before.select("csu", "date", "total_tvl_usd"))
    with Warehouse.open(folder, None) as warehouse:
        assert warehouse.query("SELECT count(*) FROM daily_panel").item() == before.height


def test_a_vendor_in_trouble_does_not_keep_it(variables: dict[str, str]) -> None:
    with vendor(lambda _path, _query: Reply(500, b"down")) as down:
        urls = {name: down.url for name in variables if name.startswith("CRYPTOLAKE_URL_")}
        with scheduler({**variables, **urls}, "jobs: ") as (process, _):
            assert process.stdout is not None
            process.send_signal(signal.SIGTERM)
            for line in process.stdout:
                if "once more to stop at once" in line:
                    break
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
            assert process.returncode in {0, 128 + signal.SIGTERM}
