"""Cuts a big JSON answer into its members without rewriting them: each keeps the very bytes the vendor sent.

One answer holds thousands of entities and we watch a few hundred; what is kept of it must still be evidence. Knows no
vendor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

_DECODER = json.JSONDecoder()  # reads the bare NaN and Infinity that some servers write
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its key in the object (empty in a list), its value, and the bytes it was written with."""

    key: str
    value: object
    raw: bytes


def members(body: bytes, *path: str) -> list[Member]:
    """The members of the list or object at `path` (object keys from the top). Raises ValueError when there is none."""
    text = body.decode("utf-8")
    at = _skip(text, 0)
    try:
        for key in path:
            at = _seek(text, at, key)
        return list(_cut(text, at))
    except RecursionError:
        raise ValueError("nested too deep") from None


def _seek(text: str, at: int, wanted: str) -> int:
    """Where the value of `wanted` starts in the object at `at`; the values before it are skipped, it is not read yet."""
    if text[at : at + 1] != "{":
        raise ValueError("no object")
    at = _first(text, at, "}")
    while at >= 0:
        key, at = _key(text, at)
        if key == wanted:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _next(text, at, "}")
    raise ValueError(f"no {wanted}")


def _key(text: str, at: int) -> tuple[str, int]:
    """The key at `at`, and where its value starts."""
    key, at = _DECODER.raw_decode(text, at)
    if not isinstance(key, str):
        raise ValueError("no JSON object")
    return key, _after(text, at, ":")


def _cut(text: str, at: int) -> Iterator[Member]:
    opening = text[at : at + 1]
    if opening not in {"[", "{"}:
        raise ValueError("no list or object")
    closing = "]" if opening == "[" else "}"
    at = _first(text, at, closing)
    while at >= 0:
        key = ""
        if opening == "{":
            key, at = _key(text, at)
        value, end = _DECODER.raw_decode(text, at)
        yield Member(key, value, text[at:end].encode())
        at = _next(text, end, closing)


def _first(text: str, at: int, closing: str) -> int:
    """Where the first member starts; -1 when there is none."""
    at = _skip(text, at + 1)
    return -1 if text[at : at + 1] == closing else at


def _next(text: str, at: int, closing: str) -> int:
    """Where the next member starts; -1 when the last one is read."""
    at = _skip(text, at)
    return -1 if text[at : at + 1] == closing else _after(text, at, ",")


def _after(text: str, at: int, sign: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != sign:
        raise ValueError("no JSON")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
