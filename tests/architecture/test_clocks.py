"""No test depends on how busy the machine is: no pauses, no short bounds, no deadline of a property's examples."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.waiting import PATIENCE_S

TESTS = Path(__file__).resolve().parents[1]
WAITS = {"wait", "wait_for", "join", "communicate", "get", "run", "urlopen", "recv", "result", "HTTPConnection"}
# Faults that are played, a look that is taken again and again, and a polite end before a hard one.
PLAYED = {
    ("hostile/test_endpoints.py", "timeout_s"),
    ("hostile/server.py", "wait"),
    ("cli/test_vendor_keys.py", "timeout_s"),
    ("cluster/test_lab.py", "wait"),
    ("journey/test_interrupted.py", "wait"),
    ("net/test_waiting.py", "timeout_s"),
    ("chain/anvil.py", "wait"),
}


def hurries(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every pause and of every bound below `PATIENCE_S` that is written as a number; 0 is a look, no wait."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "sleep" and ast.unparse(node.func) in {"time.sleep", "sleep", "asyncio.sleep"}:
            yield node.lineno, "sleep"
        bounds = [(one.arg, one.value) for one in node.keywords if one.arg in {"timeout", "timeout_s", "deadline"}]
        if name in WAITS - {"get", "join", "run"} and len(node.args) == 1:
            bounds.append((name, node.args[0]))
        for word, value in bounds:
            if word == "deadline" and name == "settings":
                yield node.lineno, word
            elif (
                isinstance(value, ast.Constant)
                and isinstance(value.value, int | float)
                and 0 < value.value < PATIENCE_S
            ):
                yield node.lineno, str(word)


def test_no_test_hurries() -> None:
    found = [
        f"{where}:{line} {word}"
        for path in sorted(TESTS.rglob("*.py"))
        if (where := path.relative_to(TESTS).as_posix()) != "waiting.py"
        for line, word in hurries(path.read_text())
        if (where, word) not in PLAYED
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("time.sleep(1)", "sleep"),
        ("process.communicate(timeout=60)", "timeout"),
        ("thread.join(timeout=5.0)", "timeout"),
        ("event.wait(30)", "wait"),
        ("Http(timeout_s=2)", "timeout_s"),
        ("settings(max_examples=3, deadline=200)", "deadline"),
    ],
)
def test_a_hurry_is_seen(source: str, word: str) -> None:
    assert [found for _, found in hurries(source)] == [word]


def test_the_profile_of_the_suite_bounds_no_example_in_time() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
