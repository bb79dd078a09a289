"""`conversation`: the command line at a real terminal, answered question by question as a person would."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.command import CLEAN
from tests.waiting import PATIENCE_S


def conversation(
    folder: Path, arguments: Sequence[str], answers: Sequence[tuple[str, str]], **variables: str
) -> tuple[int, str]:
    """Exit code and everything the terminal showed; each answer is typed once the words before it have appeared."""
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()", *arguments]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(command[0], command, {**CLEAN, "COLUMNS": "200", **variables})
    shown, seen = "", 0
    for question, answer in [*answers, ("", "")]:
        # A hidden question throws away what was typed before it listens, which it says by the blank after its colon.
        while not question or question not in shown[seen:] or not shown.endswith(": "):
            if (more := _read(terminal)) is None:
                break
            shown += more
        if not question:
            break
        assert question in shown[seen:], shown
        seen = shown.index(question, seen) + len(question)
        os.write(terminal, answer.encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def _read(terminal: int) -> str | None:
    """What the terminal shows next; None at its end."""
    ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
    assert ready, "the terminal is silent"
    try:
        return os.read(terminal, 65536).decode(errors="replace") or None
    except OSError:  # how Linux says that the other side is gone
        return None
