"""Finds the ways on which a person is told: every other file of this package is one, by its name, or helps one.

A faulty file is left out and named, with what is wrong: the other ways still tell. What does not belong here: any way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cryptolake.alerts
from cryptolake.contracts.alert import Alert, Setting
from cryptolake.files.foreign import require_function
from cryptolake.files.presence import FileFault, load, module_names, require_helper, require_spelt, unfindable
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
    found = FoundWays(refused=unfindable(cryptolake.alerts))
    for file in module_names(cryptolake.alerts):
        if file == __name__:
            continue
        try:
            module = load(file)
            if not hasattr(module, "SETTINGS") and not hasattr(module, "send"):
                require_helper(file, cryptolake.alerts, "SETTINGS and send")
                continue
        except FileFault as fault:
            found.refused[file] = str(fault)
            continue
        settings: Any = getattr(module, "SETTINGS", None)
        send: Any = getattr(module, "send", None)
        if not (isinstance(settings, tuple) and settings and all(isinstance(each, Setting) for each in settings)):
            found.refused[file] = "SETTINGS is missing; write a tuple of cryptolake.contracts.alert.Setting"
            continue
        found.secrets += [each.name for each in settings if each.secret and each.name not in found.secrets]
        try:
            require_spelt(module, ("SETTINGS", "send"))
            require_function(send, "send", "alert", "values", "http", gives=False)
        except FileFault as fault:
            found.refused[file] = str(fault)
            continue
        found.ways.append(AlertWay(file.rpartition(".")[2], settings, send))
    return found
