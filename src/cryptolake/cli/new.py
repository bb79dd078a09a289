"""The new command: writes the file of a source, family or table, and its test, as the pages add-a-* show them.

The files in `templates/` are those examples, word for word; a test compares them. What does not belong here: how such a
file is found (sources, catalogue).
"""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import typer

from cryptolake.cli.next_step import print_steps
from cryptolake.cli.show import print_whole
from cryptolake.errors import BadInput

Kind = Literal["source", "family", "table"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_IMPORTS = re.compile(r"(?:^from cryptolake\S* import [^(\n]+\n)+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Template:
    """The name that the example has, and where file and test belong in a checkout."""

    example: str
    folder: str
    tests: str


_TEMPLATES: Mapping[Kind, _Template] = {
    "source": _Template("weather", "src/cryptolake/sources", "tests/sources"),
    "family": _Template("till", "src/cryptolake/sources/onchain", "tests/sources"),
    "table": _Template("chain_daily", "src/cryptolake/gold", "tests/gold"),
}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("new", rich_help_panel="Extend")(new_command)


def new_command(
    kind: Annotated[Kind, typer.Argument(help="source, family or table.")],
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits and _.")],
    into: Annotated[
        Path | None,
        typer.Option(
            help="A checkout of cryptolake, or for a source the folder of a package of its own. Default: the checkout "
            "around this folder, else ./cryptolake-NAME.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the file of a new source, family or table and its test; both work as they are. Nothing is overwritten.

    Example: cryptolake new source weather
    """
    from rich.text import Text

    _check(kind, name)
    checkout = _checkout(into or Path.cwd())
    if checkout is not None:
        planned, first = _in_checkout(checkout, kind, name), None
    elif kind == "source":
        folder = into or Path(f"cryptolake-{name.replace('_', '-')}")
        planned, first = _package(folder, name), f"pip install -e {shlex.quote(str(folder))}"
    else:
        raise BadInput(
            f"a {kind} is a file of cryptolake itself; run this inside a checkout of it, or give --into CHECKOUT "
            "(only sources may lie in a package of their own)"
        )
    _write(planned)
    for path in planned:
        print_whole(Text(f"wrote {path}"))
    (test,) = [path for path in planned if path.name == f"test_{name}.py"]
    steps = [first, f"python -m pytest {shlex.quote(str(test))}"]
    print_steps([step for step in steps if step])


def _check(kind: Kind, name: str) -> None:
    """Raises BadInput for what cannot be a name, and for the name of one that there is."""
    if keyword.iskeyword(name):
        raise BadInput(f"{name!r} is a word of Python itself; choose another name for the {kind}")
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} is no name for a {kind}; write small letters, digits and _, beginning with a letter, 40 at most"
        )
    if name in _taken(kind):
        raise BadInput(f"there is a {kind} {name!r} already; choose another name")


def _taken(kind: Kind) -> set[str]:
    """The names that are in use."""
    if kind == "family":
        from cryptolake.sources.onchain.families import declared

        return set(declared())
    if kind == "table":
        from cryptolake.catalogue import contracts

        return {one.name for one in contracts()}
    from cryptolake.sources.found import find_sources

    found = find_sources()
    vendors = {file.vendor.name for file in found.files if file.vendor is not None}
    return {"onchain", *vendors, *found.price_sources, *(file.module.split(".")[-1] for file in found.files)}


def _checkout(start: Path) -> Path | None:
    """The checkout that a folder is part of, if any."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "pyproject.toml").is_file() and (folder / "src/cryptolake/sources/onchain").is_dir():
            return folder
    return None


def _in_checkout(root: Path, kind: Kind, name: str) -> dict[Path, str]:
    """Path and text of the file and its test."""
    template = _TEMPLATES[kind]
    return {
        root / template.folder / f"{name}.py": _text(f"{kind}.py", template.example, name),
        root / template.tests / f"test_{name}.py": _text(f"{kind}_test.py", template.example, name),
    }


def _package(folder: Path, name: str) -> dict[Path, str]:
    """Path and text of a package whose entry point is the source, and of its test."""
    example = _TEMPLATES["source"].example
    test = _text("source_test.py", example, name)
    inside = folder / "src" / f"cryptolake_{name}"
    return {
        folder / "pyproject.toml": _text("plugin.toml", example, name),
        inside / "__init__.py": f'"""The source `{name}` for cryptolake."""\n',
        inside / f"{name}.py": _text("source.py", example, name),
        folder / "tests" / f"test_{name}.py": test.replace(
            f"cryptolake.sources.{name} import", f"cryptolake_{name}.{name} import"
        ),
    }


def _text(template: str, example: str, name: str) -> str:
    """The template with the example's name, in each of its spellings, replaced."""
    text = (files("cryptolake.cli") / "templates" / f"{template}.txt").read_text("utf-8")
    spelled = {example: name, example.title(): _camel(name), example.upper(): name.upper()}
    filled = re.sub("|".join(spelled), lambda found: spelled[found[0]], text)
    # The new name may belong elsewhere among the imports.
    return _IMPORTS.sub(lambda block: "".join(sorted(block[0].splitlines(keepends=True))), filled)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _write(planned: Mapping[Path, str]) -> None:
    """Write files that are not there. Raises BadInput when one is, before any is written; Stop when the disk refuses."""
    from cryptolake.files.atomic import refused

    if there := [path for path in planned if path.exists()]:
        raise BadInput(f"{there[0]} is there already and nothing is overwritten; choose another name or --into")
    for path, text in planned.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise BadInput(
                f"{path} is there already and nothing is overwritten; choose another name or --into"
            ) from None
        except OSError as error:
            raise refused(error, path) from None
