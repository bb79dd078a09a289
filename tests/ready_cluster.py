"""Embedded servers for programs of tests: made by copying a cluster that is made once, and spared the waits for the disk.

`initdb` and what PostgreSQL does so that its rows outlive a power cut cost more than most tests; no test cuts the power.
What a test opens in its own process, and programs that are started as usual, have the server exactly as users have it.
What does not belong here: which tests have a server (their fixtures).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from cryptolake.publish import postmaster, server
from cryptolake.publish.place import own, own_all

_MADE = "made-here"  # in the template's folder: the homes of the servers that were made of it, one a line
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def use(template: Path) -> None:
    """From now on this process, and who is forked from it, makes clusters by copying the one in `template`."""
    make = server._initialise

    def copied(home: Path) -> None:
        with server._locked(template):
            if not (template / "cluster" / "PG_VERSION").exists():
                make(template)
            with (template / _MADE).open("a") as file:
                file.write(f"{home}\n")
        half = home / f"half-{os.getpid()}"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(template / "cluster", half)
        own_all(half)
        shutil.copy(template / "password", home / "password")
        own(home / "password")
        half.rename(server._free(home / "cluster"))

    server._initialise = copied
    server._SETTINGS |= _QUICK


def clear(template: Path) -> None:
    """End what still runs of the servers that were made of the template, and remove them and it."""
    with contextlib.suppress(FileNotFoundError):
        for home in map(Path, (template / _MADE).read_text().splitlines()):
            named = postmaster.read(home / "cluster")
            if named is not None and postmaster.standing(home / "cluster", named) == "ours":
                os.kill(named.pid, signal.SIGQUIT)
                postmaster.await_end(home / "cluster", named, 60)
            shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(template, ignore_errors=True)
