"""Which files are there: the modules that may be commands and those that may declare tables. Imports none of them.

What does not belong here: what a file offers (found) and how it is listed (group) or completed (complete).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from cryptolake.files.presence import module_names

PACKAGE = "cryptolake.cli"
GROUP = "cryptolake.commands"
_TABLE_ROOMS = ("silver", "gold", "quality", "sources")


def modules() -> list[str]:
    """Every module of this package, by name."""
    return module_names(package())


def package() -> ModuleType:
    """The package of commands; importing it here would be a circle."""
    return sys.modules[PACKAGE]


def command_files() -> list[str]:
    """What the commands depend on by presence: this package's modules, and other packages' entry points."""
    return [*modules(), *_points(GROUP)]


def table_files() -> list[str]:
    """The same for the tables: the modules of the rooms that declare tables, and other packages' sources."""
    rooms = [import_module(f"cryptolake.{room}") for room in _TABLE_ROOMS]  # empty packages
    found = [name for room in rooms for name in module_names(room)]
    return [*sorted(found), *_points("cryptolake.sources")]


def _points(group: str) -> list[str]:
    return sorted(f"{point.name} = {point.value}" for point in entry_points(group=group))
