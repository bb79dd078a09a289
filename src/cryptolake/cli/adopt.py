"""The command that takes over what a researcher kept before: adopt FOLDER."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag
from cryptolake.cli.prices import pairs
from cryptolake.cli.show import print_json, print_line, print_table

if TYPE_CHECKING:
    from cryptolake.app import App


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("adopt", rich_help_panel="Lending markets")(adopt_command)


def adopt_command(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Holds tvl/, liquidations/, blocks.csv, prices.csv, or some of them.")],
    columns: Annotated[
        str | None, typer.Option(help="What the price file calls its columns: date=day,price=close.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Take over a folder of your own: documented days, day boundaries, prices. All of it is unproven until it is asked.

    Days are `suspect`, of the grade `unproven`, and the next collection asks for them; boundaries say where to look; prices go
    after everybody's. Nothing that was answered is replaced. Exits 1 when something was left out.

    Example: cryptolake adopt my_cache
    """
    from cryptolake.work.adopt import adopt_folder, made_of_it, said

    app: App = context.obj.open()
    found = adopt_folder(app, folder, pairs(columns))
    if found.days or found.prices:
        made_of_it(app)
    if as_json:
        print_json(asdict(found))
    else:
        rows = [("market-days", found.days), ("day boundaries", found.boundaries), ("prices", found.prices)]
        print_table("Taken over, unproven", ("what", "count"), rows)
        for line in said(found):
            print_line(f"[yellow]{line}[/]")
        print_next("plan", "collect", joined="then", said="What was taken over is asked by the next collection")
    raise typer.Exit(1 if found.strangers or found.alone else 0)
