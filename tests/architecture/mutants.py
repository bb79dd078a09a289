"""Every single edit of a file that somebody may have made by mistake: in its functions, its values, its imports."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

Edit = Callable[[ast.AST], None]
_RAISED = {
    "ends the process": "raise SystemExit(0)",
    "raises": "raise KeyError('two\\nlines')",
    "raises no Exception": "raise BaseException('odd')",
}
_INSTEAD: dict[type, tuple[object, ...]] = {
    str: (7, "a b/..", None),
    bytes: ("text",),
    int: ("text", -1, 10**12),
    bool: (7,),
    float: ("text",),
}


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """What was done, with the file as it is then; each differs from the file in one place."""
    tree = ast.parse(text)
    for label, line in _RAISED.items():
        yield f"at its import {label}", f"{text}\n{line}\n"
    pieces = {id(part) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in one.values}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in pieces:
            continue
        for label, edit in _edits(node):
            changed = copy.deepcopy(tree)
            edit(list(ast.walk(changed))[number])
            yield f"line {getattr(node, 'lineno', 0)}: {label}", ast.unparse(ast.fix_missing_locations(changed))


def _edits(node: ast.AST) -> Iterator[tuple[str, Edit]]:
    if isinstance(node, ast.FunctionDef):
        yield from _of_function(node)
    elif isinstance(node, ast.Call):
        for number, one in enumerate(node.keywords):
            yield f"without {one.arg}=", lambda found, number=number: found.keywords.pop(number)  # type: ignore[misc]
    elif isinstance(node, ast.Constant):
        for value in _INSTEAD.get(type(node.value), ()):
            yield f"{node.value!r:.30} -> {value!r}", lambda found, value=value: setattr(found, "value", value)  # type: ignore[misc]
    elif isinstance(node, ast.ImportFrom):
        yield f"imports of {node.module} misspelt", lambda found: setattr(found.names[0], "name", "Odd")  # type: ignore[attr-defined]
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        yield f"{node.targets[0].id} misspelt", lambda found: setattr(found.targets[0], "id", f"{found.targets[0].id}X")  # type: ignore[attr-defined]
        yield f"{node.targets[0].id} is a number", lambda found: setattr(found, "value", ast.Constant(5))


def _of_function(node: ast.FunctionDef) -> Iterator[tuple[str, Edit]]:
    name = node.name
    yield f"{name} misspelt", lambda found: setattr(found, "name", f"{name}x")
    yield f"{name} takes one more", lambda found: found.args.args.append(ast.arg("more"))  # type: ignore[attr-defined]
    if node.args.args:
        yield f"{name} takes one less", lambda found: found.args.args.pop()  # type: ignore[attr-defined]
    for line in (*_RAISED.values(), "return None", "return 5", "yield 5", "return [5]", "return 'text'", "return {}"):
        yield f"{name}: {line}", lambda found, line=line: setattr(found, "body", ast.parse(line).body)  # type: ignore[misc]


def leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The same of a document: every value another one, every name gone or misspelt."""
    if not isinstance(document, dict | list):
        for value in (None, -1, "a b/..", [], {"a": 1}, True, 10**30):
            yield f"{path}: {value!r}", value
        return
    for name in list(document) if isinstance(document, dict) else range(len(document)):
        for label, value in leaves(document[name], f"{path}/{name}"):
            changed = copy.deepcopy(document)
            changed[name] = value
            yield label, changed
        changed = copy.deepcopy(document)
        del changed[name]
        yield f"{path}: without {name}", changed
        if isinstance(document, dict):
            yield (
                f"{path}: {name} misspelt",
                {f"{one}x" if one == name else one: value for one, value in document.items()},
            )
            yield f"{path}: {name} is a text", {**document, name: "text"}
