"""The modules of a package that is filled by dropping files in: which lie there, which load, and which nobody would miss.

What does not belong here: what a file has to offer (the finder of each package).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TypeVar

T = TypeVar("T")
_PACKAGE, _ROOT = __name__.partition(".")[0], Path(__file__).parents[1]
_IMPORT = re.compile(rb"\n[ \t]*(?:from[ \t]+(\S+)[ \t]+import[ \t]*(\([^)]*\)|[^\n;]+)|import[ \t]+([^\n;]+))")


class FileFault(Exception):
    """What is wrong with a file that was dropped in, in words; whoever finds it names the file."""


def module_names(package: ModuleType) -> list[str]:
    """The full names of the package's modules, sorted. Imports none of them."""
    names = [one.name for one in pkgutil.iter_modules(package.__path__) if one.name.isidentifier()]
    return sorted(f"{package.__name__}.{name}" for name in names)


def unfindable(package: ModuleType) -> dict[str, str]:
    """The files beside the package's modules that are none, by path, with what is wrong: they look as if they were found."""
    found = {}
    for path in (
        path for folder in map(Path, package.__path__) if folder.is_dir() for path in sorted(folder.iterdir())
    ):
        if path.name.startswith((".", "__")):
            continue
        if path.is_dir():
            if any(path.glob("*.py")) and not (path / "__init__.py").exists():
                found[str(path)] = "is a folder of Python files without __init__.py, which nobody finds; add one"
            elif (path / "__init__.py").exists() and not path.name.isidentifier():
                found[str(path)] = "is no name of a package; write letters, digits and _, a letter first"
        elif path.suffix.lower() == ".py" and not (path.suffix == ".py" and path.stem.isidentifier()):
            found[str(path)] = "is no name of a module; write letters, digits and _, a letter first, then .py"
    return found


def load(name: str) -> ModuleType:
    """Import a module. Raises FileFault."""
    return attempt(lambda: importlib.import_module(name))


def attempt(loading: Callable[[], T]) -> T:
    """What `loading` gives. Raises FileFault for whatever a foreign file does meanwhile."""
    try:
        return loading()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever a foreign file does while it is imported
        raise FileFault(f"cannot be imported ({words(error)}); repair or remove it") from None


def require_helper(name: str, package: ModuleType, wanted: str) -> None:
    """Whether a module that offers nothing may lie there. Raises FileFault saying what was `wanted` of it.

    It helps others when another file imports it, or says so by a name that begins with an underscore. Anything else is a
    file that somebody meant to be found: a misspelt name in it would leave it out in silence.
    """
    if name.rpartition(".")[2].startswith("_") or any(name in told for told in _imported(package)):
        return
    raise FileFault(f"offers nothing and no other file imports it; write {wanted}, or begin its name with _")


def require_spelt(module: ModuleType, known: Collection[str]) -> None:
    """Raises FileFault for a name of the module's own that is nearly one of `known` which it lacks.

    What a file may leave out is looked for by its name: misspelt, it would be left out without anybody having meant it.
    """
    lacking = [name for name in known if not hasattr(module, name)]
    for name, value in vars(module).items():
        made_here = value.__module__ == module.__name__ if isinstance(value, FunctionType | type) else True
        if name in known or name.startswith("_") or isinstance(value, ModuleType) or not made_here:
            continue
        if near := get_close_matches(name, lacking, n=1, cutoff=0.8):
            raise FileFault(f"nobody reads {name!r}; did you mean {near[0]}? If not, begin its name with _")


def words(error: BaseException) -> str:
    """The error on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _imported(package: ModuleType) -> Iterator[frozenset[str]]:
    """What the package's own files import, then what all files of cryptolake do, asked only for what those do not tell."""
    for folder in map(Path, package.__path__):
        yield _of_folder(folder, package.__name__)
    yield _of_folder(_ROOT, _PACKAGE, package.__name__.rpartition(".")[2])


@lru_cache(maxsize=16)
def _of_folder(folder: Path, package: str, word: str = "") -> frozenset[str]:
    return frozenset(_imports(folder, package, word.encode()))


def _imports(folder: Path, package: str, word: bytes) -> Iterator[str]:
    """The full name of everything that the folder's files import, a module or a name in it, by the words alone.

    Nothing is executed for it, and functions that import late count as well. Files without `word` are not looked through.
    """
    for path in folder.rglob("*.py"):
        if word not in (text := path.read_bytes()):
            continue
        inside = ".".join((package, *path.relative_to(folder).parent.parts))
        for origin, listed, plain in _IMPORT.findall(b"\n" + text):
            if plain:
                told = {one.split()[0].decode(errors="replace") for one in plain.split(b",") if one.split()}
            else:
                try:
                    whence = resolve_name(origin.decode(errors="replace"), inside)
                except ImportError:  # more dots than there are packages: importing the file says so
                    continue
                told = {whence, *(f"{whence}.{one.decode()}" for one in re.findall(rb"\w+", listed))}
            yield from told - {f"{inside}.{path.stem}"}
