"""What runs on another machine: opens an app once per process and run, and answers trips. Stores nothing but scratch.

What does not belong here: which trips, and what becomes of their answers (flow, on the machine that was asked to collect).
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from cryptolake.app import App
from cryptolake.cluster.remote import RemoteAnswers
from cryptolake.contracts.grades import at_least
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Trip
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.logs import configure_logging
from cryptolake.net.blocks import Header
from cryptolake.settings import Settings, load_settings
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.version import __version__

NAME = f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A run as its workers know it: settings, the user's registry file, the markets. Secrets print as asterisks.

    With `own_secrets` the settings hold none: each worker takes keys and DATABASE_URL from its own environment.
    """

    number: str
    version: str
    settings: Settings
    registry: str | None
    csus: tuple[str, ...]
    own_secrets: bool
    run: str = ""


def make_job(
    number: str, settings: Settings, csus: Sequence[str], *, database_url: str | None, run: str = ""
) -> ClusterRun:
    """The job of a run. Without `database_url` (the way there is not encrypted) nothing secret goes along.

    `run` is the name under which all its processes count what they spend.
    """
    registry = settings.registry.read_text("utf-8") if settings.registry is not None else None
    update: dict[str, object] = {name: _blank(value) for name, value in settings if _holds_secret(value)}
    if database_url is not None:  # what asking a chain takes, and nothing else
        update |= {
            "rpc": settings.rpc,
            "alchemy_keys": settings.alchemy_keys,
            "database_url": SecretStr(database_url),
        }
    sent = settings.model_copy(update={**update, "registry": None, "budgets": "database"})
    return ClusterRun(number, __version__, sent, registry, tuple(csus), database_url is None, run)


def _holds_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_secret(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_secret(one) for one in value)
    return isinstance(value, SecretStr)


def _blank(value: object) -> object:
    """The same kind of setting, unset."""
    return {} if isinstance(value, Mapping) else [] if isinstance(value, list | tuple) else None


@dataclass(frozen=True, slots=True)
class _Post:
    """One job as this process answers it."""

    app: App
    source: OnchainSource
    lock: threading.Lock
    scratch: tempfile.TemporaryDirectory[str]


_MOST_POSTS = 8  # runs that one worker serves at once; of more, the oldest is closed
_posts: dict[str, _Post] = {}
_opening = threading.Lock()


def _post(job: ClusterRun) -> _Post:
    """The post of a job, opened when first needed. Raises Stop when this machine is not fit for it."""
    with _opening:
        if job.number not in _posts:
            if job.version != __version__:
                raise Stop(
                    f"{NAME} has cryptolake {__version__}, not {job.version}; install the same version everywhere"
                )
            scratch = tempfile.TemporaryDirectory(prefix="cryptolake-worker-", ignore_cleanup_errors=True)
            app = App(_settings(job, Path(scratch.name)), run=job.run)
            configure_logging(app.settings)
            app.budgets.reach()  # no question goes out before the budgets can be reached
            if len(_posts) >= _MOST_POSTS:
                _posts.pop(next(iter(_posts))).app.close()
            source = app.onchain([app.registry.csu(name) for name in job.csus])
            _posts[job.number] = _Post(app, source, threading.Lock(), scratch)
        return _posts[job.number]


def _settings(job: ClusterRun, folder: Path) -> Settings:
    update: dict[str, object] = {"data": folder}
    if job.registry is not None:
        update["registry"] = folder / "registry.yaml"
        write_bytes(folder / "registry.yaml", job.registry.encode())
    if job.own_secrets:
        own = load_settings()
        update |= {"rpc": own.rpc, "alchemy_keys": own.alchemy_keys, "database_url": own.database_url}
        if own.database_url is None:
            raise Stop(
                f"{NAME} has no DATABASE_URL, where all machines keep their rate budgets; set it for the workers"
            )
    return job.settings.model_copy(update=update)


def report(job: ClusterRun) -> str:
    """Open the post and say who this is. Raises Stop with the remedy."""
    _post(job)
    return NAME


def boundaries(job: ClusterRun, chain: str, instants: Sequence[int]) -> dict[int, Header]:
    """The last blocks before the instants (seconds since 1970, UTC) on `chain`; those not known there are left out."""
    post = _post(job)
    blocks = post.source.blocks(post.app.registry.chain(chain))
    return blocks.prefetch([datetime.fromtimestamp(at, UTC) for at in instants])


def answer(job: ClusterRun, trip: Trip, known: Mapping[int, Header], files: Mapping[str, bytes]) -> RemoteAnswers:
    """Hold one conversation. Idempotent: a second worker gives the same answers. Errors by reaction come back as data."""
    post, started = _post(job), time.monotonic()
    chain = post.app.registry.csu(trip.partitions[0].key).chain
    folder = post.app.folder.discovered
    with post.lock:
        new = {at: header for at, header in known.items() if not _as_far(post.app.block_cache.get(chain, at), header)}
        if new:
            post.app.block_cache.put(chain, new)
        unpack(folder, files)
    list(post.source.trips(trip.partitions))  # the source learns which boundaries it needs; most came along
    outcomes: list[Raw | Miss] = []
    error: CryptolakeError | None = None
    try:
        for outcome in post.source.fetch(trip):
            if isinstance(outcome, Raw):
                outcome = replace(outcome, provenance={**outcome.provenance, "worker": NAME})
            outcomes.append(outcome)
    except CryptolakeError as caught:
        error = caught
    requests = sum(pool.requests for pool in post.app.pools())
    grown = {name: body for name, body in pack(folder, chain).items() if len(body) > len(files.get(name, b""))}
    return RemoteAnswers(tuple(outcomes), error, NAME, time.monotonic() - started, requests, grown)


def _as_far(kept: Header | None, header: Header) -> bool:
    """Whether a boundary is kept here that is borne out as far as the one that came along."""
    return kept is not None and at_least(kept.grade, header.grade)


def pack(folder: Path, chain: str) -> dict[str, bytes]:
    """The discovered files of a chain, by name."""
    return {path.name: path.read_bytes() for path in folder.glob(f"{chain}-*.jsonl")}


def unpack(folder: Path, files: Mapping[str, bytes]) -> None:
    """Keep files that are longer than those here: they only ever grow."""
    for name, body in files.items():
        path = folder / Path(name).name
        if not path.exists() or path.stat().st_size < len(body):
            write_bytes(path, body)
