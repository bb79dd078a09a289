"""The at command: what a cited version id leads to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.options import JsonFlag, chosen_csus, shown_days
from cryptolake.cli.reading import only_reads
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table

if TYPE_CHECKING:
    from cryptolake.app import App


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("at", rich_help_panel="Research")(at_command)


@only_reads
@selecting()
def at_command(
    context: typer.Context,
    version_id: Annotated[
        str, typer.Argument(metavar="VERSION_ID", help="The cited id, or its first 8 digits or more.")
    ],
    places: Annotated[
        list[Path] | None, typer.Option("--in", help="Folder with releases or exports besides; repeatable.")
    ] = None,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Find what a cited version id is of: release, export or version of the panel, with its code and its tables.

    An id of some markets or days of an earlier panel is found when these are selected.

    Example: cryptolake at 3561871a2400e886
    """
    from cryptolake.work.cited import cited

    app: App = context.obj.open()
    csus = chosen_csus(app, selected) if selected.named else None
    found = cited(app, version_id, csus, *shown_days(selected), folders=places or ())
    if as_json:
        print_json([{**asdict(one), "tables": dict(one.tables)} for one in found])
        return
    for one in found:
        print_line(f"[bold]{one.what}[/] {one.where}")
        said = (
            ("digest", one.digest),
            ("made", one.at),
            ("cryptolake", one.code_version),
            ("commit", one.commit),
            ("registry", one.registry_version),
            *one.tables,
        )
        print_table("", ("what", "which"), [(name, value or "not recorded") for name, value in said])
