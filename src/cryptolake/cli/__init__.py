"""The command line: reads flags, calls `flow` through `app`, prints. No step is decided here.

Exit codes: 0 done, 1 something failed (the line says what to do), 2 the command or its input was wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cryptolake import __version__
from cryptolake.app import redact_text
from cryptolake.cli import (
    coins,
    contracts,
    exchanges,
    extend,
    init,
    ledger,
    markets,
    monitor,
    new,
    onchain,
    panel,
    prices,
    quality,
    query,
    release,
    rpc,
    sandbox,
    schedule,
    up,
    vendors,
)
from cryptolake.cli.state import State
from cryptolake.errors import BadInput, CryptolakeError
from cryptolake.settings import debug_wanted

app = typer.Typer(
    name="cryptolake",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Collect lending-market and vendor data, keep every answer, refine it into tables you can cite.",
    epilog="Start here: [bold]cryptolake demo[/] (no keys, no internet)",
)


def _print_version(wanted: bool) -> None:
    if wanted:
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


vendors.add_commands(app)
query.add_commands(app)
onchain.add_commands(app)
prices.add_commands(app)
panel.add_commands(app)
quality.add_commands(app)
release.add_commands(app)
coins.add_commands(app)
exchanges.add_commands(app)
rpc.add_commands(app)
init.add_commands(app)
sandbox.add_commands(app)
markets.add_commands(app)
ledger.add_commands(app)
contracts.add_commands(app)
extend.add_commands(app)
new.add_commands(app)
monitor.add_commands(app)
schedule.add_commands(app)
up.add_commands(app)


def main() -> None:
    """Run the command line; turns every expected error into one line on standard error and an exit code."""
    try:
        app()
    except CryptolakeError as error:
        _fail(str(error), 2 if isinstance(error, BadInput) else 1, error)
    except KeyboardInterrupt:
        _fail("interrupted; what was collected is kept, run the same command again to go on", 130, None)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename or 'input/output'}", 1, error)


def _fail(message: str, code: int, error: BaseException | None) -> None:
    if error is not None and debug_wanted():
        raise error
    line = " ".join(redact_text(message, State.secrets()).split())
    sys.stderr.write(f"cryptolake: {line}\n")
    sys.exit(code)
