"""A public class name means one thing in the whole package, and the market of coins is called coins."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"


def test_a_public_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


# Words that only their inventors knew, and what the field says instead.
PRIVATE = {
    **dict.fromkeys(("made", "making"), "outputs"),
    **dict.fromkeys(("fold", "folds", "refold"), "pack, archive"),
    **dict.fromkeys(("twin", "twins"), "typed rows"),
    **dict.fromkeys(("who", "roll", "rolls"), "worker list, or whatever is listed"),
    **dict.fromkeys(("aside", "lab", "suspicion", "documented", "extending", "remembering"), "what it is or does"),
}


def declared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The names of classes, functions, parameters and fields: what others read and call, not a function's own locals."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield node.lineno, name


def private(tree: ast.AST) -> list[tuple[int, str]]:
    """The declared names that are nothing but a private word."""
    return [(line, name) for line, name in declared(tree) if name.strip("_").lower() in PRIVATE]


def test_no_name_is_a_word_of_the_house() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {name}: say {PRIVATE[name.strip('_').lower()]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, name in private(ast.parse(path.read_text()))
    ]
    assert found == []


def test_a_word_of_the_house_is_seen() -> None:
    source = (
        "class Roll:\n    made: int\n    def fold(self, aside: str) -> None: ...\n    def set_aside(self) -> None: ..."
    )
    assert sorted(name for _, name in private(ast.parse(source))) == ["Roll", "aside", "fold", "made"]


def test_a_market_is_a_lending_market() -> None:
    said = [str(one.relative_to(PACKAGE)) for one in PACKAGE.rglob("*.py") if "coin market" in one.read_text().lower()]
    assert said == [], "write coins"
