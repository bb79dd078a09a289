"""Commands as they are typed after a call: with its data folder and its registry, also where a sentence names one.

A remedy is written in the house as `cryptolake refine`, in ticks or bold; whoever reads it types it as it stands, so it has
to name the folder of the call that failed. What does not belong here: the line of next steps (next_step).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from datetime import date
from typing import Any

GLOBAL = ("data", "registry")
_NAMED = re.compile(r"(?:(?<=`)|(?<=\[bold\]))cryptolake (?=[a-z])")


def call() -> Any | None:
    """The context of the command that runs, None outside of one."""
    # typer brings its own click and exports no name for this: how a function deeper than the command learns of the call.
    from typer._click.globals import get_current_context

    return get_current_context(silent=True)


def of_the_call(context: Any | None = None) -> list[str]:
    """The global flags that were typed, of this context or else of the command that runs, as they are typed again."""
    found = context or call()
    return [] if found is None else list(flags(found.find_root(), GLOBAL))


def flags(context: Any, names: Collection[str]) -> Iterator[str]:
    """The flags among these that were typed, as they are typed again."""
    for one in context.command.params:
        value = context.params.get(one.name)
        if (
            one.name not in names
            or value in (None, (), [])
            or context.get_parameter_source(one.name).name != "COMMANDLINE"
        ):
            continue
        if isinstance(value, bool):
            yield one.opts[0] if value else one.secondary_opts[0]
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            yield f"{one.opts[0]} {shlex.quote(each.date().isoformat() if hasattr(each, 'date') else _text(each))}"


def in_text(text: str, given: Collection[str] | None = None) -> str:
    """A sentence whose commands stand in ticks, with the global flags of the call, or these, put into them."""
    before = of_the_call() if given is None else given
    return _NAMED.sub(lambda _: " ".join(["cryptolake", *before, ""]), text) if before else text


def in_markup(text: str) -> str:
    """The same for a sentence with markup."""
    if not names_command(text):
        return text
    from rich.markup import escape

    return in_text(text, [escape(one) for one in of_the_call()])


def names_command(text: str) -> bool:
    """Whether a sentence names a command that somebody may copy."""
    return _NAMED.search(text) is not None


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
