"""Many machines: how well a budget holds over processes, how workers scale until it binds, what a trip costs the coordinator.

Workers are processes of this machine under a real Dask scheduler, the provider counts arrivals. Synthetic trips.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
from distributed import Client
from tests.server_folder import server_folder

from benchmarks.report import write_table
from cryptolake.cluster.fleet import Fleet
from cryptolake.cluster.remote import CarriedFiles, RemoteAnswers, RemoteSource
from cryptolake.cluster.worker_list import WorkerList
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.http import Http
from cryptolake.publish.server import ensure_running
from cryptolake.state.budgets import Budgets
from cryptolake.state.ledger import Ledger

LATENCY_S, CALLS, THREADS = 0.08, 10, 4
BODY = orjson.dumps({"jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": []})
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def provider() -> Iterator[str]:
    """The counting provider's URL."""
    command = [sys.executable, "-m", "benchmarks.provider", str(LATENCY_S), "2000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()


def arrivals(url: str) -> list[float]:
    """When requests arrived since the last look, in order."""
    return sorted(orjson.loads(Http().get(url).body))


def most_in_a_second(times: Sequence[float]) -> int:
    """The fullest window of one second."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def spend(url: str, database: str, account: str, limit: float, threads: int, start_at: float, seconds: float) -> None:
    """One process: ask as fast as the budget lets, from the common start for some seconds; prints when it was granted.

    Without a URL it sleeps for the latency instead, which leaves the budget alone to be measured.
    """
    http = Http(max_connections=threads)
    granted: list[float] = []
    limiter = Budgets(database).limiter(account, limit)

    def ask() -> None:
        time.sleep(max(0.0, start_at - time.time()))
        while time.time() < start_at + seconds:
            limiter.acquire()
            granted.append(time.time())
            if url:
                http.post(url, BODY, headers={"content-type": "application/json"})
            else:
                time.sleep(LATENCY_S)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(ask)
    print(orjson.dumps(granted).decode())


def budgets(url: str, database: str) -> None:
    """The sum of five processes against one budget."""
    rows = []
    for limit, threads in ((100, 8), (300, 8), (1000, 24)):
        granted = _together("", database, limit, threads)
        _together(url, database, limit, threads)
        found = [_eight_seconds(times) for times in (granted, arrivals(url))]
        rows.append((limit, *(cell for times in found for cell in (f"{len(times) / 8:.1f}", most_in_a_second(times)))))
    write_table(
        "cluster_budgets",
        f"Five processes, one row in the embedded PostgreSQL, {LATENCY_S * 1000:.0f} ms latency, over eight seconds. Granted: "
        "what the budget gave out, with sleep in place of a request. Arrived: counted by the provider, with real HTTP. The "
        "limiter spends 98.5 % of a limit on purpose. Processes, database and provider share these cores.",
        ("limit, calls/s", "granted a second, in sum", "most in any second", "arrived a second", "most in any second"),
        rows,
    )


def _together(url: str, database: str, limit: int, threads: int) -> list[float]:
    """Five processes from one start; when each call was granted, in order."""
    code = "import os, sys; from benchmarks.cluster import spend; a = sys.argv[1:]; "
    code += "spend(a[0], os.environ['DATABASE_URL'], a[1], float(a[2]), int(a[3]), float(a[4]), 10.0)"
    start = time.time() + 10
    given = [url, f"bench-{limit}-{start}", str(limit), str(threads), str(start)]
    command = [sys.executable, "-c", code, *given]
    env = {**os.environ, "DATABASE_URL": database}
    running = [subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    return sorted(at for process in running for at in orjson.loads(process.communicate()[0]))


def _eight_seconds(times: Sequence[float]) -> list[float]:
    """Those from the second second to the ninth, when all processes are at work."""
    return [at for at in times if times[0] + 1 <= at < times[0] + 9]


class Synthetic:
    """A source of one-partition trips; the rows are nothing."""

    name = "synthetic"
    datasets: Sequence[Dataset] = ()

    def keys(self, dataset: str) -> Sequence[str]:
        """None are listed."""
        del dataset
        return ()

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One each."""
        for partition in partitions:
            yield Trip(self.name, str(partition), (partition,))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Only workers ask."""
        raise NotImplementedError

    def parse(self, raw: Raw) -> Sequence[Row]:
        """One row, as if read."""
        return [{"bytes": len(raw.payload)}]


_HTTP = Http()
_OPEN: dict[str, Budgets] = {}
_LOCK = threading.Lock()


def answer(
    url: str, database: str, limit: float, calls: int, trip: Trip, known: object, files: object
) -> RemoteAnswers:
    """On a worker: so many calls one after the other, then an answer of 2 kB."""
    del known, files
    started = time.monotonic()
    if calls:
        with _LOCK:
            if database not in _OPEN:
                _OPEN[database] = Budgets(database)
        limiter = _OPEN[database].limiter("scaling", limit)
        for _ in range(calls):
            limiter.acquire()
            _HTTP.post(url, BODY, headers={"content-type": "application/json"})
    now = datetime.now(UTC)
    raws = tuple(Raw(one, "synthetic", now, now, os.urandom(1000).hex().encode()) for one in trip.partitions)
    return RemoteAnswers(raws, None, f"bench:{os.getpid()}", time.monotonic() - started, calls, {})


@contextmanager
def fleet(workers: int) -> Iterator[Fleet]:
    """A scheduler and so many worker processes of four conversations each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"
    base = [sys.executable, "-m"]
    scheduler = [*base, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
    worker = [*base, "distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", str(THREADS)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    started = [subprocess.Popen(scheduler, **quiet)]  # type: ignore[call-overload]
    started += [subprocess.Popen([*worker, "--no-nanny", "--no-dashboard"], **quiet) for _ in range(workers)]  # type: ignore[call-overload]
    try:
        with Client(address, timeout=60) as client:
            client.wait_for_workers(workers, timeout=90)
            yield Fleet(client)
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def collect_over(asked: Fleet, folder: Path, trips: int, given: Sequence[object], threads: int) -> tuple[float, float]:
    """Collect so many trips into a fresh folder; wall and CPU seconds of this process."""
    carried = CarriedFiles(lambda _: None, FileBlockCache(folder / "blocks.json"), lambda _: {}, _keep)
    listed, ledger = WorkerList(folder), Ledger(folder / "ledger.sqlite")
    source = RemoteSource(
        Synthetic(), asked, answer=partial(answer, *given), find=_find, carried=carried, listed=listed
    )
    first = datetime(2020, 1, 1, tzinfo=UTC)
    wanted = [Partition("synthetic", "one", Period.of_hour(first + timedelta(hours=number))) for number in range(trips)]
    started, cpu = time.monotonic(), time.process_time()
    done = collect(source, wanted, bronze=Bronze(folder), ledger=ledger, workers=threads)
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    assert done.done == trips, done
    ledger.close()
    return wall, cpu


def _find(chain: str, instants: Sequence[int]) -> Mapping[int, object]:
    raise NotImplementedError(chain, instants)


def _keep(files: Mapping[str, bytes]) -> None:
    assert not files


def scaling(url: str, database: str, folder: Path) -> None:
    """1, 2, 4, 8 workers under a budget of 300 calls a second."""
    limit, rows, alone = 300, [], 0.0
    for workers in (1, 2, 4, 8):
        free = workers * THREADS / (LATENCY_S + 0.002)
        trips = int(min(free, limit) * 12 / CALLS)
        with fleet(workers) as asked:
            collect_over(asked, folder / f"warm{workers}", workers * THREADS * 2, (url, database, limit, 1), 64)
            arrivals(url)
            collect_over(asked, folder / f"run{workers}", trips, (url, database, limit, CALLS), 64)
        times = arrivals(url)
        begin, end = times[0] + 1, times[-1] - 2
        rate = sum(1 for at in times if begin <= at < end) / (end - begin)
        alone = alone or rate
        possible = min(limit, workers * THREADS / LATENCY_S)
        rows.append((workers, f"{rate:.1f}", f"{rate / alone:.2f}", f"{rate / possible:.1%}", most_in_a_second(times)))
    write_table(
        "cluster_scaling",
        f"Trips of {CALLS} calls one after the other, {THREADS} conversations a worker, {LATENCY_S * 1000:.0f} ms latency, a "
        f"budget of {limit} calls/s in sum; whole collection with landing and ledger. Possible: conversations / latency, "
        "or the budget. All workers share these cores. Aim: 95 % of the budget once it binds.",
        ("workers", "calls/s", "speed-up", "of what is possible", "most in any second"),
        rows,
    )


def overhead(folder: Path) -> None:
    """Trips that ask nothing: what is left is the coordinator's own."""
    trips, rows = 2000, []
    with fleet(2) as asked:
        collect_over(asked, folder / "warm", 50, ("", "", 1.0, 0), 32)
        trip = Trip("synthetic", "noop", (Partition("synthetic", "one", Period.of_hour(datetime.now(UTC))),))
        work = partial(answer, "", "", 1.0, 0)
        started, cpu = time.monotonic(), time.process_time()
        with ThreadPoolExecutor(32) as threads:
            list(threads.map(lambda _: asked.ask("noop", work, trip, {}, {}), range(trips)))
        rows.append(("ask a worker and hear from it", time.monotonic() - started, time.process_time() - cpu))
        wall, cpu = collect_over(asked, folder / "noop", trips, ("", "", 1.0, 0), 32)
        rows.append(("the same, landed in bronze and ledger (fsync)", wall, cpu))
    write_table(
        "cluster_overhead",
        f"{trips:,} trips of one partition that ask nothing, two workers of four conversations, all on these cores. "
        "Aim: 5 ms a trip.",
        ("what", "wall ms a trip", "CPU ms a trip (coordinator)"),
        [(what, f"{wall / trips * 1000:.2f}", f"{cpu / trips * 1000:.2f}") for what, wall, cpu in rows],
    )


def main() -> None:
    """All three."""
    wanted = os.environ.get("PART", "budgets scaling overhead").split()
    with server_folder("bench") as folder, provider() as url:
        database = ensure_running(folder)
        if "budgets" in wanted:
            budgets(url, database)
        if "scaling" in wanted:
            scaling(url, database, folder)
        if "overhead" in wanted:
            overhead(folder)


if __name__ == "__main__":
    main()
