"""What the contracts promise, as plain data, and what changed between two versions of it.

`promises` renders the promises of tables, `changes` compares two versions and says which changes break a reader. Pure:
where versions are kept, and how old names are kept alive, belongs to `publish` and `lake`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from cryptolake.contracts.table import Dtype, Field, Table
from cryptolake.errors import BadInput

Kind = Literal["added", "removed", "renamed", "retyped", "null", "unit", "key", "file"]


class FieldPromise(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column as readers know it. `formerly`: its earlier names and the dtype each is kept with."""

    dtype: Dtype
    null: bool
    unit: str = ""
    sql: str | None = None
    formerly: dict[str, Dtype] = {}


class TablePromise(msgspec.Struct, frozen=True, omit_defaults=True):
    """One table as readers know it. `file`: where it is published under the data folder; `formerly`: its earlier names."""

    layer: str
    key: list[str]
    fields: dict[str, FieldPromise]
    file: str | None = None
    formerly: list[str] = []


class Promises(msgspec.Struct, frozen=True):
    """Every table's promise by name. A file may hold more beside it."""

    tables: dict[str, TablePromise]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `breaks`: who reads by the old version no longer gets what it asks for."""

    where: str
    kind: Kind
    breaks: bool
    text: str


def promises(tables: Iterable[Table]) -> dict[str, TablePromise]:
    """What each table promises, by name in alphabetical order, and the views of tables that became a part of it."""
    found = {}
    for one in tables:
        fields = {f.name: _promise(f) for f in one.fields}
        found[one.name] = TablePromise(one.layer, list(one.key), fields, one.publish_as, list(one.formerly))
        for old in one.merged:
            found[old.name] = TablePromise(one.layer, [], {f.name: _promise(f) for f, _ in old.columns})
    return dict(sorted(found.items()))


def document(tables: Iterable[Table]) -> bytes:
    """The promises as the JSON that `read_document` reads, indented and ending with a line break."""
    return msgspec.json.format(msgspec.json.encode(Promises(promises(tables))), indent=1) + b"\n"


def read_document(content: bytes, name: str) -> dict[str, TablePromise]:
    """The promises of a kept version; `name` is what the message calls it. Raises BadInput when it is none."""
    try:
        return msgspec.json.decode(content, type=Promises).tables
    except msgspec.DecodeError as error:
        raise BadInput(f"{name} is no snapshot of contracts ({error}); `publish` writes gold/contracts.json") from None


def changes(old: dict[str, TablePromise], new: dict[str, TablePromise]) -> list[Change]:
    """Every difference from `old` to `new`, breaking ones first."""
    successors = {former: name for name, table in new.items() for former in table.formerly}
    found: list[Change] = []
    for name, table in old.items():
        if name in new:
            found += _of_table(name, table, new[name])
        elif name in successors:
            found.append(Change(name, "renamed", False, f"is {successors[name]} now; a view keeps the old name"))
            found += _of_table(successors[name], table, new[successors[name]])
        else:
            found.append(Change(name, "removed", True, "was removed, and no table says it was formerly called so"))
    known = {*old, *(successors[name] for name in old if name in successors)}
    found += [Change(name, "added", False, "is new") for name in new if name not in known]
    return sorted(found, key=lambda one: (not one.breaks, one.where, one.kind))


def _promise(field: Field) -> FieldPromise:
    formerly = {former.name: former.dtype or field.dtype for former in field.formerly}
    return FieldPromise(field.dtype, field.null, field.unit, field.sql, formerly)


def _of_table(name: str, old: TablePromise, new: TablePromise) -> Iterator[Change]:
    successors = {former: column for column, field in new.fields.items() for former in field.formerly}
    if [successors.get(column, column) for column in old.key] != new.key:
        text = f"was {_listed(old.key)}, is {_listed(new.key)}: a row means something else"
        yield Change(name, "key", True, f"key {text}")
    if old.file != new.file:
        yield Change(name, "file", old.file is not None, f"file was {old.file or 'none'}, is {new.file or 'none'}")
    for column, field in old.fields.items():
        where = f"{name}.{column}"
        if column in new.fields:
            yield from _of_field(where, field, new.fields[column], new.fields[column].dtype)
        elif column in successors:
            now = successors[column]
            yield Change(where, "renamed", False, f"is {now} now; PostgreSQL still answers to the old name")
            yield from _of_field(where, field, new.fields[now], new.fields[now].formerly[column])
        else:
            yield Change(where, "removed", True, "was removed, and no column says it was formerly called so")
    known = {*old.fields, *(successors[column] for column in old.fields if column in successors)}
    for column in new.fields:
        if column not in known:
            yield Change(f"{name}.{column}", "added", False, "is new")


def _of_field(where: str, old: FieldPromise, new: FieldPromise, dtype: Dtype) -> Iterator[Change]:
    """`dtype`: what the old name answers with."""
    if old.dtype != dtype or (new.dtype == dtype and old.sql != new.sql):
        was, now = old.sql or old.dtype, new.sql or dtype
        yield Change(
            where, "retyped", True, f"was {was}, is {now}; name the new column anew and keep this one formerly"
        )
    if old.unit != new.unit:
        text = f"unit was {old.unit or 'none'}, is {new.unit or 'none'}: the same number means something else"
        yield Change(where, "unit", True, text)
    if old.null != new.null:
        yield Change(where, "null", False, "may be NULL now" if new.null else "is never NULL any more")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
