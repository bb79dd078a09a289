"""How every command collects: `work.gather` with live progress, ended cleanly by a signal, and the right exit code.

What does not belong here: flags and what is printed afterwards (the commands).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from cryptolake.cli.live import live
from cryptolake.cli.signals import asked_to_stop
from cryptolake.registry.markets import Csu

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.flow.collect import Collected
    from cryptolake.flow.resume import Wish


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a collection did, and the exit code it was asked to end with by a signal."""

    collected: Collected
    exit_code: int | None


def collected_live(
    app: App,
    csus: Sequence[Csu],
    wish: Wish,
    *,
    resume: bool = True,
    only_failed: bool = False,
    what: str = "collect",
    cluster: str | None = None,
) -> Gathered:
    """Ask what is missing of a wish, shown live, until it is done or a signal asks to stop."""
    from cryptolake.work.gather import gather

    with asked_to_stop() as asked, live() as show:
        result = gather(
            app,
            csus,
            wish,
            resume=resume,
            only_failed=only_failed,
            what=what,
            cluster=cluster,
            stopping=asked.stopping,
            show=show,
        )
    return Gathered(result, asked.exit_code)


def end(gathered: Gathered) -> None:
    """Leave with the right exit code: a signal's, 1 when something failed, else 0."""
    if gathered.exit_code is not None:
        released = gathered.collected.released
        sys.stderr.write(
            f"cryptolake: stopped as asked; what was answered is kept, {released:,} answers are left: "
            "run the same command again to go on\n"
        )
        raise typer.Exit(gathered.exit_code)
    raise typer.Exit(1 if gathered.collected.failed else 0)
