"""Named sets of markets: data like the markets themselves, from `data/sets.yaml`, a user's registry file and settings.

What does not belong here: which command uses a set (`cli.options`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from cryptolake.registry.markets import Csu
from cryptolake.registry.rows import Row

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_EVERY = "all"
# Flags that rows of older registry files carry: such a row belongs to the set, listed or not.
_FLAGS = {"in_seed_43": "thesis-43", "in_thesis_46": "thesis-46"}


def set_fault(name: str, listed: object) -> str | None:
    """What is wrong with a set, whatever markets there are; None where nothing is."""
    if not _NAME.fullmatch(name):
        return "a name has lower-case letters, digits, hyphens and underscores"
    if name == _EVERY:
        return f"{_EVERY} means every market; choose another name"
    if not isinstance(listed, list) or not listed:
        return "must list at least one market; list one or take the set out"
    return None


def read_sets(
    rows: Iterable[Row], csu_rows: Iterable[Row], csus: Mapping[str, Csu], faults: list[str]
) -> dict[str, tuple[str, ...]]:
    """The markets of every set, sorted; an alias stands for its market. What is wrong is appended to `faults`."""
    canonical = {alias: csu.name for csu in csus.values() for alias in (*csu.aliases, csu.name)}
    written = {str(row.values.get("name")) for row in csu_rows}  # a market with a fault of its own is not unknown
    sets: dict[str, set[str]] = {}
    for row in rows:
        name, listed = str(row.values.get("name")), row.values.get("markets")
        where = f"{row.where}: set {name}: "
        if (fault := set_fault(name, listed)) is not None:
            faults.append(where + fault)
        if name in canonical:
            faults.append(where + "a market has this name; choose another")
        if not isinstance(listed, list) or not listed:
            continue
        for one in map(str, listed):
            if one not in canonical and one not in written:
                near = difflib.get_close_matches(one, list(canonical), n=1)
                faults.append(f"{where}unknown market {one!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        sets[name] = {canonical[one] for one in map(str, listed) if one in canonical}
    for row in csu_rows:
        for flag, name in _FLAGS.items():
            if row.values.get(flag) is True and row.values.get("name") in csus:
                sets.setdefault(name, set()).add(str(row.values["name"]))
    return {name: tuple(sorted(members)) for name, members in sorted(sets.items())}
