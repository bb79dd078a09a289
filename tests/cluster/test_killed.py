"""A Dask cluster by its address: workers, coordinator and scheduler killed with SIGKILL; nothing is lost, nothing doubled."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from distributed import Client
from tests.cluster.gated import Gate, gated
from tests.cluster.test_lab import SECRET, SPAN, command, folder
from tests.command import CLEAN
from tests.hostile.test_killed_anywhere import outcome
from tests.waiting import PATIENCE_S

from cryptolake.cluster.worker_list import read_workers
from cryptolake.demo.replay import Replay
from cryptolake.publish.server import ensure_running

__all__ = ["folder"]
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
    pytest.mark.xdist_group("cluster"),
]


class Cluster:
    """A scheduler and workers, each a process; the workers have their own secrets in their environment."""

    def __init__(self, folder: Path, url: str, database: str) -> None:
        self._env = {**CLEAN, "CRYPTOLAKE_RPC_SANDBOX": f"{url}?{SECRET}", "DATABASE_URL": database}
        self._folder = folder
        self._all: list[subprocess.Popen[bytes]] = []
        self._scheduler()

    def _scheduler(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self._folder / f"{program}{len(self._all)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *arguments],
            cwd=self._folder,
            env=self._env,
            stdout=log,
            stderr=log,
        )
        self._all.append(process)
        return process

    def add(self) -> subprocess.Popen[bytes]:
        """One more worker, with two conversations at once."""
        return self._start(
            "dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", "2", "--no-nanny", "--no-dashboard"
        )

    def until(self, workers: int) -> None:
        """Until so many workers are there."""
        with Client(self.address, timeout=PATIENCE_S) as client:
            client.wait_for_workers(workers, timeout=PATIENCE_S)

    def close(self) -> None:
        """End everything that still runs."""
        for process in self._all:
            process.kill()
            process.wait()


@contextmanager
def cluster(folder: Path, url: str) -> Iterator[Cluster]:
    """A cluster whose workers keep their budgets in the embedded database of the collecting folder."""
    made = Cluster(folder, url, ensure_running(folder / "data"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def wanted(folder: Path) -> dict[str, object]:
    """What one machine collects undisturbed."""
    with Replay() as replay:
        alone = command(folder, replay.rpc_url, "--data", str(folder / "alone"), "collect", *SPAN)
        assert alone.wait(timeout=PATIENCE_S) == 0
    return outcome(folder / "alone")


def test_a_killed_worker_costs_its_trips_and_a_later_one_helps(folder: Path, wanted: dict[str, object]) -> None:
    gate = Gate()
    gate.close_after(12)
    with gated(gate) as replay, cluster(folder, replay.rpc_url) as workers:
        first, _ = workers.add(), workers.add()
        workers.until(2)
        run = command(folder, replay.rpc_url, "collect", *SPAN, "--cluster", workers.address)
        gate.await_waiting(2)  # both workers are in the middle of a trip
        first.send_signal(signal.SIGKILL)
        first.wait()
        late = workers.add()
        workers.until(2)
        gate.await_waiting(3)
        gate.open()
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, err
    found = outcome(folder / "data")
    assert found["answers"] == wanted["answers"]
    assert found["states"] == wanted["states"]
    assert str(late.pid) in {one.name.rpartition(":")[2] for one in read_workers(folder / "data")}
    logs = "".join(path.read_text() for path in folder.glob("dask_*.log"))
    assert "distributed" in logs
    assert SECRET not in logs + err


def test_coordinator_and_scheduler_killed_and_the_next_run_goes_on(folder: Path, wanted: dict[str, object]) -> None:
    gate = Gate()
    with gated(gate) as replay, ExitStack() as stack:
        one = stack.enter_context(cluster(folder, replay.rpc_url))
        first = one.add()
        one.until(1)
        flags = ["collect", *SPAN, "--cluster"]
        gate.close_after(14)
        killed = command(folder, replay.rpc_url, *flags, one.address)
        gate.await_waiting(1)
        killed.kill()
        killed.communicate()
        one.add()
        one.until(2)
        first.kill()  # with the trips nobody waits for: what arrives from now on was asked by the next run
        first.wait()
        gate.open()

        gate.close_after(6)
        lost = command(folder, replay.rpc_url, *flags, one.address)
        gate.await_waiting(1)
        one.scheduler.kill()
        _, err = lost.communicate(timeout=PATIENCE_S)
        assert lost.returncode == 1
        assert "scheduler has ended; what was answered is kept" in err
        gate.open()

        two = stack.enter_context(cluster(folder, replay.rpc_url))
        two.add()
        two.until(1)
        last = command(folder, replay.rpc_url, *flags, two.address)
        _, err = last.communicate(timeout=PATIENCE_S)
        assert last.returncode == 0, err
    found = outcome(folder / "data")
    assert found["answers"] == wanted["answers"]
    assert found["states"] == wanted["states"]


def test_no_scheduler_and_no_worker_are_one_clear_line(folder: Path) -> None:
    with Replay() as replay, cluster(folder, replay.rpc_url) as empty:
        run = command(folder, replay.rpc_url, "collect", *SPAN, "--cluster", "tcp://127.0.0.1:9")
        assert "no Dask scheduler answers" in run.communicate(timeout=PATIENCE_S)[1]
        run = command(folder, replay.rpc_url, "collect", *SPAN, "--cluster", empty.address)
        assert "the cluster has no worker" in run.communicate(timeout=PATIENCE_S)[1]
        assert run.returncode == 1


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_asked_to_stop_it_does_not_wait_for_the_trips(folder: Path, asked: signal.Signals, code: int) -> None:
    gate = Gate()
    gate.close_after(12)
    with gated(gate) as replay, cluster(folder, replay.rpc_url) as workers:
        workers.add()
        workers.until(1)
        run = command(folder, replay.rpc_url, "collect", *SPAN, "--cluster", workers.address)
        gate.await_waiting(1)
        run.send_signal(asked)  # both conversations go on waiting at the closed gate
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == code, err
        assert "run the same command again to go on" in err
        gate.open()
        again = command(folder, replay.rpc_url, "collect", *SPAN, "--cluster", workers.address)
        assert again.wait(timeout=PATIENCE_S) == 0
    assert len(outcome(folder / "data")["states"]) == 28  # type: ignore[arg-type]
