"""`Fleet`: an open cluster that is asked questions one by one, each by a thread that waits. Knows no chain and no vendor."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, cast

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from cryptolake.errors import Retry, Stop
from cryptolake.waiting import Interrupted, pause

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
CONNECT_S = 10.0
_LOOK_S = 0.5  # how often a waiting thread looks whether the run is asked to stop


class SchedulerGone(Exception):
    """The cluster's scheduler cannot be reached any more: the run ends, what is not landed stays unclaimed."""


class Fleet:
    """The workers behind a Dask client. Thread-safe; workers may come and go."""

    def __init__(self, client: Client, stopping: threading.Event | None = None) -> None:
        self._client, self._stopping = client, stopping or threading.Event()
        # Keys are unique over runs: a scheduler that outlives a run must not mistake a new question for an old one.
        self._run, self._numbers = uuid.uuid4().hex[:8], itertools.count()

    def slots(self) -> int:
        """Conversations that the workers present now can hold at once."""
        return sum(self._client.nthreads().values())  # type: ignore[no-untyped-call]

    def wait(self, workers: int) -> None:
        """Until so many workers are there. Raises Stop."""
        try:
            self._client.wait_for_workers(workers, timeout=CONNECT_S)
        except TimeoutError:
            raise Stop("the cluster has no worker; start one (dask worker <scheduler address>) and run again") from None

    def everywhere(self, function: Callable[[V], T], value: V) -> dict[str, T]:
        """Call `function` once on every worker; answers by worker address. What it raises is raised here."""
        return cast("dict[str, T]", self._client.run(function, value))

    def ask(self, label: str, function: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        """Call `function` on some worker and wait. A worker that dies is replaced by another; it must be idempotent.

        Raises what it raises, Retry when workers died of it several times, SchedulerGone when nobody can be asked,
        Interrupted when the run is asked to stop.
        """
        while True:
            name = f"{label.replace(' ', '-')}-{self._run}-{next(self._numbers)}"
            try:
                future = self._client.submit(function, *values, key=name, pure=False, **named)
                try:
                    return self._result(future)
                finally:
                    future.release()  # type: ignore[no-untyped-call]
            except KilledWorker:
                raise Retry(
                    f"{label}: several workers died while they asked this; look at their memory, then run again"
                ) from None
            except Interrupted:
                raise
            except Exception as error:
                if not isinstance(error, CancelledError) and self._client.status == "running":
                    raise
                self._await_scheduler()

    def _result(self, future: Future[T]) -> T:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())  # type: ignore[no-untyped-call]
        while not done.wait(_LOOK_S):
            if self._stopping.is_set():
                future.cancel()  # type: ignore[no-untyped-call]
                raise Interrupted
        return future.result()

    def _await_scheduler(self) -> None:
        """Until the scheduler is back (a restarted one is found again by the client). Raises SchedulerGone."""
        deadline = time.monotonic() + CONNECT_S
        while self._client.status != "running":
            if self._client.status in {"closing", "closed"} or time.monotonic() > deadline:
                raise SchedulerGone("the cluster's scheduler has ended")
            pause(0.1, "the scheduler of the cluster")


@contextmanager
def quiet() -> Iterator[None]:
    """The engine tells every lost connection on standard error; what the user needs to know is told in one line."""
    loggers = [logging.getLogger(name) for name in ("distributed", "asyncssh")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
