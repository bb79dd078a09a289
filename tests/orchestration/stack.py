"""`cryptolake up` as a user runs it, on the bundled sandbox; for tests, the benchmark and the picture in the docs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.command import CLEAN
from tests.waiting import PATIENCE_S

from cryptolake.cli.children import free_port

MAIN = [sys.executable, "-c", "from cryptolake.cli import main; main()"]


@dataclass(slots=True)
class Stack:
    """A running stack: its page, its process, what it said until it was ready, and after how many seconds that was."""

    page: str
    process: subprocess.Popen[str]
    said: str
    seconds: int

    def stop(self, how: signal.Signals = signal.SIGINT) -> str:
        """Stop it and return what else it said."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=PATIENCE_S)[0]


@contextmanager
def stack(variables: Mapping[str, str], *flags: str) -> Iterator[Stack]:
    """Started and ready; stopped at the end."""
    port = free_port()
    command = [*MAIN, "up", "--port", str(port), *flags]
    process = subprocess.Popen(
        command, env={**CLEAN, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if found := re.search(r"Ready after (\d+) s", line):
                break
        else:
            raise AssertionError(f"it did not come up: {said}")
        yield Stack(f"http://127.0.0.1:{port}", process, said, int(found[1]))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
