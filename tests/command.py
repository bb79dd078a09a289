"""`cryptolake`: the command line as a user runs it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE_S

# The machine's own settings and keys must not decide what a test sees.
_OURS = ("CRYPTOLAKE", "ALCHEMY", "DATABASE_URL", "DEFILLAMA", "ARTEMIS", "COINGECKO")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def cryptolake(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it in `folder` with only these variables of ours set."""
    return subprocess.run(
        [sys.executable, "-c", "from cryptolake.cli import main; main()", *arguments],
        cwd=folder,
        env={**CLEAN, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def widest(text: str) -> int:
    """Characters of the longest line, except of those with a command that is copied and therefore never broken."""
    return max((len(line) for line in text.splitlines() if " cryptolake --" not in line), default=0)
