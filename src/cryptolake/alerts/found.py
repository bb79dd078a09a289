"""Finds the ways on which a person is told: every other file of this package is one, by its name.

A faulty file is left out and named, with what is wrong: the other ways still tell. What does not belong here: any way.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cryptolake.alerts
from cryptolake.contracts.alert import Alert, Setting
from cryptolake.net.http import Http

Send = Callable[[Alert, Mapping[str, str], Http], None]


@dataclass(frozen=True, slots=True)
class AlertWay:
    """A way: the name of its file, the settings that open it when all of them are set, and the function that tells."""

    name: str
    settings: tuple[Setting, ...]
    send: Send


@dataclass(slots=True)
class FoundWays:
    """The ways that are sound, and the faulty files by module with what is wrong.

    `secrets` are the names of all secret settings, those of faulty files included, because they are secrets all the same.
    """

    ways: list[AlertWay] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)


def find_ways() -> FoundWays:
    """Every way, in the order of their names. Never raises for a faulty file."""
    found = FoundWays()
    for one in sorted(pkgutil.iter_modules(cryptolake.alerts.__path__), key=lambda one: one.name):
        file = f"{cryptolake.alerts.__name__}.{one.name}"
        if file == __name__:
            continue
        try:
            module = importlib.import_module(file)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a foreign file does while it is imported
            words = " ".join(f"{type(error).__name__}: {error}".split())
            found.refused[file] = f"cannot be imported ({words}); repair or remove it"
            continue
        settings, send = getattr(module, "SETTINGS", None), getattr(module, "send", None)
        if not (isinstance(settings, tuple) and settings and all(isinstance(each, Setting) for each in settings)):
            found.refused[file] = "SETTINGS is missing; write a tuple of cryptolake.contracts.alert.Setting"
            continue
        found.secrets += [each.name for each in settings if each.secret and each.name not in found.secrets]
        if not callable(send):
            found.refused[file] = "send is missing; write a function of an alert, the settings' values and HTTP"
            continue
        found.ways.append(AlertWay(one.name, settings, send))
    return found
