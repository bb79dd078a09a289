"""A number and its noun agree, everywhere: whoever writes them side by side by hand is found."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cryptolake
from cryptolake.contracts.counting import counted

PACKAGE = Path(next(iter(cryptolake.__path__)))
# What these hold is a name or a word, no number: `binance answers ...`, `base logs 3/5 blocks`.
WORDS = {"name", "chain", "command", "label"}
TIMES = " times, the longest for "  # said of two or more only


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("market",), "0 markets"),
        (1, ("market",), "1 market"),
        (1_234, ("entity", "entities"), "1,234 entities"),
        (1, ("row is", "rows are"), "1 row is"),
        (2, ("row is", "rows are"), "2 rows are"),
    ],
)
def test_one_is_singular(number: int, words: tuple[str, ...], text: str) -> None:
    assert counted(number, *words) == text


def trees() -> Iterator[tuple[str, ast.AST]]:
    """Every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))


def nouns() -> set[str]:
    """The plurals of everything that is counted by the function somewhere."""
    found = set()
    for _, tree in trees():
        for one in ast.walk(tree):
            if isinstance(one, ast.Call) and ast.unparse(one.func) == "counted":
                words = [str(each.value) for each in one.args[1:] if isinstance(each, ast.Constant)]
                many = words[1] if len(words) > 1 else f"{words[0]}s" if words else ""
                found |= set([word for word in many.split() if word.endswith("s")][:1])
    return found


def by_hand(tree: ast.AST, plurals: set[str]) -> Iterator[str]:
    """Numbers that are filled in right before a plural, or with one word between."""
    follows = re.compile(rf" (?:[a-z]+ )?({'|'.join(sorted(plurals))})\b(?!-)")
    for one in ast.walk(tree):
        if not isinstance(one, ast.JoinedStr):
            continue
        for value, text in zip(one.values, one.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            shape = ast.unparse(value.format_spec) if value.format_spec else ""
            last = ast.unparse(value.value).rpartition(".")[2]
            number = "," in shape or (not shape and (last.startswith("len(") or last.isidentifier()))
            if (
                number
                and "f" not in shape.lstrip("f")
                and last not in WORDS
                and follows.match(str(text.value))
                and text.value != TIMES
            ):
                yield f"{ast.unparse(value.value)}{text.value}"


def test_every_number_before_a_noun_is_written_by_the_function() -> None:
    plurals = nouns()
    assert {"markets", "rows", "days"} <= plurals
    assert [(name, text) for name, tree in trees() for text in by_hand(tree, plurals)] == []


@pytest.mark.parametrize("source", ['f"{len(x)} markets"', 'f"{x.height:,} rows are here"', 'f"{n:,} new rows"'])
def test_a_number_written_by_hand_is_seen(source: str) -> None:
    assert list(by_hand(ast.parse(source), {"markets", "rows"}))
