"""Finds the formats a panel can leave in: every file of `exports` is one, by its name.

What does not belong here: writing files (export) and anything about a single format (its file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptolake.errors import BadInput, Stop
from cryptolake.files.presence import FileFault, load, module_names, require_spelt, unfindable
from cryptolake.research import exports

if TYPE_CHECKING:
    import polars as pl

Render = Callable[["pl.DataFrame", Mapping[str, object]], bytes]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format: its name (that of its file), suffix with the dot, function, and the extra whose libraries it needs."""

    name: str
    suffix: str
    render: Render
    needs: str | None = None


def format_names() -> list[str]:
    """The names of all formats, sorted; imports none of them."""
    return [one.rpartition(".")[2] for one in module_names(exports)]


def format_named(name: str) -> ExportFormat:
    """The format of this name. Raises BadInput naming the known ones, Stop naming the file when that is faulty."""
    for path, fault in unfindable(exports).items():
        raise Stop(f"{path} {fault}")
    if name not in format_names():
        raise BadInput(f"unknown format {name!r}; known: {', '.join(format_names())}")
    file = f"{exports.__name__}.{name}"
    try:
        module = load(file)
        require_spelt(module, ("SUFFIX", "render", "NEEDS"))
    except FileFault as fault:
        raise Stop(f"{file}: {fault}") from None
    suffix, render, needs = (getattr(module, one, None) for one in ("SUFFIX", "render", "NEEDS"))
    if not (isinstance(suffix, str) and suffix.startswith(".") and len(suffix) > 1):
        raise Stop(f"{file}: SUFFIX is missing; write the suffix of its files with the dot")
    if not callable(render):
        raise Stop(f"{file}: render is missing; write a function of a frame and its codebook that gives bytes")
    if not isinstance(needs, str | None):
        raise Stop(f"{file}: NEEDS is not the name of an extra")
    return ExportFormat(name, suffix, render, needs)


def rendered(to: ExportFormat, frame: pl.DataFrame, codebook: Mapping[str, object]) -> bytes:
    """The content of a file of this format. Raises Stop with the remedy when the libraries it needs are not installed."""
    try:
        return to.render(frame, codebook)
    except ImportError as error:
        remedy = f"; install it: pip install 'cryptolake[{to.needs}]'" if to.needs else ""
        raise Stop(f"format {to.name} needs {error.name}{remedy}") from None


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
