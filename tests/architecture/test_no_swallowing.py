"""No exception becomes an empty result: who catches everything raises again, or tells what was caught."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"
BROAD = {"Exception", "BaseException"}


def swallowing(source: str) -> Iterator[int]:
    """The lines of broad handlers that neither raise nor use what they caught, and of broad `suppress`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            caught = {one.id for one in ast.walk(node.type) if isinstance(one, ast.Name)} if node.type else BROAD
            inside = [one for part in node.body for one in ast.walk(part)]
            is_told = any(isinstance(one, ast.Raise) for one in inside) or any(
                isinstance(one, ast.Name) and one.id == node.name for one in inside
            )
            if caught & BROAD and not is_told:
                yield node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            yield from [node.lineno] if {ast.unparse(one) for one in node.args} & BROAD else []


def test_nobody_swallows_whatever_happens() -> None:
    found = [
        f"{path.relative_to(PACKAGE).as_posix()}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in swallowing(path.read_text("utf-8"))
    ]
    assert found == [], "catch what is expected by name, raise again, or tell it"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("try:\n    f()\nexcept Exception:\n    rows = []", True),
        ("try:\n    f()\nexcept:\n    pass", True),
        ("try:\n    f()\nexcept (ValueError, BaseException) as error:\n    return {}", True),
        ("with suppress(Exception):\n    f()", True),
        ("try:\n    f()\nexcept BaseException:\n    undo()\n    raise", False),
        ("try:\n    f()\nexcept Exception as error:\n    tell(error)", False),
        ("try:\n    f()\nexcept ValueError:\n    found = None", False),
    ],
)
def test_a_swallowed_failure_is_seen(source: str, seen: bool) -> None:
    assert bool(list(swallowing(source))) is seen
