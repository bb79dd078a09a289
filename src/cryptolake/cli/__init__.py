"""The command line: reads flags, calls `work` through `app`, prints. No step is decided here.

Exit codes: 0 done, 1 something failed (the line says what to do), 2 the command or its input was wrong. A command is a file
of this package, found because it is there; heavy libraries are imported in the functions that use them. Here is only the
entry, which loads as little as the call needs; the flags of all commands are in `root`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from cryptolake.errors import BadInput, CryptolakeError

if TYPE_CHECKING:
    from cryptolake.cli.root import app as app


def __getattr__(name: str) -> object:
    """`app`, the whole command line, when it is first used."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cryptolake.cli.root import app

    return app


def main() -> None:
    """Run the command line; turns every expected error into one line on standard error and an exit code."""
    try:
        _run()
    except CryptolakeError as error:
        _fail(str(error), 2 if isinstance(error, BadInput) else 1, error)
    except KeyboardInterrupt as error:
        from cryptolake.cli.signals import interrupted

        _fail(interrupted(error), 130, None)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename or 'input/output'}", 1, error)


def _run() -> None:
    """Answer a shell, print the version or a help, or run a command: the library is loaded for what needs it."""
    arguments = sys.argv[1:]
    if os.environ.get("_CRYPTOLAKE_COMPLETE"):
        from cryptolake.cli.complete import answer

        if (told := answer(os.environ)) is not None:
            if told.text is not None:
                sys.stdout.write(f"{told.text}\n")
            sys.exit(told.code)
    elif arguments == ["--version"]:
        from cryptolake.version import __version__

        sys.stdout.write(f"cryptolake {__version__}\n")
        sys.exit(0)
    elif arguments and (arguments[0] == "help" or arguments[-1] in {"-h", "--help"}):
        from cryptolake.cli.help import print_help

        if print_help(arguments):
            sys.exit(0)
    from cryptolake.cli.root import NAME, app
    from cryptolake.cli.signals import ending_promptly

    with ending_promptly():
        app(prog_name=NAME)


def _fail(message: str, code: int, error: BaseException | None) -> NoReturn:
    from cryptolake.cli.failing import fail

    fail(message, code, error)
