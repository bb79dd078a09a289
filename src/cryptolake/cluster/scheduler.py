"""A Dask scheduler that runs already: on another machine, in Kubernetes, in a cloud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client

from cryptolake.cluster.address import SchedulerAddress
from cryptolake.cluster.fleet import CONNECT_S, quiet
from cryptolake.errors import Stop


@contextmanager
def running(scheduler: SchedulerAddress) -> Iterator[Client]:
    """Connect. TLS files come from Dask's own settings (distributed.comm.tls). Raises Stop."""
    with quiet():
        yield from _connected(scheduler)


def _connected(scheduler: SchedulerAddress) -> Iterator[Client]:
    try:
        client = Client(scheduler.address, timeout=CONNECT_S)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError):
        raise Stop(
            f"no Dask scheduler answers at {scheduler.address}; start it (dask scheduler) or correct it"
        ) from None
    with client:
        yield client
