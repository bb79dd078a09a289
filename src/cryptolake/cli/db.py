"""The `db` commands: whether the database of the data folder is up, how to reach it, and stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.show import print_json, print_line, print_table

if TYPE_CHECKING:
    from cryptolake.app import App

db_app = typer.Typer(
    no_args_is_help=True,
    help="The PostgreSQL that runs under the data folder.\n\nExample: cryptolake db status",
)


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(db_app, name="db", rich_help_panel="Keep current")


@db_app.command("status")
@only_reads
def status_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Say whether the database is up: its folder, process, port, since when, its size, and who uses it. Starts nothing.

    Example: cryptolake db status
    """
    from cryptolake.work import database

    app: App = context.obj.open()
    found = database.status(app)
    if as_json:
        print_json(found.document())
        return
    size = None if found.size is None else f"{found.size / 2**20:,.0f} MB"
    since = None if found.since is None else f"{found.since:%Y-%m-%d %H:%M:%S} UTC"
    rows = [
        ("database", found.state),
        ("data folder", str(found.data)),
        ("its files", None if found.place is None else str(found.place)),
        ("process", found.pid and str(found.pid)),
        ("port", found.port and str(found.port)),
        ("since", since),
        ("size", size),
        ("used by", ", ".join(found.used_by) or None),
    ]
    print_table("PostgreSQL", ("", ""), rows)
    print_next("db stop" if found.state == "running" else "setup")


@db_app.command("stop")
def stop_command(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Also while a run of this data folder uses it.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Stop the database and wait for its clean end. The next command that needs it starts it again.

    Example: cryptolake db stop
    """
    from cryptolake.work import database

    app: App = context.obj.open()
    ended = database.stop(app, force=force)
    if as_json:
        print_json({"stopped": ended})
        return
    print_line("The database has stopped; its files stay." if ended else "The database was not running.")
    print_next("db status")


@db_app.command("url")
@only_reads
def url_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Print the address for psql and other programs, without the password, and where the password lies. Starts the database.

    Example: cryptolake db url
    """
    from cryptolake.work import database

    app: App = context.obj.open()
    found = database.address(app)
    if as_json:
        print_json({"url": found.url, "password_file": found.password_file and str(found.password_file)})
        return
    typer.echo(found.url)
    typer.echo(f"psql: {found.psql}", err=True)
