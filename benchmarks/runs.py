"""Long runs: the ledger at two million entries, resuming a million, scaling over workers, what a trip costs the coordinator.

The provider is the counting one of this folder with latency; markets, partitions and answers are synthetic.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.report import write_table
from benchmarks.rpc import Serving
from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.flow.collect import collect
from cryptolake.flow.plan import Span
from cryptolake.flow.resume import compare
from cryptolake.lake.bronze import Bronze
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.state.ledger import Ledger
from cryptolake.watch.coverage import status
from cryptolake.watch.metrics import metrics

NOW = datetime.now(UTC)
MARKETS, FIRST = 177, date(2018, 6, 1)
ENTRIES, DONE = 2_000_000, 1_000_000


def partitions(count: int) -> Iterator[Partition]:
    """So many partitions of two datasets and 177 markets, day by day from 2018 on."""
    per_series = -(-count // (2 * MARKETS))
    periods = list(days(FIRST, FIRST + timedelta(days=per_series - 1)))
    made = 0
    for period in periods:
        for number in range(MARKETS):
            for dataset in ("tvl", "liquidations"):
                if made == count:
                    return
                made += 1
                yield Partition(dataset, f"market_{number:03}_somewhere", period)


def fill(ledger: Ledger, count: int, *, failed_every: int) -> None:
    """Settle so many partitions, one in `failed_every` failed."""
    batch: list[Entry] = []
    for number, one in enumerate(partitions(count)):
        state: State = "failed" if number % failed_every == failed_every - 1 else "done"
        digest = f"{number:064x}" if state == "done" else None
        batch.append(Entry(one, state, NOW, "bench:1", rows=12, digest=digest, block=number, reason=state))
        if len(batch) == 50_000:
            ledger.append_many(batch)
            batch.clear()
    ledger.append_many(batch)


def timed(question: Callable[[], object], times: int = 7) -> float:
    """The median milliseconds of a question."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        question()
        found.append((time.perf_counter() - started) * 1000)
    return median(found)


def appending(path: str, worker: int, count: int) -> None:
    """Append entries one by one, each its own transaction."""
    ledger = Ledger(Path(path))
    period = Period.of_day(FIRST)
    for number in range(count):
        ledger.append(
            Entry(Partition("tvl", f"w{worker}_{number % 5000}", period), "done", NOW, f"bench:{worker}", rows=1)
        )
    ledger.close()


def appends(folder: Path, processes: int, each: int) -> float:
    """Entries a second of several processes that write one ledger."""
    path = folder / f"appends-{processes}.sqlite"
    Ledger(path).close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=appending, args=(str(path), n, each)) for n in range(processes)]
    started = time.perf_counter()
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    taken = time.perf_counter() - started
    ledger = Ledger(path)
    assert ledger.size()[0] == processes * each
    ledger.close()
    return processes * each / taken


