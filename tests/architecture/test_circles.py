"""No module of the package imports itself by way of others, at any remove, so that they may be loaded in any order.

The suite's commands rely on it: they are forked from a Python that has loaded all of them (tests/warm.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import grimp
import pytest
from tests.command import python


def circles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other; what imports only downwards is taken away until nothing is left."""
    left = {name: set(below) & set(imports) for name, below in imports.items()}
    while ready := [name for name, below in left.items() if not below]:
        for name in ready:
            del left[name]
        for below in left.values():
            below.difference_update(ready)
    return [sorted(left)] if left else []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = grimp.build_graph("cryptolake")
    assert circles({one: graph.find_modules_directly_imported_by(one) for one in graph.modules}) == []


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ({"a": {"b"}, "b": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}, [["a", "b", "c"]]),
        ({"a": {"a"}}, [["a"]]),
    ],
)
def test_a_circle_is_seen(imports: dict[str, set[str]], found: list[list[str]]) -> None:
    assert circles(imports) == found


IN_ORDER = """
import importlib, random, sys
from tests import warm
assert not [one for one in sys.modules if one.startswith("cryptolake.")], "something is loaded already"
names = sorted(warm.ours())
order = sys.argv[1]
if order == "backwards":
    names.reverse()
else:
    random.Random(order).shuffle(names)
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.mark.parametrize("order", ["backwards", "1", "2"])
def test_modules_load_in_any_order(order: str, tmp_path: Path) -> None:
    variables = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = python(IN_ORDER, order, folder=tmp_path, variables=variables, loaded=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
