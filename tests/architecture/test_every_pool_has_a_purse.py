"""Ceilings hold for every question: nobody in the package opens a pool without saying from whose purse it is paid."""

from __future__ import annotations

import ast
from pathlib import Path

import cryptolake

PACKAGE = Path(cryptolake.__file__).parent


def pools(source: str) -> list[ast.Call]:
    """Every call of `Pool`."""
    return [
        one
        for one in ast.walk(ast.parse(source))
        if isinstance(one, ast.Call) and ast.unparse(one.func).endswith("Pool")
    ]


def test_a_pool_is_opened_with_a_purse() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): [
            {word.arg for word in call.keywords} for call in pools(path.read_text("utf-8"))
        ]
        for path in sorted(PACKAGE.rglob("*.py"))
        if "rpc import Pool" in path.read_text("utf-8")
    }
    calls = [(name, words) for name, every in found.items() for words in every if not name.startswith("sources/")]
    assert len(calls) > 3
    assert [name for name, words in calls if "purse" not in words] == []
