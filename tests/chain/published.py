"""`built`: contracts from Solidity sources that npm packages publish, and our own beside them.

The compiler is the version the package names in its sources.
"""

from __future__ import annotations

from functools import cache

from .solc import build
from .solidity import Artifact


@cache
def built(compiler: str, *files: str) -> dict[str, Artifact]:
    """Every contract of `files` by name: a package's own path, or a name in `contracts/`. Raises ValueError with the faults."""
    return build(*files, compiler=compiler, evm="paris", runs=200)
