"""The command line: reads flags, calls `work` through `app`, prints. No step is decided here.

Exit codes: 0 done, 1 something failed (the line says what to do), 2 the command or its input was wrong. A command is a file
of this package, found because it is there; heavy libraries are imported in the functions that use them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptolake.cli.failing import fail
from cryptolake.cli.group import CommandLine
from cryptolake.cli.signals import ending_promptly, interrupted
from cryptolake.cli.state import State
from cryptolake.errors import BadInput, CryptolakeError

app = typer.Typer(
    name="cryptolake",
    cls=CommandLine,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Collect lending-market and vendor data, keep every answer, refine it into tables you can cite.",
    epilog="Every command: [bold]cryptolake help --all[/]   One of them: [bold]cryptolake help COMMAND[/]\n\n"
    "Start here: [bold]cryptolake demo[/] (no keys, no internet)",
)


def _print_version(wanted: bool) -> None:
    if wanted:
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
    context.obj = State(data=data, registry=registry, log_level=log_level)
    context.call_on_close(context.obj.close)


def main() -> None:
    """Run the command line; turns every expected error into one line on standard error and an exit code."""
    try:
        with ending_promptly():
            app()
    except CryptolakeError as error:
        fail(str(error), 2 if isinstance(error, BadInput) else 1, error)
    except KeyboardInterrupt as error:
        fail(interrupted(error), 130, None)
    except OSError as error:
        fail(f"{error.strerror or error}: {error.filename or 'input/output'}", 1, error)
