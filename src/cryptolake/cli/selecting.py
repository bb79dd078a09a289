"""The flags that select markets and days, given to a command by `@selecting` and handed to it as one value.

What does not belong here: what a selection means (`options`, `work.selection`), and flags of one command alone.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from cryptolake.cli import values

PANEL = "Selection"  # under which the help shows them
# Under this name a completion says in its context which function of `values` gave the names; `words` asks for it.
VALUES = "cryptolake.values"


def completed_by(names: Callable[[Path | None], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    """The completion of a flag or argument by the names that a function of `values` gives."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        context.meta[VALUES] = f"{names.__module__}:{names.__name__}"
        return [one for one in names(context.find_root().params.get("registry")) if one.startswith(incomplete)]

    return complete


CsuFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--csu",
        help="Market, repeatable; 'all' for every market.",
        autocompletion=completed_by(values.markets),
        rich_help_panel=PANEL,
    ),
]
ChainFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--chain", help="All markets of a chain.", autocompletion=completed_by(values.chains), rich_help_panel=PANEL
    ),
]
SetFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A named set of markets, e.g. thesis-43, or one of your registry file; repeatable.",
        autocompletion=completed_by(values.sets),
        rich_help_panel=PANEL,
    ),
]
FamilyFlag = Annotated[
    list[str] | None, typer.Option("--family", help="All markets of a protocol family.", rich_help_panel=PANEL)
]
StartFlag = Annotated[
    datetime | None, typer.Option("--start-date", formats=["%Y-%m-%d"], help="First day.", rich_help_panel=PANEL)
]
EndFlag = Annotated[
    datetime | None,
    typer.Option("--end-date", formats=["%Y-%m-%d"], help="Last day, included (yesterday).", rich_help_panel=PANEL),
]
DaysFlag = Annotated[
    int | None, typer.Option("--days", min=1, help="How many days back from the end date.", rich_help_panel=PANEL)
]

_MARKETS = {"csu": CsuFlag, "chain": ChainFlag, "family": FamilyFlag, "market_set": SetFlag}
_DAYS = {"start_date": StartFlag, "end_date": EndFlag, "days": DaysFlag}


@dataclass(frozen=True, slots=True)
class Selected:
    """What the flags of a call say, each as it was typed; None where it was not. Days are UTC, both ends included."""

    csu: list[str] | None = None
    chain: list[str] | None = None
    family: list[str] | None = None
    sets: list[str] | None = None
    start: date | None = None
    end: date | None = None
    days: int | None = None

    @property
    def named(self) -> bool:
        """Whether markets were selected."""
        return bool(self.csu or self.chain or self.family or self.sets)

    @property
    def dated(self) -> bool:
        """Whether days were selected."""
        return bool(self.start or self.end or self.days)

    @property
    def settings(self) -> dict[str, object]:
        """The days as overrides of settings. Raises BadInput for a contradictory pair."""
        from cryptolake.work.selection import require_one_start

        require_one_start(self.start, self.days)
        return {"start_date": self.start, "end_date": self.end, "days": self.days}


NOTHING = Selected()


def selecting(*, days: Collection[str] = tuple(_DAYS)) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the four flags of markets and those of `days`; its parameter `selected` gets their values.

    In the help they stand where that parameter does.
    """
    flags = _MARKETS | {name: flag for name, flag in _DAYS.items() if name in days}

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**given: Any) -> None:
            typed = {name: given.pop(name) for name in flags}
            start, end = (_day(typed.pop(name, None)) for name in ("start_date", "end_date"))
            sets = typed.pop("market_set")
            command(**given, selected=Selected(**typed, sets=sets, start=start, end=end))

        hints, parameters = get_type_hints(command, include_extras=True), list[inspect.Parameter]()
        for one in inspect.signature(command).parameters.values():
            if one.name != "selected":
                parameters.append(one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY))
                continue
            for name, flag in flags.items():
                parameters.append(
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag)
                )
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        return call

    return give


def _day(typed: datetime | None) -> date | None:
    return None if typed is None else typed.date()
