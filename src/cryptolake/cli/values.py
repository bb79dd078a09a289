"""What can be typed after a flag: markets, chains, sets, tables, formats. Each is found as the command itself finds it.

A function here takes the registry file that was typed and gives every name. Nothing heavy is imported: a shell waits for
the answer. What does not belong here: which flag takes what (each command's file) and how a shell is answered (complete).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cryptolake.errors import CryptolakeError

if TYPE_CHECKING:
    from cryptolake.settings import Settings

# The files in the working folder that settings are read from, beside the environment.
_SETTING_FILES = (".env", "cryptolake.toml")


def markets(registry: Path | None) -> list[str]:
    """The markets' names, and `all`."""
    from cryptolake.registry.loader import market_rows

    return [*_read(market_rows, registry), "all"]


def chains(registry: Path | None) -> list[str]:
    """The chains' names."""
    from cryptolake.registry.loader import chain_names

    return _read(chain_names, registry)


def sets(registry: Path | None) -> list[str]:
    """The names of the sets of markets, the user's own included."""
    from cryptolake.registry.loader import set_names

    own = settings.market_sets if (settings := _settings_that_name("market_sets")) is not None else {}
    return sorted({*_read(set_names, registry), *own})


def tables(_registry: Path | None) -> list[str]:
    """The tables' names: from the committed list while the files that declare tables are those it was made of."""
    from cryptolake.cli.complete import read_document
    from cryptolake.cli.presence import table_files

    known = read_document().get("tables", {})
    if known.get("files") == table_files():
        return list(known["names"])
    from cryptolake.catalogue import found_tables

    return sorted(found_tables())


def formats(_registry: Path | None) -> list[str]:
    """The names of the export formats."""
    from cryptolake.research.formats import format_names

    return format_names()


def _read(names: Callable[[Path | None], Iterable[str]], typed: Path | None) -> list[str]:
    """The names under the user's registry; the package's alone when that file is faulty, which the command itself says."""
    try:
        return list(names(typed or _registry_of_settings()))
    except CryptolakeError:
        return list(names(None))


def _registry_of_settings() -> Path | None:
    """The registry file that the settings name."""
    settings = _settings_that_name("registry")
    return settings.registry if settings is not None else None


def _settings_that_name(setting: str) -> Settings | None:
    """The settings, which take a while to read, only where something may set this one; None where they cannot be read."""
    texts = [" ".join(os.environ), *(_text(Path(file)) for file in _SETTING_FILES)]
    if not any(setting in text.lower() for text in texts):
        return None
    from cryptolake.settings import load_settings

    try:
        return load_settings()
    except CryptolakeError:  # a shell waits: the command itself says what is wrong
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:  # not there, or not for us: the settings say which when a command reads them
        return ""
