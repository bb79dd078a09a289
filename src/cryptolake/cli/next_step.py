"""The line that says what to run next, as it can be typed where it is printed.

A command named here goes on with the folder and the registry of the call it follows and, where it is to take up the same
markets and days, with that call's selection. What does not belong here: which command comes next (the commands).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

# typer brings its own click and exports no name for this: how a function deeper than the command learns of the call.
from typer._click.globals import get_current_context

from cryptolake.cli.show import WIDTH, print_whole

GLOBAL = ("data", "registry")
SELECTION = ("csu", "chain", "family", "market_set", "dataset", "start_date", "end_date", "days", "granularity")


def print_next(*commands: str, said: str = "", joined: str = "or", selection: bool = False) -> None:
    """`Next:` and the commands, written without `cryptolake`; `said` is a sentence before it.

    `selection`: the commands go on with the markets and days that this call was given.
    """
    print_steps([typed(one, selection=selection) for one in commands], said=said, joined=joined)


def print_again(*others: str) -> None:
    """`Next:` after questions that failed: this very call, or `others`; why they failed and what helps is said before."""
    print_steps([again(), *(typed(one) for one in others)], said="Do what is said of what failed", joined="or")


def again() -> str:
    """This call as it was typed, to be typed again."""
    context = get_current_context()
    root = context.find_root()
    command = context.command_path.removeprefix(root.command_path).split()
    return " ".join(["cryptolake", *_flags(root), *command, *_flags(context)])


def print_steps(steps: Sequence[str], *, said: str = "", joined: str = "then") -> None:
    """The line itself, from what is typed at a shell; `said` may hold markup, the steps are printed as they are."""
    from rich.text import Text

    line = Text.from_markup(f"{said}. " if said else "", emoji=False)
    line.append("Next: ")
    long = len(line) + sum(len(one) + len(joined) + 2 for one in steps) > WIDTH
    for number, step in enumerate(steps):
        before = f"\n  {joined} " if long else f" {joined} "
        line.append(before if number else "").append(step, "bold")
    print_whole(line)


def typed(command: str, *, selection: bool = False) -> str:
    """A command as it is typed after this call, with its global flags and, if asked, its selection."""
    context = get_current_context(silent=True)
    if context is None:
        return f"cryptolake {command}"
    root = context.find_root()
    before, after = list(_flags(root, GLOBAL)), list(_flags(context, SELECTION)) if selection else []
    return " ".join(["cryptolake", *before, command, *after])


def _flags(context: Any, names: tuple[str, ...] | None = None) -> Iterator[str]:
    """The flags (among these) and arguments that were typed, as they are typed again."""
    for one in context.command.params:
        value = context.params.get(one.name)
        if (
            (names is not None and one.name not in names)
            or value in (None, (), [])
            or context.get_parameter_source(one.name).name != "COMMANDLINE"
        ):
            continue
        if isinstance(value, bool):
            yield one.opts[0] if value else one.secondary_opts[0]
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            text = shlex.quote(each.date().isoformat() if hasattr(each, "date") else _text(each))
            yield text if one.param_type_name == "argument" else f"{one.opts[0]} {text}"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
