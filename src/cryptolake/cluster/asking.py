"""Opens a cluster and hands the flow a source that its machines answer; without one the source is asked from here.

What does not belong here: what is asked and what becomes of it (work), flags and text (cli).
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from cryptolake.app import App
from cryptolake.cluster import worker
from cryptolake.cluster.address import Machines, SchedulerAddress, parse_address
from cryptolake.cluster.remote import CarriedFiles, RemoteSource
from cryptolake.cluster.worker_list import WorkerList
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Source
from cryptolake.errors import BadInput, Retry
from cryptolake.flow.stopping import breaking
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import families
from cryptolake.watch.pace import Pace

if TYPE_CHECKING:
    from cryptolake.cluster.fleet import Fleet

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Conversations:
    """A source and how many of its conversations are to be held at once; None: as many as its endpoints can feed."""

    source: Source
    workers: int | None


@contextmanager
def asking(
    app: App, csus: Sequence[Csu], pace: Pace, cluster: str | None, stopping: threading.Event
) -> Iterator[Conversations]:
    """The on-chain source, asked from here or by the machines of `cluster`. Raises Stop or BadInput with the remedy."""
    if cluster is None:
        yield Conversations(app.onchain(csus, breaking(pace.scanned, stopping)), None)
        return
    address = parse_address(cluster)
    if find_spec("distributed") is None or find_spec("asyncssh") is None:
        raise BadInput("--cluster needs the extra: pip install 'cryptolake[cluster]', here and on the machines")
    from cryptolake.cluster.fleet import SchedulerGone

    with _opened(app, csus, address, stopping) as (fleet, job):
        fleet.wait(1 if not isinstance(address, Machines) else len(address.each))
        fleet.everywhere(worker.report, job)
        listed = WorkerList(app.folder.root)
        pace.rates_by = listed.line
        source = _remote(app, csus, fleet, job, listed)
        try:
            # Threads here only wait and land: several per slot, so that a worker that comes later finds work waiting.
            yield Conversations(source, min(256, max(32, 4 * fleet.slots())))
        except SchedulerGone:
            raise Retry(
                "the cluster's scheduler has ended; what was answered is kept, run the same command again to go on"
            ) from None
        finally:
            listed.close()


@contextmanager
def _opened(
    app: App, csus: Sequence[Csu], address: Machines | SchedulerAddress, stopping: threading.Event
) -> Iterator[tuple[Fleet, worker.ClusterRun]]:
    from cryptolake.cluster.fleet import Fleet
    from cryptolake.cluster.scheduler import running
    from cryptolake.cluster.ssh import ssh_cluster

    job = partial(worker.make_job, uuid.uuid4().hex[:12], app.settings, [csu.name for csu in csus], run=app.run)
    if not isinstance(address, Machines):
        with running(address) as client:
            yield Fleet(client, stopping), job(database_url=app.database.url() if address.encrypted else None)
        return
    database = app.database.url()
    port = _loopback_port(database)
    python = app.settings.cluster_python or sys.executable
    with ssh_cluster(address, threads=app.settings.workers, python=python, port_to_share=port) as (client, ports):
        yield Fleet(client, stopping), job(database_url=_through(database, ports) if ports else database)


def _loopback_port(database_url: str) -> int | None:
    """The database's port if only this machine reaches it: then it is shared with the others through SSH."""
    parts = urlsplit(database_url)
    return (parts.port or 5432) if (parts.hostname or "localhost") in _LOOPBACK else None


def _through(database_url: str, ports: Sequence[int]) -> str:
    """The same database at the shared ports; the client library takes the first that answers."""
    parts = urlsplit(database_url)
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return urlunsplit(parts._replace(netloc=login + ",".join(f"127.0.0.1:{port}" for port in ports)))


def _remote(app: App, csus: Sequence[Csu], fleet: Fleet, job: worker.ClusterRun, listed: WorkerList) -> Source:
    able = {csu.name: csu.chain for csu in csus if csu.family in families()}

    def chain_of(partition: Partition) -> str | None:
        return able.get(partition.key)

    folder = app.folder.discovered
    carried = CarriedFiles(chain_of, app.block_cache, partial(worker.pack, folder), partial(worker.unpack, folder))
    return RemoteSource(
        app.onchain(csus),
        fleet,
        answer=partial(worker.answer, job),
        find=partial(worker.boundaries, job),
        carried=carried,
        listed=listed,
    )
