"""A change of a contract is named, and only what an old reader can still read is called harmless."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.catalogue import contracts
from cryptolake.contracts.table import Field, Former, Table
from cryptolake.contracts.versions import Change, changes, document, promises, read_document
from cryptolake.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
OLD = Table(
    "thing",
    "gold",
    "one thing",
    ("k",),
    (Field("k", "text", "key"), Field("x_usd", "float64", "amount", unit="USD"), Field("n", "int32", "count")),
    "things",
    publish_as="gold/thing.parquet",
)


def with_field(name: str, /, **change: object) -> Table:
    fields = tuple(replace(one, **change) if one.name == name else one for one in OLD.fields)  # type: ignore[arg-type]
    key = tuple(str(change.get("name", one)) if one == name else one for one in OLD.key)
    return replace(OLD, fields=fields, key=key)


def found(*new: Table) -> list[Change]:
    return changes(promises([OLD]), promises(new))


def test_the_committed_snapshot_is_that_of_today() -> None:
    spec = importlib.util.spec_from_file_location("snapshot", ROOT / "scripts" / "snapshot.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    kept = {path.name: path.read_bytes() for path in (ROOT / "snapshot").glob("*.json")}
    assert kept == {name: render() for name, render in script.FILES.items()}, "run: make snapshot"


def test_a_document_is_read_back_as_it_was_written() -> None:
    assert read_document(document(contracts()), "here") == promises(contracts())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"tables": {"a": {}}}', b"\xff\x00"])
def test_what_is_no_snapshot_is_refused_with_the_remedy(content: bytes) -> None:
    with pytest.raises(BadInput, match=r"here is no snapshot of contracts .*`publish` writes"):
        read_document(content, "here")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ([], {("thing", "removed", True)}),
        ([OLD, replace(OLD, name="more")], {("more", "added", False)}),
        ([replace(OLD, name="item")], {("thing", "removed", True), ("item", "added", False)}),
        ([replace(OLD, name="item", formerly=("thing",))], {("thing", "renamed", False)}),
        ([with_field("n", name="m")], {("thing.n", "removed", True), ("thing.m", "added", False)}),
        ([with_field("n", name="m", formerly=(Former("n"),))], {("thing.n", "renamed", False)}),
        ([with_field("k", name="id", formerly=(Former("k"),))], {("thing.k", "renamed", False)}),
        ([with_field("n", dtype="int64")], {("thing.n", "retyped", True)}),
        ([with_field("n", sql="NUMERIC(20,8)")], {("thing.n", "retyped", True)}),
        ([with_field("n", name="m", dtype="int64", formerly=(Former("n", "int32"),))], {("thing.n", "renamed", False)}),
        (
            [with_field("n", name="m", dtype="int64", formerly=(Former("n"),))],
            {("thing.n", "renamed", False), ("thing.n", "retyped", True)},
        ),
        ([with_field("n", null=True)], {("thing.n", "null", False)}),
        ([with_field("x_usd", unit="EUR")], {("thing.x_usd", "unit", True)}),
        ([replace(OLD, key=("k", "n"))], {("thing", "key", True)}),
        ([replace(OLD, publish_as=None)], {("thing", "file", True)}),
        ([replace(OLD, doc="said better", grain="one of them")], set()),
    ],
)
def test_each_change_is_named_and_judged(new: list[Table], expected: set[tuple[str, str, bool]]) -> None:
    assert {(one.where, one.kind, one.breaks) for one in found(*new)} == expected


@given(st.sets(st.sampled_from([one.name for one in contracts()])))
def test_a_table_that_vanishes_always_breaks(gone: set[str]) -> None:
    now = promises(one for one in contracts() if one.name not in gone)
    gone |= {old.name for one in contracts() if one.name in gone for old in one.merged}
    broken = {one.where for one in changes(promises(contracts()), now) if one.breaks}
    assert broken == gone


@pytest.mark.parametrize(
    "change",
    [
        {"formerly": ("thing",)},
        {"fields": (*OLD.fields, Field("m", "int32", "same", formerly=(Former("n"),)))},
        {"partition": "k", "fields": (replace(OLD.fields[0], formerly=(Former("key"),)), *OLD.fields[1:])},
    ],
)
def test_a_former_name_that_cannot_be_kept_is_refused_where_it_is_declared(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"table thing: .*(in use|cannot be renamed)"):
        replace(OLD, **change)  # type: ignore[arg-type]
