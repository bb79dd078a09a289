"""The help command: the first screen, every command, or one command's own help."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any

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
    if everything and command:
        raise BadInput("--all lists every command; leave the name out, or leave --all out")
    if everything:
        _print_all(top)
        return
    shown, unknown = _context_of(top, command or ())
    if unknown is not None:
        known = list(getattr(shown.command, "commands", {}))
        near = difflib.get_close_matches(unknown, known, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "`cryptolake help --all` lists every one"
        raise BadInput(f"no command {' '.join(command or ())!r}; {hint}")
    typer.echo(shown.get_help())


def print_help(arguments: Sequence[str]) -> bool:
    """Print the help that these arguments of the whole command line ask for, without running a command.

    Reading flags as a command is run costs more than the help itself. False, and nothing printed, when they ask for
    anything else than the help of one command, of all of them or the first screen.
    """
    names = list(arguments[1:] if arguments[0] == "help" else arguments[:-1])
    everything = arguments[0] == "help" and names == ["--all"]
    if not everything and any(one.startswith("-") for one in names):
        return False
    from cryptolake.cli.root import NAME, app

    command = typer.main.get_command(app)
    top = typer.Context(command, info_name=NAME, **command.context_settings)
    if everything:
        _print_all(top)
        return True
    shown, unknown = _context_of(top, names)
    if unknown is None:
        typer.echo(shown.get_help())
    return unknown is None


def _print_all(top: Any) -> None:
    assert isinstance(top.command, CommandLine)
    top.command.format_all(top)


def _context_of(top: Any, names: Sequence[str]) -> tuple[Any, str | None]:
    """The context of the command that the names lead to, as far as they do, and the first name that is no command."""
    shown = top
    for name in names:
        if (inner := getattr(shown.command, "commands", {}).get(name)) is None:
            return shown, name
        shown = type(top)(inner, info_name=name, parent=shown, **inner.context_settings)
    return shown, None
