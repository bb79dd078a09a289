"""Calling what a file that was dropped in offers: whether it can be called so, and what becomes of a fault in it.

A file's fault is the file's: it is told in one line that names the file, ends nothing but what was asked of the file, and
is neither a traceback nor the end of the process. What does not belong here: finding files (presence).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from cryptolake.errors import CryptolakeError, Stop
from cryptolake.files.presence import FileFault, words


@contextmanager
def fence(file: str, doing: str, remedy: str = "correct the file", *, raising: type[Stop] = Stop) -> Iterator[None]:
    """What goes wrong in the block is told as the file's own fault.

    Errors that name a reaction or the file's fault pass, and so does Ctrl-C. Anything else raises Stop (or `raising`),
    also what would end the process.
    """
    try:
        yield
    except (CryptolakeError, FileFault, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise raising(f"{file}: {doing} failed ({words(error)}); {remedy}") from error


def require_function(function: object, name: str, *arguments: str, gives: bool = True) -> None:
    """Raises FileFault unless it can be called with these arguments, by position.

    Who wants no value of it (`gives` is False) refuses a generator too: called, it would do nothing.
    """
    asked = f"write a function of {', '.join(arguments) or 'no arguments'}"
    if not callable(function):
        raise FileFault(f"{name} is no function; {asked}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise FileFault(f"{name} is asynchronous and would never run; {asked}, without async")
    if not gives and inspect.isgeneratorfunction(function):
        raise FileFault(f"{name} has a yield, so that calling it does nothing; {asked}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin that does not tell
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise FileFault(f"{name}{signature} cannot be called so ({error}); {asked}") from None