def ledgers(folder: Path) -> None:
    """Appends, state queries at two million entries."""
    rows: list[tuple[object, ...]] = []
    for processes in (1, 4):
        rate = appends(folder, processes, 20_000 // processes)
        rows.append((f"appends, one transaction each, {processes} processes", f"{rate:,.0f} a second", ""))
    ledger = Ledger(folder / "big.sqlite")
    started = time.perf_counter()
    fill(ledger, ENTRIES, failed_every=1000)
    rows.append(("appends, 50,000 to a transaction", f"{ENTRIES / (time.perf_counter() - started):,.0f} a second", ""))
    key = "market_100_somewhere"
    one = Partition("tvl", key, Period.of_day(date(2020, 1, 1)))
    some = [Partition("tvl", key, period) for period in days(date(2019, 1, 1), date(2020, 12, 31))]
    chains = {f"market_{number:03}_somewhere": "ethereum" for number in range(MARKETS)}
    questions: list[tuple[str, Callable[[], object]]] = [
        ("the state of one partition", lambda: ledger.state(one)),
        ("the states of 731 named partitions", lambda: ledger.of(some)),
        ("partitions by state", ledger.counts),
        ("failures by cause, with the newest (2,000 failed)", ledger.failures),
        ("everything settled of one series", lambda: ledger.settled("tvl", key)),
        ("a month of one market", lambda: ledger.series("tvl", key, "2020-01-01", "2020-01-31")),
        ("the whole monitor page, 177 markets x 62 days", lambda: status(ledger, [], chains, last=date(2024, 6, 1))),
        ("the Prometheus page", lambda: metrics(ledger, [], datetime.now(UTC))),
        ("claim and release 1,000 partitions", lambda: (ledger.claim(some, "w", 60), ledger.release("w"))),
    ]
    rows += [(what, f"{timed(question):,.1f} ms", "100 ms") for what, question in questions]
    write_table(
        "runs_ledger",
        f"A ledger of {ENTRIES:,} entries ({ledger.size()[1] / 1e6:,.0f} MB), median of seven. Invented entries.",
        ("question", "measured", "aim"),
        rows,
    )
    ledger.close()


class Instant:
    """A source that answers at once, or after asking a pool; for what the coordinator itself costs."""

    name = "onchain"
    datasets: Sequence[Dataset] = (Dataset("tvl", "tvl", "", "as_of"), Dataset("liquidations", "", "", "window"))

    def __init__(self, pool: Pool | None = None, calls: int = 0) -> None:
        self._pool, self._calls = pool, calls

    def keys(self, dataset: str) -> Sequence[str]:
        """The markets."""
        return [f"market_{number:03}_somewhere" for number in range(MARKETS)]

    def trips(self, wanted: Iterable[Partition]) -> Iterator[Trip]:
        """One partition each."""
        for one in wanted:
            yield Trip(self.name, str(one), (one,))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """One answer after so many calls, one after the other as the rounds of a snapshot are."""
        for _ in range(self._calls):
            assert self._pool is not None
            self._pool.call("eth_call", [{}, "0x1"])
        (one,) = trip.partitions
        yield Raw(one, self.name, NOW, NOW, b"{}")

    def parse(self, raw: Raw) -> Sequence[Row]:
        """One row."""
        return [{}]


def resuming(folder: Path) -> None:
    """A million settled partitions and ten missing ones: until the first question."""
    ledger = Ledger(folder / "million.sqlite")
    fill(ledger, DONE, failed_every=10**9)
    per_series = -(-DONE // (2 * MARKETS))
    span = Span(FIRST, FIRST + timedelta(days=per_series - 1))
    taken, cpu = [], []
    for _ in range(5):
        started, spent = time.perf_counter(), time.process_time()
        periods = span.periods()
        wish = {(d, key): periods for d in ("tvl", "liquidations") for key in Instant().keys(d)}
        left = compare(wish, ledger)
        taken.append(time.perf_counter() - started)
        cpu.append(time.process_time() - spent)
    assert left.settled_count == DONE
    bronze = Bronze(folder / "answers")
    some = list(partitions(4_000))
    for one in some:
        bronze.land(Raw(one, "onchain", NOW, NOW, b'{"rounds": []}' * 40))
    kept = {one: bronze.read(one, "onchain") for one in some[:1]}[some[0]]
    assert kept is not None
    began = time.perf_counter()
    assert all(bronze.intact(one, kept.digest) for one in some)
    checked = len(some) / (time.perf_counter() - began)
    write_table(
        "runs_resume",
        f"{left.wanted:,} partitions wished for, {left.settled_count:,} settled, best of five. Answers are checked by "
        "content beside the collection, not before it, when there are more than 5,000.",
        ("what", "measured", "aim"),
        [
            ("from the wish to what is missing", f"{min(taken):.2f} s (median {median(taken):.2f} s)", "2 s"),
            ("of that CPU", f"{min(cpu):.2f} s", ""),
            ("answers checked by content, beside the work", f"{checked:,.0f} a second", ""),
        ],
    )
    ledger.close()


def overhead(folder: Path) -> None:
    """What a trip costs besides its conversation."""
    rows = []
    for workers in (1, 8):
        bronze, ledger = Bronze(folder / f"overhead-{workers}"), Ledger(folder / f"overhead-{workers}.sqlite")
        some = list(partitions(2_000))
        started, cpu = time.perf_counter(), time.process_time()
        result = collect(Instant(), some, bronze=bronze, ledger=ledger, workers=workers)
        wall, spent = time.perf_counter() - started, time.process_time() - cpu
        assert result.done == len(some)
        rows.append((workers, len(some), f"{wall / len(some) * 1000:.2f}", f"{spent / len(some) * 1000:.2f}", 5))
        ledger.close()
    write_table(
        "runs_overhead",
        "Trips of one partition whose source answers at once: claim, land with fsync, read, document, three ledger entries.",
        ("workers", "trips", "ms a trip", "CPU ms a trip", "aim ms"),
        rows,
    )


def scaling(folder: Path) -> None:
    """The same trips with 1 to 32 workers, until the limit binds."""
    rows = []
    alone = 0.0
    for workers, trips in ((1, 60), (2, 120), (4, 240), (8, 480), (16, 800), (32, 800)):
        serving = Serving(0.08, 10)
        http = Http(max_connections=64)
        pool = Pool("ethereum", 1, [Endpoint("local", SecretUrl(serving.url), Limits(rate=150.0, told=True))], http)
        pool.call("eth_chainId", [])
        bronze, ledger = Bronze(folder / f"scale-{workers}"), Ledger(folder / f"scale-{workers}.sqlite")
        serving.arrivals()
        started = time.perf_counter()
        result = collect(Instant(pool, 2), list(partitions(trips)), bronze=bronze, ledger=ledger, workers=workers)
        taken = time.perf_counter() - started
        arrivals = serving.arrivals()
        assert result.done == trips
        assert len(arrivals) == 2 * trips
        alone = alone or trips / taken
        calls = len(arrivals) / (max(arrivals) - min(arrivals))
        rows.append(
            (workers, f"{trips / taken:.1f}", f"{trips / taken / alone:.1f}", f"{calls:.0f}", f"{calls / 150:.0%}")
        )
        ledger.close()
        http.close()
        serving.close()
    write_table(
        "runs_scaling",
        "Trips of two calls one after the other against the provider with 80 ms latency and a limit of 150 calls a second, "
        "counted where they arrive. Aim: at least 95 % of the limit once it binds.",
        ("workers", "trips a second", "speed-up", "calls a second", "of the limit"),
        rows,
    )


def main() -> None:
    """All four."""
    with tempfile.TemporaryDirectory(prefix="cryptolake-bench-") as name:
        folder = Path(name)
        overhead(folder)
        scaling(folder)
        resuming(folder)
        ledgers(folder)


if __name__ == "__main__":
    main()
