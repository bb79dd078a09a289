"""What a run at work says about itself every few seconds: how far it is, and how every endpoint does. One file per process.

Only for people who watch: nothing is decided by it, and the ledger stays the only record of progress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import orjson

from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.flow.claims import WORKER
from cryptolake.net.rpc import Pool

EVERY_S = 2.0
_SILENT = timedelta(seconds=30)  # a run that says nothing for so long is not at work any more
_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """One endpoint of a chain in one run; `problem` is why it is not asked, `waits_s` how long it still sits out."""

    chain: str
    name: str
    requests: int
    retries: int
    latency_s: float
    rate: float
    log_span: int
    waits_s: float = 0.0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RunHealth:
    """One run, as it said last. Instants are aware UTC; `chains` holds scanned and wanted blocks of each chain."""

    worker: str
    what: str
    started: datetime
    at: datetime
    total: int
    done: int
    failed: int
    workers: int = 0
    ended: datetime | None = None
    chains: dict[str, tuple[int, int]] = field(default_factory=dict)
    endpoints: list[EndpointHealth] = field(default_factory=list)

    def at_work(self, now: datetime) -> bool:
        """Whether it still reports."""
        return self.ended is None and now - self.at < _SILENT

    def left_s(self) -> float | None:
        """Seconds until it is done, from the work that remains at the pace so far; None before there is a pace."""
        taken = (self.at - self.started).total_seconds()
        guesses = [taken * (self.total - self.done) / self.done] if self.done else []
        guesses += [taken * (wanted - scanned) / scanned for scanned, wanted in self.chains.values() if scanned]
        return max(guesses) if guesses and self.done < self.total else (0.0 if self.done >= self.total else None)


def endpoints_of(pools: Sequence[Pool]) -> list[EndpointHealth]:
    """How the endpoints of these pools do now."""
    now = time.monotonic()
    return [
        EndpointHealth(
            chain=pool.chain,
            name=one.endpoint.name,
            requests=one.requests,
            retries=one.retries,
            latency_s=round(one.learned.latency_s, 4),
            rate=one.limiter.rate,
            log_span=one.learned.span,
            waits_s=round(max(0.0, one.back_at - now), 1),
            problem=one.stopped or one.lied,
        )
        for pool in pools
        for one in (*pool.stations, *(each for each in pool.besides if each.requests))
    ]


class Reporter:
    """Writes a run's file while a `with` block lasts. `say` gives the current picture."""

    def __init__(self, folder: Path, say: Callable[[], RunHealth], every_s: float = EVERY_S) -> None:
        self._path = folder / f"{WORKER.replace(':', '-')}.json"
        self._say, self._every_s = say, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="health", daemon=True)

    def __enter__(self) -> Reporter:
        sweep(self._path.parent)
        self._write(self._say())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        last = self._say()
        self._write(replace(last, ended=last.at))

    def _beat(self) -> None:
        while not self._ended.wait(self._every_s):
            self._write(self._say())

    def _write(self, health: RunHealth) -> None:
        try:
            write_bytes(self._path, orjson.dumps(asdict(health)))
        except Stop:
            return  # a full disk is told by the collection itself; watching must not end it


def read_runs(folder: Path) -> list[RunHealth]:
    """Every run that reported in the last days, newest first. A file that is no report is left out."""
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=RunHealth))
        except (FileNotFoundError, msgspec.DecodeError):
            continue
    return sorted(found, key=lambda run: run.at, reverse=True)


def latencies(runs: Sequence[RunHealth]) -> dict[str, float]:
    """The newest measured latency of every endpoint, by name."""
    found: dict[str, float] = {}
    for run in runs:
        for one in run.endpoints:
            if one.requests:
                found.setdefault(one.name, one.latency_s)
    return found


def sweep(folder: Path) -> None:
    """Remove reports of runs long gone."""
    oldest = datetime.now(UTC) - _KEPT
    for path in folder.glob("*.json"):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < oldest:
            path.unlink(missing_ok=True)
