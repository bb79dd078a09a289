"""Finds the formats a panel can leave in: every file of `exports` is one, by its name.

What does not belong here: writing files (export) and anything about a single format (its file).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cryptolake.errors import BadInput, Stop
from cryptolake.files.foreign import fence, require_function
from cryptolake.files.presence import FileFault, load, module_names, require_spelt, unfindable
from cryptolake.research import exports

if TYPE_CHECKING:
    import polars as pl

_SUFFIX = re.compile(r"\.[a-z0-9]+")  # what a path's `suffix` can be, in small letters
Render = Callable[["pl.DataFrame", Mapping[str, object]], bytes]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format: its name (that of its file), suffix with the dot, function, the extra whose libraries it needs, and how many
    characters a column's name may have (None: any number).
    """

    name: str
    suffix: str
    render: Render
    needs: str | None = None
    longest_name: int | None = None


def format_names() -> list[str]:
    """The names of all formats, sorted; imports none of them."""
    return [one.rpartition(".")[2] for one in module_names(exports)]


def format_named(name: str) -> ExportFormat:
    """The format of this name. Raises BadInput naming the known ones, Stop naming the file when that is faulty."""
    for path, fault in unfindable(exports).items():
        raise Stop(f"{path} {fault}")
    if name not in format_names():
        raise BadInput(f"unknown format {name!r}; known: {', '.join(format_names())}")
    found = _read(name)
    for other in format_names():
        if other != name and _suffix(other) == found.suffix:
            raise Stop(
                f"{_file(name)}: SUFFIX={found.suffix!r} is that of {_file(other)} already: one would take the other's "
                "place; give one of them another"
            )
    return found


def _file(name: str) -> str:
    return f"{exports.__name__}.{name}"


def _suffix(name: str) -> object:
    """What a file says its suffix is; None for a faulty file, which is told when it is asked for."""
    try:
        return getattr(load(_file(name)), "SUFFIX", None)
    except FileFault:
        return None


def _read(name: str) -> ExportFormat:
    """The format that a file declares. Raises Stop naming the file."""
    file = _file(name)
    try:
        module = load(file)
        require_spelt(module, ("SUFFIX", "render", "NEEDS", "LONGEST_NAME"))
        if hasattr(module, "render"):
            require_function(module.render, "render", "frame", "codebook")
    except FileFault as fault:
        raise Stop(f"{file}: {fault}") from None
    suffix, render, needs, longest = (
        getattr(module, one, None) for one in ("SUFFIX", "render", "NEEDS", "LONGEST_NAME")
    )
    if not (isinstance(suffix, str) and _SUFFIX.fullmatch(suffix)):
        raise Stop(
            f"{file}: SUFFIX is missing; write the suffix of its files with the dot, in small letters and digits"
        )
    if render is None:
        raise Stop(f"{file}: render is missing; write a function of a frame and its codebook that gives bytes")
    if needs is not None and needs not in _extras():
        raise Stop(f"{file}: NEEDS is not the name of an extra, but {needs!r}; known: {', '.join(_extras())}")
    if longest is not None and not (isinstance(longest, int) and longest > 0):
        raise Stop(f"{file}: LONGEST_NAME is no whole number above 0, but {longest!r}; write characters, e.g. 32")
    return ExportFormat(name, suffix, render, needs, longest)


@lru_cache(maxsize=1)
def _extras() -> tuple[str, ...]:
    """The extras that can be installed with this package."""
    return tuple(sorted(metadata(__name__.partition(".")[0]).get_all("Provides-Extra") or ()))


def rendered(to: ExportFormat, frame: pl.DataFrame, codebook: Mapping[str, object]) -> bytes:
    """The content of a file of this format. Raises Stop: libraries are missing, or the file is at fault."""
    with fence(_file(to.name), "render"):
        try:
            content = to.render(frame, codebook)
        except ImportError as error:
            remedy = f"; install it: pip install 'cryptolake[{to.needs}]'" if to.needs else ""
            raise Stop(f"format {to.name} needs {error.name}{remedy}") from None
        if not isinstance(content, bytes):
            raise TypeError(f"gave {type(content).__name__}, not bytes")
        return content


def require_suffix(to: ExportFormat, path: Path) -> None:
    """Refuse a file name that says another format. Raises BadInput with both remedies."""
    if path.suffix.lower() == to.suffix:
        return
    for other in map(format_named, format_names()):
        if path.suffix.lower() == other.suffix:
            raise BadInput(
                f"{path.name} is the name of a {other.name} file; write --format {other.name}, "
                f"or --out {path.with_suffix(to.suffix).name}"
            )
