"""Nobody sleeps where Ctrl-C is not heard: all pauses are those of `cryptolake.waiting`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"
SLEEPS = {"time.sleep", "sleep", "asyncio.sleep"}
# Their sleep is handed in; `app` hands in the one that can be ended.
HANDED_IN = {"net/limiter.py", "net/gates.py", "net/rpc.py"}


def sleeping(source: str) -> Iterator[int]:
    """The lines that name a sleep, be it called or handed on, and those where a new Event nobody else sees is waited for."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in SLEEPS - {"sleep"}:
            yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in {"time", "asyncio"}:
            yield from [node.lineno] if "sleep" in {one.name for one in node.names} else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Event().wait"):
            yield node.lineno


def test_nobody_sleeps_where_ctrl_c_is_not_heard() -> None:
    found = [
        f"{where}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if (where := path.relative_to(PACKAGE).as_posix()) not in {"waiting.py", *HANDED_IN}
        for line in sleeping(path.read_text("utf-8"))
    ]
    assert found == [], "wait with `cryptolake.waiting.pause`, or `poll` for a moment"


def test_who_is_handed_a_sleep_does_not_call_its_own() -> None:
    """Only as a default of a parameter."""
    found = []
    for where in sorted(HANDED_IN):
        tree = ast.parse((PACKAGE / where).read_text("utf-8"))
        found += [
            f"{where}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in SLEEPS
        ]
    assert found == []


def test_whoever_makes_a_pool_or_a_limit_hands_in_a_sleep_that_can_be_ended() -> None:
    makers = {"Pool", "Gates", "for_limit"}
    found = [
        f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in makers
        and not {"sleep", "limiters"} & {one.arg for one in node.keywords}
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import time\ntime.sleep(1)", True),
        ("from time import sleep", True),
        ("def f(sleep=time.sleep): ...", True),
        ("threading.Event().wait(3)", True),
        ("pause(1)", False),
        ("stopping.wait(3)", False),
    ],
)
def test_a_sleep_is_seen(source: str, seen: bool) -> None:
    assert bool(list(sleeping(source))) is seen
