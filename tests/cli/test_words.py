"""Words that only those who built it know appear nowhere that a user reads; names of columns are contracts and stay."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cryptolake
from cryptolake.catalogue import contracts
from cryptolake.cli.found import Commands
from cryptolake.settings import Settings

PRIVATE = re.compile(r"\b(trips?|tellers?|twins?|voices?|witness(es)?|gone|rivers?)\b", re.IGNORECASE)
PACKAGE = Path(next(iter(cryptolake.__path__)))
PRINTING = {"print_line", "print_note", "print_next", "print_table", "BadInput", "Stop", "Skip", "Retry", "Narrow"}


def helps(name: str, command: object) -> Iterator[tuple[str, str]]:
    """The help of a command, of its flags and of the commands below it."""
    yield name, str(getattr(command, "help", ""))
    for one in getattr(command, "params", []):
        yield f"{name} {one.name}", str(getattr(one, "help", ""))
    for below, one in getattr(command, "commands", {}).items():
        yield from helps(f"{name} {below}", one)


def test_no_help_uses_a_private_word() -> None:
    found = [text for name, command in Commands().items() for text in helps(name, command)]
    assert len(found) > len(Commands())
    assert [text for text in found if PRIVATE.search(text[1])] == []


def test_no_description_of_a_table_or_setting_uses_a_private_word() -> None:
    texts = [
        (one.name, text) for one in contracts() for text in (one.grain, one.doc, *(each.doc for each in one.fields))
    ]
    texts += [(name, str(one.description or "")) for name, one in Settings.model_fields.items()]
    assert [text for text in texts if PRIVATE.search(text[1])] == []


def printed(source: str) -> Iterator[str]:
    """Every text that is handed to what prints or fails, with what is filled in left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in PRINTING:
            for one in ast.walk(node):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value


def test_nothing_printed_uses_a_private_word() -> None:
    found = [
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in printed(path.read_text("utf-8"))
        if PRIVATE.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["print_line(f'3 {x} gone')", "raise Stop('ask another voice')", "a.print_note('trip')"]
)
def test_a_private_word_is_seen(text: str) -> None:
    assert any(PRIVATE.search(one) for one in printed(text))
