"""Which files are there: the modules that may be commands and those that may declare tables. Imports none of them.

What does not belong here: what a file offers (found) and how it is listed (group) or completed (complete).
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from importlib.metadata import entry_points

PACKAGE = "cryptolake.cli"
GROUP = "cryptolake.commands"
_TABLE_ROOMS = ("silver", "gold", "quality", "sources")


def modules() -> list[str]:
    """Every module of this package, by name."""
    return sorted(one.name for one in pkgutil.iter_modules(folders(), f"{PACKAGE}."))


def folders() -> list[str]:
    """Where the package's modules lie; importing it here would be a circle."""
    return list(sys.modules[PACKAGE].__path__)


def command_files() -> list[str]:
    """What the commands depend on by presence: this package's modules, and other packages' entry points."""
    return [*modules(), *_points(GROUP)]


def table_files() -> list[str]:
    """The same for the tables: the modules of the rooms that declare tables, and other packages' sources."""
    rooms = [import_module(f"cryptolake.{room}") for room in _TABLE_ROOMS]  # empty packages
    found = [one.name for room in rooms for one in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")]
    return [*sorted(found), *_points("cryptolake.sources")]


def _points(group: str) -> list[str]:
    return sorted(f"{point.name} = {point.value}" for point in entry_points(group=group))
