"""No module of the package imports itself by way of others, at any remove."""

from __future__ import annotations

from collections.abc import Mapping

import grimp
import pytest


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
