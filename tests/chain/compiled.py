"""`compiled`: this repository's own test contracts."""

from __future__ import annotations

from functools import cache

from .solc import build, cannot_build
from .solidity import Artifact


def compiler_missing() -> str | None:
    """Why nothing can be compiled here, with the remedy; None when it can."""
    return cannot_build("solc")


@cache
def compiled(*files: str) -> dict[str, Artifact]:
    """Every contract of these files of `contracts/` by name; raises ValueError with the compiler's words."""
    return build(*files, evm="cancun")
