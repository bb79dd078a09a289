"""How every command that asks the chains is watched: live progress, ended cleanly by a signal, and the right exit code.

What does not belong here: flags and what is printed afterwards (the commands).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from cryptolake.cli.signals import StopRequest, asked_to_stop
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from cryptolake.flow.collect import Collected
    from cryptolake.watch.pace import Show


class Attended:
    """What a step is handed while somebody looks on: where its progress is shown, and whether it shall stop."""

    def __init__(self, asked: StopRequest, show: Show) -> None:
        self._asked, self.show = asked, show

    @property
    def stopping(self) -> threading.Event:
        """Set by the first signal."""
        return self._asked.stopping

    def end(self, collected: Collected) -> None:
        """Leave with the right exit code: a signal's, 1 when something failed, else 0."""
        self.end_if_stopped(collected)
        raise typer.Exit(1 if collected.failed else 0)

    def end_if_stopped(self, collected: Collected) -> None:
        """Leave with the signal's exit code if there was one."""
        if self._asked.exit_code is not None:
            sys.stderr.write(
                f"cryptolake: stopped as asked; what was answered is kept, "
                f"{counted(collected.released, 'answer is', 'answers are')} left: "
                "run the same command again to go on\n"
            )
            raise typer.Exit(self._asked.exit_code)


@contextmanager
def watched() -> Iterator[Attended]:
    """Show what happens while the block lasts, and turn signals into a wish to stop."""
    from cryptolake.cli.live import live

    with asked_to_stop() as asked, live() as show:
        yield Attended(asked, show)
