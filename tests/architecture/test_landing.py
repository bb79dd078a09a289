"""One road by which an answer is replaced: whoever lands one elsewhere says here what there is to lose."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"
ELSEWHERE = {
    "flow/landing.py": "the road itself",
    "work/fresh.py": "prices of a folder that was set aside, where nobody answered again",
    "work/prices.py": "a person's own file, which that person replaces",
    "work/permissionless_demo.py": "an invented lake that is made anew",
}


def lands(tree: ast.AST) -> bool:
    """Whether a module keeps an answer in bronze by itself."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "land"
        and ast.unparse(node.func.value).endswith("bronze")
        for node in ast.walk(tree)
    )


def test_answers_are_replaced_by_one_road() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if lands(ast.parse(path.read_text("utf-8")))
    }
    assert found == set(ELSEWHERE)


def test_whoever_weighs_answers_holds_them_against_each_other() -> None:
    """Every class that says why one answer is suspect says too which of two stands, and what settles a doubt."""
    lacking = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ClassDef) or node.name == "Weighs":
                continue
            names = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
            names |= {
                one.id
                for each in node.body
                if isinstance(each, ast.Assign)
                for one in each.targets
                if isinstance(one, ast.Name)
            }
            if "weigh" in names and not {"compare", "decides"} <= names:
                lacking.append(node.name)
    assert lacking == []
