"""A public class name means one thing in the whole package, and the market of coins is called coins."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"


def test_a_public_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_market_is_a_lending_market() -> None:
    said = [str(one.relative_to(PACKAGE)) for one in PACKAGE.rglob("*.py") if "coin market" in one.read_text().lower()]
    assert said == [], "write coins"
