"""Commands about what the tables promise to readers: show one table, list what changed since an earlier version."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cryptolake.cli import values
from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.selecting import completed_by
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="What the tables promise: columns, types, units, and what changed.\n\n"
        "Example: cryptolake contracts show daily_panel",
    )
    group.command("show")(show_command)
    group.command("diff")(diff_command)
    cli.add_typer(group, name="contracts", rich_help_panel="Endpoints and proof")


@only_reads
def show_command(
    table: Annotated[
        str,
        typer.Argument(
            help="A table's name, e.g. daily_panel.", show_default=False, autocompletion=completed_by(values.tables)
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Show one table: what a row is, its key, and every column with type, unit and meaning. Needs no data.

    Example: cryptolake contracts show daily_panel
    """
    from cryptolake.catalogue import contracts

    known = {one.name: one for one in contracts()}
    if table not in known:
        near = difflib.get_close_matches(table, known, n=3)
        raise BadInput(f"unknown table {table!r}; {'did you mean' if near else 'known:'} {', '.join(near or known)}")
    found = known[table]
    if as_json:
        print_json(asdict(found))
        return
    rows = [(one.name, one.dtype, one.unit, "yes" if one.null else "no", one.doc) for one in found.fields]
    print_table(f"{found.name}: {found.doc}", ("column", "type", "unit", "null", "meaning"), rows)
    print_line(f"One row: {found.grain}. Key: {', '.join(found.key) or 'none'}.")


@only_reads
def diff_command(
    old: Annotated[
        Path, typer.Argument(help="A data folder that was published, or its gold/contracts.json.", show_default=False)
    ],
    as_json: JsonFlag = False,
) -> None:
    """List what changed in the tables since another version, and which changes break a reader (exit 1 if any does).

    Example: cryptolake contracts diff data
    """
    from cryptolake.catalogue import contracts
    from cryptolake.contracts.versions import changes, promises, read_document
    from cryptolake.work.published import CONTRACTS_FILE

    path = old / CONTRACTS_FILE if old.is_dir() else old
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"cannot read {path}: {error.strerror or error}; give a data folder that was published to, or its {CONTRACTS_FILE}"
        ) from None
    found = changes(read_document(content, str(path)), promises(contracts()))
    breaking = sum(one.breaks for one in found)
    if as_json:
        print_json({"breaking": breaking, "changes": [asdict(one) for one in found]})
    elif found:
        rows = [(one.where, one.kind, "yes" if one.breaks else "no", one.text) for one in found]
        print_table(f"{counted(len(found), 'change')} since {path}", ("what", "change", "breaks", "how"), rows)
    else:
        print_line(f"Nothing changed since {path}.")
    if breaking:
        raise Stop(
            f"of {counted(len(found), 'change')} {counted(breaking, 'breaks', 'break')} who reads by the old "
            f"version; see the lines above"
        )
