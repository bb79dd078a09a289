"""The embedded PostgreSQL: found or started under the data folder, shared by processes, tied to none of them.

It survives `kill -9` of whoever started it; the next command attaches. A server is started only where evidence says that none
lives, and what a living one keeps in the folder is never touched. What does not belong here: that evidence (postmaster), where
the cluster lies (place), tables and queries.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.files.lock import locked, taken
from cryptolake.files.rights import may_write
from cryptolake.publish import postmaster
from cryptolake.publish.place import home_of, own, own_all, run
from cryptolake.publish.postmaster import Answer, Postmaster
from cryptolake.publish.session import connect
from cryptolake.waiting import poll

_USER = "cryptolake"
_START_S = 60.0  # how long a start, a recovery after a crash or a stop is waited for
_PATIENCE_S = 10.0  # how long a server that is full or does not answer is waited for
# Measured: the load is bound by the unique index; these keep checkpoints out of a bulk load.
_SETTINGS = {
    "timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "128MB",
    "log_timezone": "UTC",
}


def ensure_running(data: Path, *, patience_s: float = _PATIENCE_S) -> str:
    """The URL of the server under `data`, started (and first initialised) if need be. A secret.

    A living server that takes nobody in is waited for: `patience_s` seconds when it is full or slow, longer while it
    starts. Raises Stop with the remedy.
    """
    home = home_of(data)
    if (url := _await(home, patience_s)) is not None:
        return url
    if not may_write(home):
        raise Stop(
            "the embedded PostgreSQL is not running and cannot be started where nothing may be written; start it as the "
            "folder's owner (cryptolake db url), or set DATABASE_URL"
        )
    with _locked(home):
        if (url := _await(home, patience_s)) is not None:
            return url
        if not (home / "cluster" / "PG_VERSION").exists():
            _initialise(home)
        _start(home)
        url = _await(home, patience_s)
    if url is None:
        raise Stop(f"the embedded PostgreSQL ended right after its start; look at {home / 'server.log'}")
    return url


def is_running(data: Path) -> bool:
    """Whether a server of this folder lives, be it full, slow or still starting."""
    return _living(home_of(data)) is not None


@dataclass(frozen=True, slots=True)
class Seen:
    """What lies and lives under a data folder: where, whether it was ever made, its size in bytes, the server at work."""

    home: Path
    exists: bool
    size: int
    named: Postmaster | None


def look(data: Path) -> Seen:
    """What there is of a server under `data`. Starts and changes nothing."""
    home = home_of(data)
    cluster = home / "cluster"
    size = 0
    for folder, _, names in os.walk(cluster):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a server at work makes and removes files
                size += os.stat(os.path.join(folder, name)).st_size
    return Seen(home, (cluster / "PG_VERSION").exists(), size, _living(home))


def sessions(data: Path) -> int:
    """How many others are connected to the server under `data`. Raises Stop when it takes nobody in."""
    connection, _ = connect(_await(home_of(data), _PATIENCE_S) or "", variable=None)
    with connection:
        counted = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(counted[0]) if counted else 0


def stop_embedded(data: Path, *, timeout_s: float = _START_S) -> bool:
    """Stop the server under `data`, full or slow as it may be; False when none lives. Raises Stop when it does not obey."""
    home = home_of(data)
    named = _living(home)
    if named is None:
        return False
    # No session is needed: the process is told by a signal.
    run(home, "pg_ctl", "stop", "-D", str(home / "cluster"), "-m", "fast", "-W")
    if not postmaster.await_end(home / "cluster", named, timeout_s):
        raise Stop(
            f"the embedded PostgreSQL (process {named.pid}) was told to stop and has not ended after {timeout_s:.0f} s; "
            f"wait, or wake it with `kill -CONT {named.pid}` if it was paused"
        )
    return True


def _living(home: Path) -> Postmaster | None:
    """The server of this folder, by evidence; where the process cannot tell, by its own word."""
    cluster = home / "cluster"
    named = postmaster.read(cluster)
    if named is None:
        return None
    match postmaster.standing(cluster, named):
        case "ours":
            return named
        case "unknown":
            return named if _ask(home, named, _PATIENCE_S) not in ("closed", "strange") else None
        case _:
            return None


def _await(home: Path, patience_s: float) -> str | None:
    """The URL of the server once it takes us in; None when none lives. Raises Stop when one lives and cannot be used."""
    cluster, began = home / "cluster", time.monotonic()
    while (named := postmaster.read(cluster)) is not None:
        standing = postmaster.standing(cluster, named)
        if standing in ("gone", "other"):
            return None
        if standing == "copied":
            raise Stop(
                f"the database in {home} was copied while its server (process {named.pid} of {named.folder}) was at "
                f"work and may be torn; delete {home}, or stop that server in its own folder and copy the folder again"
            )
        answer = _ask(home, named, patience_s)
        if answer == "ready":
            return _url(home, named)
        if standing == "unknown" and answer == "closed":
            return None  # PostgreSQL itself looks at the process before it starts another
        passing = answer in ("starting", "stopping", "closed")
        if answer in ("password", "strange") or time.monotonic() - began > (_START_S if passing else patience_s):
            raise Stop(_refusal(home, named, answer))
        poll()
    return None


def _refusal(home: Path, named: Postmaster, answer: Answer) -> str:
    """One line: what the server that lives says, and the remedy."""
    server, log = f"the embedded PostgreSQL (process {named.pid})", home / "server.log"
    match answer:
        case "full":
            return (
                f"{server} is full, all its connections are in use; end idle sessions, then run the same command again"
            )
        case "starting":
            return (
                f"{server} is still starting or recovering; wait and run the same command again, progress is in {log}"
            )
        case "stopping":
            return f"{server} is shutting down and waits for its sessions; end them, then run the same command again"
        case "password":
            return f"{server} refuses the password in {home / 'password'}; put the file back as it was, or set DATABASE_URL"
        case "strange":
            return (
                f"another PostgreSQL answers on port {named.port} in place of process {named.pid}; end one of them, or "
                "set DATABASE_URL"
            )
        case _:
            return (
                f"{server} lives but does not answer; it was left alone: wait until the machine is less busy, or wake it "
                f"with `kill -CONT {named.pid}` if it was paused, then run the same command again"
            )


def _url(home: Path, named: Postmaster) -> str:
    try:
        password = (home / "password").read_text().strip()
    except OSError as error:
        raise Stop(
            f"the password of the embedded PostgreSQL cannot be read ({error.strerror}: {home / 'password'}); run as the "
            "user who owns it, or set DATABASE_URL"
        ) from None
    return f"postgresql://{_USER}:{password}@127.0.0.1:{named.port}/postgres"


def _ask(home: Path, named: Postmaster, timeout_s: float) -> Answer:
    cluster = home / "cluster"
    certain = postmaster.standing(cluster, named) == "ours"
    return postmaster.ask(_url(home, named), named, None if certain else cluster, timeout_s)


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time initialises or starts the server. The lock dies with its holder."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    own(home)
    with (home / "lock").open("a") as file, locked(file.fileno()):
        yield


def _initialise(home: Path) -> None:
    """Make the cluster in a folder of its own and move it into place whole, so that an interrupted one is never used."""
    half = home / f"half-{os.getpid()}"
    shutil.rmtree(half, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    password_file = home / "password"
    write_bytes(password_file, password.encode(), mode=0o600)
    own(password_file)
    arguments = ["-D", str(half), "-U", _USER, "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8"]
    done = run(home, "initdb", *arguments, "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions")
    if done.returncode != 0:
        raise Stop(
            f"the embedded PostgreSQL could not be initialised; look at {home / 'commands.log'} or set DATABASE_URL"
        )
    half.rename(_free(home / "cluster"))


def _free(cluster: Path) -> Path:
    """Put what lies there aside: a folder that lost its version file may hold somebody's rows all the same."""
    number = 1
    while (aside := cluster.with_name(f"cluster.damaged-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        cluster.rename(aside)
    return cluster


@contextlib.contextmanager
def _unused(home: Path) -> Iterator[Sequence[int]]:
    """Hold the folder's sign of life, an open file that the server and all its processes inherit.

    While any of them lives nobody else can hold it, whatever became of `postmaster.pid`: what is left of a killed server,
    one in another container, one whose folder changed hands. Raises Stop when they do not end.
    """
    if sys.platform == "win32":  # files are not inherited; PostgreSQL's own look at the process must do
        yield ()
        return
    with (home / "alive").open("a") as file:
        deadline = time.monotonic() + _START_S
        while not taken(file.fileno()):
            if time.monotonic() > deadline:
                raise Stop(
                    f"a PostgreSQL that cannot be reached still uses {home} (what is left of a killed one, or one in "
                    "another container); end it, or set DATABASE_URL"
                )
            poll()
        yield (file.fileno(),)


def _drop_stale(cluster: Path) -> None:
    """Remove a pid file that would make the start refuse though its server is dead: cut short, or its number reused.

    To be called by who holds the sign of life. Everything else PostgreSQL judges itself.
    """
    named = postmaster.read(cluster)
    if named is None or postmaster.standing(cluster, named) == "other":
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _start(home: Path) -> None:
    cluster, log = home / "cluster", home / "server.log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {**_SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    arguments = ["start", "-D", str(cluster), "-l", str(log), "-w", "-t", str(int(_START_S)), "-o", flags]
    with _unused(home) as alive:
        own_all(cluster)
        own_all(log)
        _drop_stale(cluster)
        done = run(home, "pg_ctl", *arguments, files=alive)
    if done.returncode != 0 and _living(home) is None:  # else it only takes long: it is waited for
        raise Stop(f"the embedded PostgreSQL could not be started; look at {log} or set DATABASE_URL")
