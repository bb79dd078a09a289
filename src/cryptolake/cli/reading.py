"""Which commands only read the data folder: they declare it, and work on one that may not be written.

What does not belong here: opening the folder (state) and what a command reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

# typer brings its own click and exports no name for this: how a function deeper than the command learns of the call.
from typer._click.globals import get_current_context

Command = TypeVar("Command", bound=Callable[..., None])

_MARK = "only_reads"


def only_reads(command: Command) -> Command:
    """Declare that a command writes nothing into the data folder, unless the user names a place in it."""
    setattr(command, _MARK, True)
    return command


def declared(command: Any) -> bool:
    """Whether a command of the command line has declared so."""
    return bool(getattr(getattr(command, "callback", None), _MARK, False))


def reads_now() -> bool:
    """Whether the command that is running has declared so, and is not asked to repair what it finds."""
    context = get_current_context(silent=True)
    return context is not None and declared(context.command) and not context.params.get("repair")
