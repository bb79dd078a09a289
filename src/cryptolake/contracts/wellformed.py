"""Whether a declaration holds values of the types it is annotated with: words out of those allowed, texts, whole numbers.

Declarations stand in files that no type checker has seen: a wrong value is told where it is written, by its name, and not by
whatever stumbles over it later. What does not belong here: what a value means (each declaration checks that itself).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def require_types(one: Any) -> None:
    """Raises ValueError naming the first field of a dataclass whose value is none of what it is annotated with.

    Instants must be aware. A whole number is a number too; `True` is none. What is annotated with something that cannot be
    looked at (a protocol, a type variable) is let be.
    """
    for name, (hint, words) in _hints(one.__class__).items():
        value = getattr(one, name)
        if not _fits(value, hint):
            raise ValueError(f"{type(one).__name__}: {name}={_shown(value)} is not {words}")


@lru_cache(maxsize=64)
def _hints(kind: Any) -> Mapping[str, tuple[Any, str]]:
    hints: Mapping[str, Any] = get_type_hints(kind)
    return {name: (hints[name], _words(hints[name])) for name in (one.name for one in fields(kind))}


def _fits(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin in {Union, UnionType}:
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[-1] is Ellipsis:
            return all(_fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(name, inner[0]) and _fits(told, inner[1]) for name, told in value.items()
        )
    if origin is not None and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and all(_fits(one, inner[0]) for one in value)
    if origin is Callable:
        return callable(value)
    if hint is float:
        return isinstance(value, float | int) and not isinstance(value, bool) and value == value  # no NaN
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is datetime:
        return isinstance(value, datetime) and value.utcoffset() is not None
    return isinstance(value, hint) if isinstance(hint, type) else True


def _words(hint: Any) -> str:
    """What is expected, for people."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in {Union, UnionType}:
        return " or ".join(map(_words, inner))
    if origin is tuple or (origin is not None and issubclass(origin, Sequence)):
        each = " and ".join(_words(one) for one in inner if one is not Ellipsis)
        return f"a {'tuple' if origin is tuple else 'list'} ({each})"
    if origin is not None and issubclass(origin, Mapping):
        return f"a mapping ({_words(inner[0])} to {_words(inner[1])})"
    plain = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", bytes: "bytes"}
    more = {NoneType: "None", datetime: "an aware datetime"}
    return plain.get(hint) or more.get(hint) or f"a {getattr(hint, '__name__', hint)}"


def _shown(value: object) -> str:
    """The value, short enough for a line."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # a foreign object: what it says of itself may fail too
        text = f"<{type(value).__name__}, whose repr fails: {type(error).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}..."
