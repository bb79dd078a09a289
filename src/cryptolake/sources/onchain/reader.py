"""Which code reads a family's answers, as one digest: what was read by other code is read again, and nothing else is.

The digest is over source files, not over the package's version: a release, a new command or another family's file leaves
every stored reading as good as it was. What does not belong here: keeping the readings (`lake.bronze`).
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from types import ModuleType

from cryptolake.sources.onchain import rows
from cryptolake.sources.onchain.families import family_module

# How an answer is fetched, not what it says: what only these modules import is no part of the reading.
_TRANSPORT = frozenset(
    f"cryptolake.net.{name}" for name in ("blocks", "endpoint", "envelope", "faults", "http", "rpc", "wordings")
)
_PACKAGE = __package__.partition(".")[0]


@lru_cache(maxsize=64)
def reader_digest(family: str, parse: Callable[..., object]) -> str:
    """Digest of everything that `parse` and this family's module do with an answer (hexadecimal, 32 characters).

    A family that is not built has no module; its digest is that of `parse` alone.
    """
    module = family_module(family)
    digest = sha256(inspect.getsource(parse).encode())
    for name, source in sorted(reading_modules(module).items()) if module else ():
        digest.update(f"\0{name}\0{source}".encode())
    return digest.hexdigest()[:32]


def reading_modules(family: ModuleType) -> Mapping[str, str]:
    """The source text by module name: the family, the rows, and all of ours that they import, without the transport."""
    found: dict[str, str] = {}
    waiting = [family, rows]
    while waiting:
        module = waiting.pop()
        if module.__name__ in found or module.__name__ in _TRANSPORT:
            continue
        found[module.__name__] = inspect.getsource(module)
        waiting += _imported(module)
    return found


@lru_cache(maxsize=256)
def _imported(module: ModuleType) -> Sequence[ModuleType]:
    """Every module that its text imports from its own package or from ours, at the top or inside a function."""
    ours = {_PACKAGE, module.__name__.partition(".")[0]}
    found = []
    for node in _statements(ast.parse(inspect.getsource(module)).body):
        if isinstance(node, ast.Import):
            names = [(one.name, "") for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
            names = [(base, one.name) for one in node.names]
        else:
            continue
        for base, part in names:
            if base.partition(".")[0] in ours:
                container = importlib.import_module(base)
                inner = getattr(container, part, None) if part else None
                found.append(inner if isinstance(inner, ModuleType) else container)
    return found


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every statement at every depth; expressions, most of a tree, hold no import."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _statements(getattr(node, name, ()))
