"""Programs started together and stopped together: logs to files, readiness by asking, one of them ending ends all.

What does not belong here: which programs (up) and what they are configured with (dagster_home).
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptolake.errors import Stop
from cryptolake.waiting import poll

_GRACE_S = 20.0  # a run at work may finish its step
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Child:
    """A program: its command, how to tell that it is ready, and the address to print."""

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    shown: str = ""


class Children:
    """The running programs, in the order they were started; logs are `<folder>/<name>.log`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._running: list[tuple[Child, subprocess.Popen[bytes]]] = []

    def start(self, child: Child) -> None:
        """Start a program without waiting for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log(child).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # our own programs
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self._environment),
                start_new_session=True,  # Ctrl-C reaches only us; we stop them in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # no threads yet
            )
        self._running.append((child, process))

    def await_ready(self, timeout_s: float) -> None:
        """Wait until every program is ready. Raises Stop, with the log's name, when one ends or does not come up."""
        deadline = time.monotonic() + timeout_s
        for child, _ in self._running:
            while not child.ready():
                self.check()
                if time.monotonic() > deadline:
                    raise Stop(f"{child.name} did not answer within {timeout_s:.0f} s; look at {self._log(child)}")
                poll()

    def check(self) -> None:
        """Raises Stop when a program has ended by itself."""
        for child, process in self._running:
            if (code := process.poll()) is not None:
                last = self._log(child).read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
                raise Stop(f"{child.name} ended with code {code} ({last[0].strip()[:200]}); look at {self._log(child)}")

    def watch(self) -> None:
        """Wait for ever; raises Stop when a program ends."""
        while True:
            self.check()
            poll(0.5)

    def stop(self) -> None:
        """Stop all, the last started first; one that does not obey is killed."""
        for child, process in reversed(self._running):
            if process.poll() is None:
                process.send_signal(
                    signal.SIGINT if sys.platform != "win32" and child.name != "daemon" else signal.SIGTERM
                )
        deadline = time.monotonic() + _GRACE_S
        for _, process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
        self._running.clear()

    def _log(self, child: Child) -> Path:
        return self._folder / f"{child.name}.log"


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Linux: the program gets SIGTERM when we are killed, so that `kill -9` leaves nothing behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
