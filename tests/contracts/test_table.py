"""A table's schema, DDL, checks and page all follow from its contract."""

from __future__ import annotations

import polars as pl
import pytest

from cryptolake.catalogue import contracts
from cryptolake.contracts.table import Field, Table

TABLE = Table(
    "thing",
    "silver",
    "one thing",
    ("k",),
    (
        Field("k", "text", "key"),
        Field("x", "float64", "amount", unit="USD", null=True, minimum=0, maximum=10),
        Field("kind", "text", "kind", allowed=("a", "b")),
        Field("raw", "integer_text", "unscaled"),
    ),
    "things",
)
GOOD = {"k": "1", "x": 1.0, "kind": "a", "raw": "123"}


def broken(*rows: dict[str, object]) -> set[str]:
    frame = pl.DataFrame([GOOD | row for row in rows], schema=TABLE.polars_schema())
    return {violation.check for violation in TABLE.violations(frame)}


def test_a_good_frame_has_no_violation() -> None:
    assert broken({}, {"k": "2", "x": None}) == set()


@pytest.mark.parametrize(
    ("row", "check"),
    [
        ({"k": None}, "thing.k.not_null"),
        ({"x": -1.0}, "thing.x.minimum"),
        ({"x": 11.0}, "thing.x.maximum"),
        ({"x": float("nan")}, "thing.x.finite"),
        ({"x": float("inf")}, "thing.x.finite"),
        ({"kind": "c"}, "thing.kind.allowed"),
        ({"raw": "1.5"}, "thing.raw.integer"),
    ],
)
def test_each_check_can_fail(row: dict[str, object], check: str) -> None:
    assert check in broken(row)


def test_a_repeated_key_and_a_wrong_schema_are_named() -> None:
    assert broken({}, {}) == {"thing.unique"}
    (violation,) = TABLE.violations(pl.DataFrame({"k": ["1"]}))
    assert violation.check == "thing.schema"


@pytest.mark.parametrize("table", contracts(), ids=lambda table: table.name)
def test_every_published_table_explains_itself(table: Table) -> None:
    assert table.doc
    assert all(field.doc for field in table.fields)
    assert all(field.unit == "USD" for field in table.fields if field.name.endswith("_usd"))
    assert table.arrow_schema().names == list(table.columns)
    assert set(table.polars_schema()) == set(table.columns)
