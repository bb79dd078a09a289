"""Commands that take a release up again: archive the answers it rests on, rebuild it from them, compare two of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from cryptolake.app import App

FolderArgument = Annotated[Path, typer.Argument(help="Folder of the release.", metavar="RELEASE")]


@only_reads
def archive_command(
    context: typer.Context,
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="ZIP file to write.")],
    bronze: Annotated[
        Path | None, typer.Option(help="Bronze folder, or data folder with one (default: the data folder).")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also answers that may not be passed on: for yourself alone.")
    ] = False,
) -> None:
    """Pack the answers that a release rests on into one ZIP file, from which it can be rebuilt.

    Answers of vendors that may not be passed on (`terms:` of the registry) are left out and named.

    Example: cryptolake release archive data/releases/2024.12 --out answers.zip
    """
    from cryptolake.registry.terms import terms_of
    from cryptolake.research.release_pages import PASSING
    from cryptolake.work.rebuilding import archive_answers

    app: App = context.obj.open()
    terms = None if everything else app.registry.terms
    count, withheld = archive_answers(folder, bronze or app.folder.root, out, terms)
    print_line(f"{counted(count, 'answer')} in {out} ({counted(out.stat().st_size, 'byte')})")
    for source, left in sorted(withheld.items()):
        why = terms_of(app.registry.terms, source)
        print_line(
            f"Withheld: {counted(left, 'answer')} of {source} ({PASSING[why.pass_on]}: {why.sources[0]}); whoever rebuilds "
            "the release needs them from there"
        )


def rebuild_command(
    context: typer.Context,
    folder: FolderArgument,
    bronze: Annotated[Path, typer.Option(help="The answers: a bronze folder, a data folder, or an archive of them.")],
    as_json: JsonFlag = False,
) -> None:
    """Make a release again from its own folder and the answers, and compare every file. Needs no network.

    In an empty folder, or with --data naming one. Exit code 1 where anything is missing or differs.

    Example: cryptolake release rebuild ../2024.12 --bronze ../answers.zip
    """
    from cryptolake.work.rebuilding import rebuild

    made = rebuild(folder, bronze, open_app=context.obj.open, into=context.obj.read().data)
    if as_json:
        print_json(
            {
                "same": made.same,
                "digest": made.release.digest,
                "first_digest": made.first_digest,
                "differs": made.differs,
                "notes": made.notes,
                "folder": str(made.release.folder),
            }
        )
    else:
        rows = [
            (name, digest[:16], "differs" if name in made.differs else "same")
            for name, digest in made.release.files.items()
        ]
        print_table(f"Made again: {made.release.folder}", ("file", "sha256", "as released"), rows)
        for note in made.notes:
            print_line(f"Other here: {note}")
        if made.same:
            print_line(f"[green]Byte for byte the same[/], digest {made.release.digest}")
        else:
            print_line(
                f"[red]Not the same[/]: {', '.join(made.differs)} (digest {made.first_digest[:16]} was released)"
            )
    raise typer.Exit(0 if made.same else 1)


@only_reads
def diff_command(
    before: Annotated[Path, typer.Argument(help="Folder of the earlier release.", metavar="BEFORE")],
    after: Annotated[Path, typer.Argument(help="Folder of the later one.", metavar="AFTER")],
    changelog_file: Annotated[
        Path | None, typer.Option("--changelog", help="Write the data changelog (Markdown) to this file.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write every changed cell to this CSV file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Every cell that differs between two releases, each with its cause; exit code 1 where one has none.

    Causes: new answer, restatement, evidence, price, registry, code, selection, another day of the market.

    Example: cryptolake release diff data/releases/2024.11 data/releases/2024.12 --changelog CHANGES.md
    """
    from cryptolake.files.atomic import write_bytes
    from cryptolake.research.release_diff import CAUSES, changelog, diff, document

    found = diff(before, after)
    if changelog_file is not None:
        write_bytes(changelog_file, changelog(found).encode())
    if out is not None:
        write_bytes(out, found.cells.write_csv().encode())
    if as_json:
        print_json(document(found))
    else:
        rows = [(cause, count, CAUSES[cause]) for cause, count in found.by_cause.items()]
        if rows:
            print_table(f"From {found.before} to {found.after}: changed cells", ("cause", "cells", "meaning"), rows)
        else:
            print_line(f"From {found.before} to {found.after} no cell changed.")
        for name, columns in (("New columns", found.columns_added), ("Columns no longer there", found.columns_removed)):
            if columns:
                print_line(f"{name}: {', '.join(columns)}")
        for file in (changelog_file, out):
            if file is not None:
                print_line(f"Written: {file}")
    raise typer.Exit(0 if found.explained else 1)
