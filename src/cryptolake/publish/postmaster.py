"""Who serves a cluster: judged from `postmaster.pid` and the process it names, never from a failed connect.

A server that is full, slow, starting or paused does not answer and lives all the same. What does not belong here: starting
and stopping a server (server).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg

from cryptolake.waiting import poll

# gone: no such process. other: a process that has nothing to do with this cluster got the number, or a dead one keeps it.
# ours: it serves this very folder. copied: it serves, or served to its end, the folder this one was copied from, which is
# still there. unknown: cannot be told here.
Standing = Literal["gone", "other", "ours", "copied", "unknown"]
# What a server says to who wants in; closed: nobody listens; slow: no answer in time; strange: another server.
Answer = Literal["ready", "full", "starting", "stopping", "closed", "slow", "password", "strange"]
# The cluster is made with the locale C, so its messages are these in every country.
_SAYINGS: dict[str, Answer] = {
    "too many clients": "full",
    "connection slots are reserved": "full",
    "too many connections": "full",
    "starting up": "starting",
    "not yet accepting connections": "starting",
    "in recovery mode": "starting",
    "shutting down": "stopping",
    "authentication failed": "password",
    "Connection refused": "closed",
}


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` says: process, folder when it was started, instant of the start (seconds since 1970), port."""

    pid: int
    folder: str
    started: int
    port: int


def read(cluster: Path) -> Postmaster | None:
    """The server that `postmaster.pid` names; None when there is no such file or it was cut short."""
    try:
        return _parse((cluster / "postmaster.pid").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _parse(text: str) -> Postmaster | None:
    try:
        pid, folder, started, port = text.splitlines()[:4]
        return Postmaster(int(pid), folder, int(started), int(port))
    except ValueError:
        return None


def standing(cluster: Path, named: Postmaster) -> Standing:
    """What the named process is to the cluster.

    On Linux by its working folder, which is the cluster wherever that was moved; a reused number has another one. Elsewhere
    a process that is no PostgreSQL is told apart, and the rest only the server itself can say.
    """
    found = _by_process(cluster, named)
    return "copied" if found in {"gone", "other"} and _lies_elsewhere(cluster, named) else found


def _by_process(cluster: Path, named: Postmaster) -> Standing:
    if sys.platform == "win32":
        return "unknown"
    if Path("/proc/self/cwd").exists():
        return _by_folder(cluster, named, Path("/proc") / str(named.pid))
    shown = subprocess.run(  # noqa: S603  # a number
        ["/bin/ps", "-p", str(named.pid), "-o", "command="], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not shown:
        return "gone"
    return "unknown" if "postgres" in shown else "other"


def _by_folder(cluster: Path, named: Postmaster, process: Path) -> Standing:
    try:
        owner = process.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    try:
        if os.path.samestat((process / "cwd").stat(), cluster.stat()):
            return "ours"
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        same_start = Path(words[0]).name == "postgres" and named.folder in words
        return "copied" if same_start or read(process / "cwd") == named else "other"
    except (FileNotFoundError, ProcessLookupError):
        return "other"  # dead, but whoever started it has not taken notice: the number is still in use
    except PermissionError:
        # PostgreSQL serves only folders of its own user.
        return "unknown" if owner == cluster.stat().st_uid else "other"


def _lies_elsewhere(cluster: Path, named: Postmaster) -> bool:
    """Whether the folder that the file names is there and is another one: then this is a copy of it, made while served."""
    try:
        return not os.path.samestat(Path(named.folder).stat(), cluster.stat())
    except OSError:
        return False  # moved, not copied


def ask(url: str, named: Postmaster, cluster: Path | None, timeout_s: float) -> Answer:
    """What the server at `url` says. It is `strange` unless it is the named one, and serves `cluster` where that is given."""
    try:
        with psycopg.connect(url, connect_timeout=max(2, round(timeout_s)), autocommit=True) as connection:
            said = connection.execute("SELECT pg_read_file('postmaster.pid'), current_setting('data_directory')")
            text, folder = said.fetchone() or ("", "")
    except psycopg.OperationalError as error:
        return refusal(error)
    except psycopg.Error:
        return "strange"
    if _parse(str(text)) != named or (cluster and Path(str(folder)).resolve() != cluster.resolve()):
        return "strange"
    return "ready"


def refusal(error: psycopg.OperationalError) -> Answer:
    """What a failed connection means; what is not known, a time-out among it, counts as `slow`: it proves nothing."""
    return next((answer for words, answer in _SAYINGS.items() if words in str(error)), "slow")


def await_end(cluster: Path, named: Postmaster, timeout_s: float) -> bool:
    """Wait for the end of a server that was told to stop; False when it has not come in time."""
    deadline = time.monotonic() + timeout_s
    while standing(cluster, named) in ("ours", "unknown") and read(cluster) == named:
        if time.monotonic() > deadline:
            return False
        poll()
    return True
