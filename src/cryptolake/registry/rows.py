"""Reads a registry file into rows that know their line, so that every fault can name file and line.

What does not belong here: what a row means (`loader`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import yaml

from cryptolake.errors import BadInput

LINE = "__line__"
SECTIONS = ("chains", "csus", "sets", "exclusions", "terms", "dataset", "events")

# libyaml reads the package's rows about ten times as fast as the pure Python loader.
_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Row:
    """A mapping read from YAML and where it stands (`file:line`)."""

    values: Mapping[str, object]
    where: str


class _Loader(_Base):  # type: ignore[misc, valid-type]  # chosen at run time
    """Keeps each mapping's line under `__line__` and refuses a key written twice, which YAML would drop in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            twice = next(key for key in keys if keys.count(key) > 1)
            mark = [key.start_mark for key, _ in node.value if key.value == twice][-1]
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is written twice", mark)
        mapping: dict[object, object] = super().construct_mapping(node, deep=deep)
        mapping[LINE] = node.start_mark.line + 1
        return mapping


def read_rows(file: str, text: str, faults: list[str]) -> dict[str, list[Row]]:
    """The rows of every section of a registry file; the name of a chain or set is put among its values.

    Raises BadInput with file and line when the text is no YAML; what is wrong inside it is appended to `faults`.
    """
    rows: dict[str, list[Row]] = {section: [] for section in SECTIONS}
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader with line numbers
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else text[: getattr(error, "position", 0)].count("\n") + 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
        raise BadInput(f"{file}:{line}: not readable as YAML ({problem}); correct that line") from None
    except ValueError as error:  # a value shaped like a date that no calendar has
        raise BadInput(f"{file}: not readable as YAML ({error}); correct that value or put it in quotes") from None
    if document is None:
        return rows
    if not isinstance(document, dict):
        raise BadInput(f"{file}:1: a registry file holds the keys {', '.join(f'`{one}:`' for one in SECTIONS)}")
    report_unknown(document, (*SECTIONS, "schema_version"), f"{file}:1", faults)
    for section in SECTIONS:
        found = document.get(section)
        if section == "chains" and isinstance(found, dict):
            found = [
                {"name": name, **row} if isinstance(row, dict) else row for name, row in found.items() if name != LINE
            ]
        if section == "sets" and isinstance(found, dict):
            start = found[LINE]
            found = [{"name": name, "markets": row, LINE: start} for name, row in found.items() if name != LINE]
        if section == "dataset" and isinstance(found, dict):
            found = [found]
        if found is not None and not isinstance(found, list):
            faults.append(f"{file}: `{section}:` must hold rows")
            continue
        for number, row in enumerate(found or (), start=1):
            if isinstance(row, dict):
                rows[section].append(Row(row, f"{file}:{row[LINE]}"))
            else:
                faults.append(f"{file}: row {number} of `{section}:` is no mapping of keys to values")
    return rows


def report_unknown(keys: Mapping[str, object], known: Collection[str], where: str, faults: list[str]) -> None:
    """Append a fault for each key that is not known, with the near miss: a typo must not be ignored in silence."""
    for key in keys:
        if key not in known and key != LINE:
            near = difflib.get_close_matches(str(key), list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            faults.append(f"{where}: unknown key {key!r}; {hint}")


def override(rows: Sequence[Row], mine: Sequence[Row], *, keep: Sequence[str] = ()) -> list[Row]:
    """`rows` without those that `mine` names anew, followed by `mine`; the keys of `keep` stay where `mine` leaves them out."""
    before = {str(row.values.get("name")): row.values for row in rows}

    def anew(row: Row) -> Row:
        former = before.get(str(row.values.get("name")), {})
        return Row({**{key: former[key] for key in keep if key in former}, **row.values}, row.where)

    names = {str(row.values.get("name")) for row in mine}
    return [row for row in rows if str(row.values.get("name")) not in names] + [anew(row) for row in mine]
