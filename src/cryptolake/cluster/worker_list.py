"""The list of a cluster's workers: who answered what and when, kept in one small file that the monitor reads."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.files.atomic import write_bytes

_EVERY_S = 1.0
FILE = "workers.json"


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker (`host:pid`) did in the latest run on a cluster; `last` is when it answered last (UTC).

    `busy_s` sums over its parallel conversations. `requests` are HTTP requests.
    """

    name: str
    trips: int = 0
    partitions: int = 0
    failed_trips: int = 0
    busy_s: float = 0.0
    requests: int = 0
    last: datetime | None = None


class WorkerList:
    """Counts answers per worker and writes them to `<data>/workers.json`, at most once a second. Thread-safe."""

    def __init__(self, data: Path) -> None:
        self._path, self._lock = data / FILE, threading.Lock()
        self._workers: dict[str, Worker] = {}
        self._started, self._written = time.monotonic(), float("-inf")

    def answered(self, worker: str, *, partitions: int, failed: bool, seconds: float, requests: int) -> None:
        """A trip came back from `worker`."""
        with self._lock:
            old = self._workers.get(worker, Worker(worker))
            self._workers[worker] = replace(
                old,
                trips=old.trips + 1,
                partitions=old.partitions + partitions,
                failed_trips=old.failed_trips + failed,
                busy_s=old.busy_s + seconds,
                requests=max(old.requests, requests),
                last=datetime.now(UTC),
            )
            if time.monotonic() - self._written >= _EVERY_S:
                self._write()

    def workers(self) -> list[Worker]:
        """Everybody who answered so far, by name."""
        with self._lock:
            return [self._workers[name] for name in sorted(self._workers)]

    def line(self) -> str:
        """Workers and requests a second so far, for a progress line."""
        found = self.workers()
        seconds = max(1e-3, time.monotonic() - self._started)
        return f"{counted(len(found), 'worker')}, {sum(one.requests for one in found) / seconds:,.1f} requests/s"

    def close(self) -> None:
        """Write the last state."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        document = {"at": datetime.now(UTC), "workers": [asdict(one) for one in self._workers.values()]}
        write_bytes(self._path, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))


def read_workers(data: Path) -> list[Worker]:
    """The workers of the latest run on a cluster; none when there was no such run."""
    try:
        rows = orjson.loads((data / FILE).read_bytes())["workers"]
    except FileNotFoundError:
        return []
    return [Worker(**{**row, "last": row["last"] and datetime.fromisoformat(row["last"])}) for row in rows]
