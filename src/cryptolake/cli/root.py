"""The command line as one typer app: its name, its global flags and its help. Commands are found (`group`), none is here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptolake.cli.group import CommandLine
from cryptolake.cli.state import State
from cryptolake.cli.typed import of_the_call

# What it is called in help and completion, however it was started: by its script or as a module.
NAME = "cryptolake"

app = typer.Typer(
    name=NAME,
    cls=CommandLine,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Collect lending-market and vendor data, keep every answer, refine it into tables you can cite.",
    epilog="Every command: [bold]cryptolake help --all[/]   One of them: [bold]cryptolake help COMMAND[/]\n\n"
    "Start here: [bold]cryptolake demo[/] (no keys, no internet)",
)


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from cryptolake.version import __version__

        typer.echo(f"cryptolake {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Data folder (default: data).", show_default=False)] = None,
    registry: Annotated[
        Path | None, typer.Option(help="YAML file that adds or overrides markets and chains.", show_default=False)
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.", show_default=False)] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    del version
    State.flags = of_the_call(context)
    context.obj = State(data=data, registry=registry, log_level=log_level)
    context.call_on_close(context.obj.close)
