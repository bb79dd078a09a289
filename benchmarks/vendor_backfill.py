"""The vendors' whole simulated universe: backfill at an unlimited vendor, again, the rate limit's use, the bulk look-ups."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time

from tests.server_folder import server_folder
from tests.stores import stores_of
from tests.vendors.universe import urls

from benchmarks.report import write_table
from cryptolake.catalogue import contracts
from cryptolake.contracts.source import Source
from cryptolake.net.access import Access
from cryptolake.net.http import Http
from cryptolake.publish.warehouse import Warehouse
from cryptolake.sources.artemis import Artemis
from cryptolake.sources.defillama import DefiLlama
from cryptolake.state.ledger import Ledger
from cryptolake.work.series import Operation, Pulled, pull_or_backfill

UNLIMITED = 10_000_000  # calls a minute
WORKERS = 10
# The limiter's part: histories of four datasets, about 900 calls.
LIMITED = ("protocol_tvl", "protocol_fees", "protocol_revenue", "protocol_dex_volume")
PER_MINUTE, BURST = 900, 12


@contextmanager
def simulated(size: float, delay_ms: float, kbytes_per_s: float) -> Iterator[str]:
    """A server of the universe in a process of its own; its base URL."""
    command = [sys.executable, "-m", "tests.vendors.fast_server", str(size), str(delay_ms), str(kbytes_per_s)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


class Run:
    """A lake and a database of their own, and both vendors at a server."""

    def __init__(self, url: str, folder: Path, warehouse: Warehouse, per_minute: int) -> None:
        hosts = {name: base for name, base in urls(url).items() if name in {"artemis", "defillama_pro"}}
        self._http = Http()
        self._access = Access(
            self._http,
            urls=hosts,
            secrets={"DEFILLAMA_API_KEY": "synthetic", "ARTEMIS_API_KEY": "synthetic"},
            rates={"defillama": per_minute, "artemis": per_minute},
        )
        self._stores = stores_of(folder, Ledger(folder / "ledger.sqlite"), warehouse)

    def sources(self) -> list[Source]:
        """Both vendors, newly opened."""
        return [DefiLlama(self._access), Artemis(self._access)]

    def operate(self, operation: Operation, source: Source, datasets: list[str] | None = None) -> tuple[Pulled, float]:
        """One operation and its seconds."""
        started = perf_counter()
        pulled = pull_or_backfill(
            operation,
            source,
            self._stores,
            keys=None,
            datasets=datasets or [one.name for one in source.datasets],
            workers=WORKERS,
        )
        return pulled, perf_counter() - started


def main() -> None:
    """Measure and write the table."""
    rows: list[tuple[str, str, str, str]] = []
    with server_folder("bench") as folder, Warehouse.open(folder, None) as warehouse:
        warehouse.setup(contracts())
        with simulated(1.0, 0, 0) as url:
            run = Run(url, folder, warehouse, UNLIMITED)
            for name, aim in (("first backfill", 90.0), ("same again (idempotent)", 45.0)):
                cpu = process_time()
                done = [run.operate("backfill", source) for source in run.sources()]
                cpu = process_time() - cpu
                seconds = sum(spent for _, spent in done)
                points = sum(pulled.records for pulled, _ in done)
                calls = sum(pulled.asked.requests for pulled, _ in done)
                inserted = sum(pulled.inserted for pulled, _ in done)
                detail = f"{points:,} rows, {calls:,} requests, {inserted:,} inserted, {cpu:.0f} s of own CPU"
                assert all(pulled.status == "success" for pulled, _ in done)
                rows.append((name, f"{seconds:.1f} s", f"{aim:.0f} s", f"{detail}; ratio {seconds / aim:.2f}"))
        with simulated(0.05, 200, 0) as url:
            rows.append(_limited(Run(url, folder / "limited", warehouse, PER_MINUTE), url))
        with simulated(0.02, 50, 4000) as url:
            rows.append(_bulk(url))
    write_table(
        "vendor_backfill",
        "323 DefiLlama entities and 297 Artemis assets, synthetic bodies in the vendors' shape (`/protocols` "
        "8 MB, histories to 2011), real HTTP from another process on the same cores, bronze, ledger, embedded "
        f"PostgreSQL, {WORKERS} workers. One run each.",
        ("what", "measured", "aim", "detail"),
        rows,
    )


def _limited(run: Run, url: str) -> tuple[str, str, str, str]:
    """How much of the limit is used when a vendor answers after 200 ms, and the fullest minute it saw."""
    pulled, _ = run.operate("backfill", run.sources()[0], list(LIMITED))
    http = Http()
    stamps = sorted(json.loads(http.get(f"{url}/-/stamps").body))
    http.close()
    fullest = max(sum(1 for other in stamps[i:] if other < at + 60) for i, at in enumerate(stamps))
    ceiling = (PER_MINUTE - BURST) / 60
    rate = (len(stamps) - 1 - BURST) / (stamps[-1] - stamps[0])
    share = f"{rate / ceiling:.1%} of {ceiling:.1f}/s"
    detail = f"{pulled.asked.requests:,} requests; {fullest} in the fullest minute (promised: at most {PER_MINUTE})"
    return "use of the limiter's ceiling", share, "97 %", detail


def _bulk(url: str) -> tuple[str, str, str, str]:
    """The bulk look-ups of a pull, next to the slowest of them alone, at 4 MB/s and 50 ms."""
    hosts = {"defillama_pro": f"{url}/pro"}
    http = Http()
    access = Access(http, urls=hosts, secrets={"DEFILLAMA_API_KEY": "synthetic"})
    source = DefiLlama(access)
    source.prepare(["protocol_tvl"], "day")  # warms the connections
    slowest = min(_seconds(lambda: http.get(f"{url}/pro/synthetic/api/protocols")) for _ in range(3))
    spent = min(_seconds(lambda: source.prepare([one.name for one in source.datasets], "hour")) for _ in range(3))
    http.close()
    return (
        "bulk look-ups",
        f"{spent / slowest - 1:+.0%} over the slowest",
        "+20 %",
        f"{spent:.2f} s; slowest body {slowest:.2f} s",
    )


def _seconds(work: object) -> float:
    assert callable(work)
    started = perf_counter()
    work()
    return perf_counter() - started
