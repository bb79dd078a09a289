"""`Alert` and `Setting`: what a way of telling a person is handed, and what it declares of itself.

What does not belong here: the ways themselves (alerts) and the values of their settings (settings).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptolake.contracts.wellformed import require_types

_VARIABLE = re.compile(r"CRYPTOLAKE_[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Alert:
    """What a person is to be told, in one line each and without secrets; `environment` is dev, staging or prod."""

    title: str
    text: str
    environment: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable that a way needs; in `cryptolake.toml` it is the same word without prefix in small letters.

    The value of a `secret` one is replaced by asterisks wherever it would be printed.
    """

    name: str
    doc: str
    secret: bool = False

    def __post_init__(self) -> None:
        require_types(self)
        if not _VARIABLE.fullmatch(self.name):
            raise ValueError(f"setting {self.name!r}: write a variable's name, e.g. CRYPTOLAKE_PAGER_KEY")
