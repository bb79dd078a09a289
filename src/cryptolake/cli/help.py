"""The help command: the first screen, every command, or one command's own help."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from cryptolake.cli.group import CommandLine
from cryptolake.errors import BadInput


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("help", rich_help_panel="Start")(help_command)


def help_command(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(help="A command's name, e.g. plan, or rpc probe.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="List every command.")] = False,
) -> None:
    """Show the first screen, every command with --all, or the help of one command.

    Example: cryptolake help --all
    """
    top = context.find_root()
    assert isinstance(top.command, CommandLine)
    if everything:
        if command:
            raise BadInput("--all lists every command; leave the name out, or leave --all out")
        top.command.format_all(top)
        return
    shown = top
    for name in command or ():
        inner = getattr(shown.command, "commands", {}).get(name)
        if inner is None:
            near = difflib.get_close_matches(name, list(getattr(shown.command, "commands", {})), n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "`cryptolake help --all` lists every one"
            raise BadInput(f"no command {' '.join(command or ())!r}; {hint}")
        shown = type(top)(inner, info_name=name, parent=shown)
    typer.echo(shown.get_help())
