"""How the command line ends when something went wrong: one line on standard error, without secrets, and an exit code.

What does not belong here: which code an error has (`cli`) and what a command prints.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from cryptolake.cli.state import State
from cryptolake.cli.typed import in_text


def fail(message: str, code: int, error: BaseException | None) -> NoReturn:
    """Say it in one line on standard error, without secrets, and end with this code."""
    if error is not None:
        from cryptolake.settings import debug_wanted

        if debug_wanted():
            raise error
    named = in_text(message, State.flags)
    line = " ".join(one.strip() for one in _redacted(named).splitlines())
    sys.stderr.write(f"cryptolake: {line}\n")
    sys.exit(code)


def _redacted(message: str) -> str:
    secrets = State.secrets()
    if not secrets:
        return message
    from cryptolake.logs import redact_text

    return redact_text(message, secrets)
