"""The command line as one group: looks commands up where they are found, and shows two of its listings.

What does not belong here: finding (found) and what stands on the first screen (screens, and each command's file).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from typer import Abort, Exit

# typer brings its own click and exports no name for this: what is wrong with what was typed.
from typer._click.exceptions import ClickException
from typer.core import TyperCommand, TyperGroup

from cryptolake.cli.found import CommandOffer, Commands
from cryptolake.cli.screens import PANEL, PANELS, TEAM
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.files.presence import words


class CommandLine(TyperGroup):
    """A group whose commands are found by presence, each imported when it is asked for and not before."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.found = Commands()
        self.commands = self.found  # type: ignore[assignment]  # nothing is ever added to it

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what Ctrl-C ended is told in one line. Exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            from cryptolake.cli.failing import fail
            from cryptolake.cli.signals import interrupted

            fail(interrupted(error), 130, None)
        except (
            CryptolakeError,
            ClickException,
            Abort,
            Exit,
            OSError,
            SystemExit,
        ):  # told in one line where they arrive
            raise
        except BaseException as error:
            raise Stop(self._fault(ctx, error)) from error

    def _fault(self, ctx: Any, error: BaseException) -> str:
        """A command's own fault, by the file that it is to be mended in."""
        name = ctx.invoked_subcommand or ""
        callback = getattr(self.found.dropped.commands.get(name), "callback", None)
        if name in self.found.dropped.commands:
            return f"{getattr(callback, '__module__', name)}: command {name} failed ({words(error)}); correct the file"
        return f"command {name} failed ({words(error)}); this is a defect, please report it with what CRYPTOLAKE_DEBUG=1 shows"

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the first screen: the commands of the two journeys."""
        self._print(ctx, formatter, first_screen(self.found.offers()))

    def format_all(self, ctx: Any) -> None:
        """Print every command, panel by panel."""
        self._print(ctx, ctx.make_formatter(), whole_list(self.found.offers()))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The names that begin like this, with what each does, from the index."""
        with self._listing(self.found.offers()):
            return super().shell_complete(ctx, incomplete)

    def _print(self, ctx: Any, formatter: Any, offers: Iterable[CommandOffer]) -> None:
        with self._listing(offers):
            super().format_help(ctx, formatter)
        for fault in self.found.dropped.refused.values():
            sys.stderr.write(f"cryptolake: left out: {fault}\n")

    @contextmanager
    def _listing(self, offers: Iterable[CommandOffer]) -> Iterator[None]:
        """While the block lasts the commands are names with a text, which is all that a listing asks of them."""
        self.commands = {
            one.name: TyperCommand(name=one.name, help=one.text, rich_help_panel=one.panel or None, hidden=one.hidden)
            for one in offers
        }
        try:
            yield
        finally:
            self.commands = self.found  # type: ignore[assignment]


class WithDefault(TyperGroup):
    """A group whose first command is meant where none is named: `release 2024.12` is `release freeze 2024.12`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words with the command that is meant."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [next(iter(self.commands)), *args]
        return list(super().parse_args(ctx, args))


def first_screen(offers: Iterable[CommandOffer]) -> list[CommandOffer]:
    """The steps of the journeys in their order, each with what it is for there."""
    journeys = (PANEL, TEAM)
    chosen = [(one.step, one) for one in offers if one.step is not None and one.step.journey in journeys]
    chosen.sort(key=lambda pair: (journeys.index(pair[0].journey), pair[0].number, pair[1].name))
    return [replace(one, panel=step.journey, text=step.text) for step, one in chosen]


def whole_list(offers: Iterable[CommandOffer]) -> list[CommandOffer]:
    """Every command, the panels in their order."""
    return sorted(offers, key=lambda one: PANELS.index(one.panel) if one.panel in PANELS else len(PANELS))
