"""A chain-day of snapshots: all Ethereum markets whose families are built, against a simulated node over real HTTP.

Counts HTTP requests and the client's CPU seconds a day, first day and later days apart: the first teaches what to ask and
scans the history of the markets that are found by events.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter, process_time

import orjson

from benchmarks.report import write_table
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.loader import load_registry, select
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared, families
from cryptolake.sources.onchain.source import OnchainSource

FIRST_DAY, DAYS = date(2026, 1, 1), 31
AIM_REQUESTS, AIM_CPU_S = 6, 1.0


@dataclass(frozen=True)
class Day:
    """What one chain-day cost and gave."""

    requests: int
    cpu_s: float
    wall_s: float
    rows: int
    priced: int
    markets: int


def measure(csus: Sequence[Csu], url: str, cache: FileBlockCache, *, month: bool) -> tuple[list[Day], dict[str, str]]:
    """Collect and parse the first day, then the others one by one or as one run; also the markets that failed and why."""
    http = Http()
    pool = Pool("ethereum", 1, [Endpoint("simulated", SecretUrl(url), Limits(rate=1e6, log_span=100_000))], http)
    source = OnchainSource(registry=load_registry(declared()), csus=csus, pools=lambda _: pool, block_cache=cache)
    periods = [Period.of_day(FIRST_DAY + timedelta(days=number)) for number in range(DAYS)]
    runs = [periods[:1], periods[1:]] if month else [[period] for period in periods]
    days, failed = [], {}
    for run in runs:
        for trip in source.trips([Partition("tvl", csu.name, period) for period in run for csu in csus]):
            asked, cpu, wall = pool.requests, process_time(), perf_counter()
            rows = []
            markets = 0
            for landed in source.fetch(trip):
                if isinstance(landed, Raw):
                    rows += source.parse(landed)
                    markets += 1
                else:
                    failed[landed.partition.key] = landed.message
            spent = (process_time() - cpu, perf_counter() - wall)
            priced = sum(row["price_raw"] is not None for row in rows)
            days.append(Day(pool.requests - asked, *spent, len(rows), priced, markets))
    assert len(days) == DAYS
    http.close()
    return days, failed


def _row(name: str, days: Sequence[Day]) -> Sequence[object]:
    requests, cpu, wall = (
        sum(values) / len(days) for values in zip(*((d.requests, d.cpu_s, d.wall_s) for d in days), strict=True)
    )
    return (name, len(days), f"{requests:.1f}", f"{cpu:.2f}", f"{wall:.2f}", days[-1].rows, days[-1].priced)


def main() -> None:
    """Measure and write the table."""
    every = select(load_registry(declared()), chains=["ethereum"])
    csus = [csu for csu in every if csu.family in families()]
    node = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.simulated_ethereum"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert node.stdin is not None
    assert node.stdout is not None
    folder = tempfile.TemporaryDirectory(prefix="cryptolake-bench-")
    try:
        url = f"http://127.0.0.1:{node.stdout.readline().strip()}"
        days, failed = measure(csus, url, FileBlockCache(Path(folder.name) / "alone.json"), month=False)
        month, _ = measure(csus, url, FileBlockCache(Path(folder.name) / "month.json"), month=True)
        node.stdin.close()
        unknown = orjson.loads(node.stdout.readline())
    finally:
        folder.cleanup()
        with suppress(OSError):
            node.stdin.close()
        node.wait(10)
    first = days[0]
    rows = [
        _row("first day", [first]),
        _row("a later day, collected alone (mean)", days[1:]),
        _row("a day of a month collected at once (mean)", month[1:]),
        ("aim", "", AIM_REQUESTS, f"{AIM_CPU_S:.2f}", "", "", ""),
    ]
    counted = Counter(csu.family for csu in csus)
    built = ", ".join(f"{family} {count}" for family, count in sorted(counted.items()))
    note = (
        f"{first.markets} of the {len(every)} Ethereum markets of the registry ({built}; the others' families are not built), "
        "tvl with prices, block finding included, collected from a simulated node over loopback HTTP and parsed; CPU of the "
        "client process. Sizes of the markets are set by hand (benchmarks/simulated_ethereum.py), no real data."
    )
    if failed:
        note += " Failed: " + "; ".join(f"{name}: {why}" for name, why in sorted(failed.items())) + "."
    if unknown:
        note += f" Selectors that the simulation does not know: {', '.join(sorted(unknown))}."
    write_table("ethereum_day", note, ("day", "days", "HTTP requests", "CPU s", "wall s", "rows", "with a price"), rows)


if __name__ == "__main__":
    main()
