"""Writes `completion.json`: every command's words, as the command-line library knows them. `make snapshot` runs it.

What does not belong here: answering a shell by it (complete).
"""

from __future__ import annotations

import json
from typing import Any

from typer.core import TyperOption
from typer.main import get_command

from cryptolake.cli.presence import command_files, table_files
from cryptolake.cli.root import app
from cryptolake.cli.selecting import VALUES
from cryptolake.errors import Stop


def render_words() -> bytes:
    """The document of today's files. Raises Stop naming a flag that is completed by a function of its own."""
    from cryptolake.catalogue import found_tables

    document = {
        "files": command_files(),
        "tables": {"files": table_files(), "names": sorted(found_tables())},
        "root": _node(get_command(app), "cryptolake"),
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _node(command: Any, name: str, parent: Any = None) -> dict[str, Any]:
    context = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
    node: dict[str, Any] = {"params": [_param(one, context) for one in command.get_params(context)]}
    if (inner := getattr(command, "commands", None)) is not None:
        said = {one.value: _plain(one.help) for one in command.shell_complete(context, "")}
        nodes = {one: _node(found, one, context) for one, found in inner.items()}
        order = [*said, *(one for one in nodes if one not in said)]
        node["commands"] = {
            one: ({"help": said[one]} if one in said else {"hidden": True}) | nodes[one] for one in order
        }
    return node


def _param(param: Any, context: Any) -> dict[str, Any]:
    if not isinstance(param, TyperOption):
        found = {"opts": [param.name], "argument": True, "takes": param.nargs}
    else:
        found = {"opts": _names(param, context), "takes": 0 if param.is_flag or param.count else param.nargs}
        if param.secondary_opts:
            found["off"] = list(param.secondary_opts)
        if param.help:
            found["help"] = _plain(param.help)
        found |= {name: True for name, is_so in (("repeats", param.multiple), ("hidden", param.hidden)) if is_so}
    context.meta.pop(VALUES, None)
    offered = [one.value for one in param.shell_complete(context, "")]
    if (by := context.meta.get(VALUES)) is not None:
        found["values"] = by
    elif param._custom_shell_complete is not None:
        raise Stop(f"{context.command_path}: {param.name} is completed by a function of its own; use `completed_by`")
    elif offered and found["takes"]:
        found["values"] = offered
    return found


def _names(param: Any, context: Any) -> list[str]:
    """The option's names as they are declared; the library holds those of its own help in a set, in a new order every time."""
    of_help = set(param.opts) == set(context.help_option_names)
    return sorted(param.opts, key=len, reverse=True) if of_help else list(param.opts)


def _plain(text: str | None) -> str:
    """A text without its markup."""
    from rich.text import Text

    return Text.from_markup(text or "").plain
