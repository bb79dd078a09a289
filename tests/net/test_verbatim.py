"""Cutting an answer into its members: the same values as the JSON library reads, and the very bytes it was written with."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.net.verbatim import members

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])


@given(st.lists(_json, max_size=6), _spacing, st.booleans())
def test_a_list(values: list[object], spacing: tuple[str, str], ascii_only: bool) -> None:
    text = json.dumps(values, separators=spacing, ensure_ascii=ascii_only)
    found = members(text.encode("utf-8", "surrogatepass") if ascii_only else text.encode())
    assert [one.value for one in found] == values
    rest = text
    for one in found:
        assert one.raw.decode() in rest
        assert json.loads(one.raw) == one.value


@given(st.dictionaries(st.text(), _json, max_size=5), _json, _spacing)
def test_an_object_under_a_path(values: dict[str, object], other: object, spacing: tuple[str, str]) -> None:
    text = json.dumps({"a": other, "b": {"x": other, "here": values, "y": 1}, "c": other}, separators=spacing)
    found = members(text.encode(), "b", "here")
    assert {one.key: one.value for one in found} == values
    assert all(one.raw in text.encode() for one in found)


@pytest.mark.parametrize(
    "body", [b"", b"7", b'{"a":1', b"[1 2]", b'{"a" 1}', b'{"b":[1]}', b'{"a":3}', b'{"a":[1,]}', b"\xff"]
)
def test_what_is_no_such_answer(body: bytes) -> None:
    with pytest.raises(ValueError):
        members(body, "a")


def test_bare_nan_is_read_as_some_servers_write_it() -> None:
    (one,) = members(b'{"a":[NaN]}', "a")
    assert one.raw == b"NaN"
