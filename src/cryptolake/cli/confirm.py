"""The one question before anything is replaced or taken away. What would happen is said by the command that asks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cryptolake.errors import Stop

YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask before replacing or taking away.")]


def confirm(question: str, *, yes: bool) -> None:
    """Return when the answer is yes. Raises Stop when it is no, or when nobody is there to answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Stop("nobody is there to confirm, nothing was changed; give --yes to go on without asking")
    if not typer.confirm(question, err=True):
        raise Stop("nothing was changed")
