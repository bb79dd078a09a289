"""Orchestration: what Dagster costs per run, a year as one run, start-up and memory of `cryptolake up`, and the scheduler."""

# No `from __future__ import annotations`: Dagster reads the annotations of the asset below.

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

import dagster as dg
from tests.orchestration.conftest import sandbox_variables
from tests.orchestration.stack import stack
from tests.server_folder import server_folder

from benchmarks.report import write_table
from cryptolake.cli.dagster_home import storage_url, write_instance
from cryptolake.definitions import definitions
from cryptolake.demo.replay import Replay
from cryptolake.flow.schedule import ScheduledJob
from cryptolake.flow.scheduler import Outcome, Scheduler
from cryptolake.publish.server import ensure_running
from cryptolake.publish.warehouse import Warehouse
from cryptolake.state.slots import Slots

RUNS, DAYS = 10, 365


def main() -> None:
    """Measure and write the table."""
    with server_folder("bench") as folder, Replay() as replay:
        variables = sandbox_variables(replay, folder)
        rows = _stack(variables)
        with _environment(variables):
            rows += _runs(folder)
    rows += _scheduler()
    write_table(
        "orchestration",
        "The bundled sandbox, embedded PostgreSQL as run storage, one start and one year, "
        f"{RUNS} runs in process. The year is 365 empty partitions: what Dagster itself costs, beside the steps' own work.",
        ("what", "measured", "note"),
        rows,
    )


def _stack(variables: Mapping[str, str]) -> list[tuple[str, str, str]]:
    with stack(variables) as running:
        sizes = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            words = entry.read_bytes().decode(errors="replace").split("\0")
            for name, part in (
                ("dagster._daemon", "daemon"),
                ("dagster_webserver", "web page"),
                ("grpc", "code server"),
            ):
                if name in words and _parent(int(entry.parent.name)) == running.process.pid:
                    sizes[part] = _resident(int(entry.parent.name))
        sizes["cryptolake up"] = _resident(running.process.pid)
        started = running.seconds
        before = perf_counter()
        running.stop()
        stopped = perf_counter() - before
    shown = ", ".join(f"{part} {size:.0f}" for part, size in sorted(sizes.items()))
    return [
        (
            "`cryptolake up`, first start, to ready",
            f"{started} s",
            "database made, page has the definitions, daemon beats",
        ),
        ("the same, Ctrl-C to gone", f"{stopped:.1f} s", ""),
        ("memory, idle", f"{sum(sizes.values()):.0f} MB", f"resident: {shown}"),
    ]


def _runs(folder: Path) -> list[tuple[str, str, str]]:
    home = folder / "dagster-bench"
    home.mkdir()
    url = ensure_running(folder)
    with Warehouse.open(folder, url, "bench_dagster"):
        os.environ["CRYPTOLAKE_DAGSTER_URL"] = storage_url(url, "bench_dagster")
    write_instance(home)
    os.environ["DAGSTER_HOME"] = str(home)

    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2025-01-01"), backfill_policy=dg.BackfillPolicy.single_run())
    def empty(context: dg.AssetExecutionContext) -> None:
        context.log.debug("nothing")

    with dg.DagsterInstance.get() as instance:
        one = _mean(lambda: dg.materialize([empty], instance=instance, partition_key="2025-01-01"))
        tags = {"dagster/asset_partition_range_start": "2025-01-01", "dagster/asset_partition_range_end": "2025-12-31"}
        started = perf_counter()
        assert dg.materialize([empty], instance=instance, tags=tags).success
        year = perf_counter() - started
        job = definitions().get_repository_def().get_job("onchain_daily")
        span = {"dagster/asset_partition_range_start": "2024-12-01", "dagster/asset_partition_range_end": "2024-12-14"}
        started = perf_counter()
        assert job.execute_in_process(instance=instance, tags=span).success
        fortnight = perf_counter() - started
    return [
        ("one materialisation", f"{one * 1000:.0f} ms", "empty asset, one partition, run and events stored"),
        (
            "a year as one run",
            f"{year:.1f} s",
            f"{year / DAYS * 1000:.0f} ms a day; {DAYS} runs would take {one * DAYS:.0f} s",
        ),
        (
            "`onchain_daily` over 14 days as one run",
            f"{fortnight:.1f} s",
            "collect, refine, build, publish, every check",
        ),
    ]


def _scheduler() -> list[tuple[str, str, str]]:
    class Nothing:
        def backfill(self, job: ScheduledJob):
            yield Outcome(True)

        def run(self, job: ScheduledJob, slots: object) -> Outcome:
            return Outcome(True)

        def alert(self, title: str, text: str) -> None:
            raise AssertionError(text)

    class Clock:
        now = datetime(2026, 2, 20, tzinfo=UTC)

    def wait(seconds: float) -> bool:
        Clock.now += timedelta(seconds=max(seconds, 0.01))
        return Clock.now > datetime(2026, 4, 21, tzinfo=UTC)

    folder = Path(tempfile.mkdtemp(prefix="cryptolake-bench-"))
    jobs = [ScheduledJob(f"hourly_{n}", "v", (), "hour", 5) for n in range(2)] + [
        ScheduledJob(f"daily_{n}", "v", (), "day", 5) for n in range(2)
    ]
    slots = Slots(folder / "scheduler.sqlite")
    scheduler = Scheduler(jobs, slots, Nothing(), wait=wait, now=lambda: Clock.now)
    started = process_time()
    scheduler.start()
    scheduler.run()
    seconds = process_time() - started
    count = sum(sum(slots.counts(job.name).values()) for job in jobs)
    slots.close()
    shutil.rmtree(folder)
    cost = f"{count:,} slots, every one settled once; {seconds / 60:.2f} CPU s a day of an idle scheduler"
    return [("scheduler, 60 simulated days of 4 jobs", f"{seconds:.1f} CPU s", cost)]


def _mean(work) -> float:
    work()
    started = perf_counter()
    for _ in range(RUNS):
        work()
    return (perf_counter() - started) / RUNS


@contextmanager
def _environment(variables: Mapping[str, str]):
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _parent(pid: int) -> int:
    return int(
        next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("PPid")).split()[
            1
        ]
    )


def _resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
