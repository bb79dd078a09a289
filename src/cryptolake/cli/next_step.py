"""The line that says what to run next, as it can be typed where it is printed.

A command named here goes on with the folder and the registry of the call it follows and, where it is to take up the same
markets and days, with that call's selection. What does not belong here: which command comes next (the commands), and
commands named inside a sentence (typed).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from cryptolake.cli.show import WIDTH, print_whole
from cryptolake.cli.typed import call, flags, in_markup, of_the_call

SELECTION = ("csu", "chain", "family", "market_set", "dataset", "start_date", "end_date", "days", "granularity")


def print_next(*commands: str, said: str = "", joined: str = "or", selection: bool = False) -> None:
    """`Next:` and the commands, written without `cryptolake`; `said` is a sentence before it.

    `selection`: the commands go on with the markets and days that this call was given.
    """
    print_steps([typed(one, selection=selection) for one in commands], said=said, joined=joined)


def print_again(said: str = "") -> None:
    """`Next:` and this very call, for what failed and may be asked again; `said` is a sentence before it."""
    context = call()
    if context is None:
        return
    names: list[str] = []
    above = context
    while above.parent is not None:
        names.insert(0, str(above.info_name))
        above = above.parent
    given = [
        shlex.quote(str(value))
        for one in context.command.params
        if one.param_type_name == "argument" and (value := context.params.get(one.name)) is not None
    ]
    options = [one.name for one in context.command.params if one.param_type_name == "option"]
    print_steps([typed(" ".join([*names, *given, *flags(context, options)]))], said=said)


def print_steps(steps: Sequence[str], *, said: str = "", joined: str = "then") -> None:
    """The line itself, from what is typed at a shell; `said` may hold markup, the steps are printed as they are."""
    from rich.text import Text

    line = Text.from_markup(f"{in_markup(said)}. " if said else "", emoji=False)
    line.append("Next: ")
    long = len(line) + sum(len(one) + len(joined) + 2 for one in steps) > WIDTH
    for number, step in enumerate(steps):
        before = f"\n  {joined} " if long else f" {joined} "
        line.append(before if number else "").append(step, "bold")
    print_whole(line)


def typed(command: str, *, selection: bool = False) -> str:
    """A command as it is typed after this call, with its global flags and, if asked, what it takes of its selection."""
    context = call()
    after = list(flags(context, _taken(context, command))) if selection and context is not None else []
    return " ".join(["cryptolake", *of_the_call(), command, *after])


def _taken(context: Any, command: str) -> set[str]:
    """The names of the selection's flags that a command has."""
    found = context.find_root().command
    for word in shlex.split(command):
        if not hasattr(found, "commands") or (below := found.commands.get(word)) is None:
            break
        found = below
    return {one.name for one in found.params} & set(SELECTION)
