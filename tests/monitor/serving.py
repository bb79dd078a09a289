"""`cryptolake monitor --serve` as its own process over a ledger the test writes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command import CLEAN
from tests.waiting import PATIENCE_S


@contextmanager
def serving(data: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The page's address and the process; ended afterwards."""
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "--data", str(data), "monitor", "--serve", "--port", "0"],
        env=CLEAN,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + (process.communicate(timeout=PATIENCE_S)[1] if process.poll() is not None else "")
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
