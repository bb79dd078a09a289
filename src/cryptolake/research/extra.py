"""What to say when the libraries of the extra `research` are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptolake.errors import Stop


@contextmanager
def needs_research(what: str) -> Iterator[None]:
    """Turn a missing library into one line with the remedy."""
    try:
        yield
    except ImportError as error:
        raise Stop(f"{what} needs {error.name}; install it: pip install 'cryptolake[research]'") from None
