"""How names and texts are written inside SQL. What does not belong here: statements, and values (those are parameters)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def identifier(name: str) -> str:
    """The name as SQL spells exactly it, whether it is a reserved word or holds capitals, spaces or quotes."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str], of: str = "") -> str:
    """The names with commas between them, each as a column of the alias `of` when one is given."""
    return ", ".join(f"{of}.{identifier(name)}" if of else identifier(name) for name in names)


def equal(names: Iterable[str], one: str, other: str) -> str:
    """The condition that the columns have the same values under both aliases."""
    return " AND ".join(f"{one}.{identifier(name)} = {other}.{identifier(name)}" for name in names)


def literal(text: str) -> str:
    """The text as a constant, for the places where SQL takes no parameter (comments, checks, settings of a login)."""
    return "'" + text.replace("'", "''") + "'"


def distinct(names: Sequence[str]) -> list[str]:
    """Column names of an answer with a number after each repetition: `count, count` becomes `count, count_2`."""
    taken: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.append(candidate)
    return taken
