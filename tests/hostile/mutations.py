"""Every single edit of a JSON document: each member taken out, and put to each of many values, its neighbours' included."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from cryptolake.contracts.grades import GRADES

Place = tuple[str | int, ...]
WORDS: tuple[Any, ...] = (
    *GRADES,
    *("complete", "suspect", "same", "block_hash", "receipts_root", "somebody", "unknown", ""),
    *(
        None,
        True,
        False,
        0,
        1,
        7,
        10**9,
        -1,
        0.0,
        0.5,
        1.0,
        [],
        {},
        ["somebody", "another"],
        [[0, 10**9, "somebody", 1]],
    ),
)


def places(document: Any, before: Place = ()) -> Iterator[Place]:
    """Where something stands in a document, at every depth; the document itself is nowhere."""
    if isinstance(document, dict | list):
        members: Any = document.items() if isinstance(document, dict) else enumerate(document)
        for name, inner in members:
            yield (*before, name)
            yield from places(inner, (*before, name))


def edits(document: Any) -> Iterator[tuple[str, Any]]:
    """Every edited document, with words for what was done to it."""
    for place in list(places(document)):
        holder = at(document, place[:-1])
        neighbours = list(holder.values() if isinstance(holder, dict) else holder)
        taken_out = deepcopy(document)
        del at(taken_out, place[:-1])[place[-1]]
        yield f"{place} taken out", taken_out
        for value in (*WORDS, *neighbours):
            if value != holder[place[-1]] or type(value) is not type(holder[place[-1]]):
                put = deepcopy(document)
                at(put, place[:-1])[place[-1]] = deepcopy(value)
                yield f"{place} put to {value!r}", put


def lessened(document: Any) -> Iterator[tuple[str, Any]]:
    """Every document with one part taken out, emptied, or put to a word that claims something."""
    for place in list(places(document)):
        holder = at(document, place[:-1])
        taken_out = deepcopy(document)
        del at(taken_out, place[:-1])[place[-1]]
        yield f"{place} taken out", taken_out
        for value in (*GRADES, None, False, 0, 0.0, "", [], {}):
            if value != holder[place[-1]] or type(value) is not type(holder[place[-1]]):
                put = deepcopy(document)
                at(put, place[:-1])[place[-1]] = value
                yield f"{place} put to {value!r}", put


def at(document: Any, place: Place) -> Any:
    """What stands there."""
    for name in place:
        document = document[name]
    return document
