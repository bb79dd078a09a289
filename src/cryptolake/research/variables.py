"""A study's variables by the names an export gives them: `total_tvl_usd_log_d` is the daily change of ln(1 + TVL).

What does not belong here: how logs and changes are made (`transforms`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from cryptolake.errors import BadInput
from cryptolake.research.transforms import Recipe, prepare

_SUFFIXES = {"_log_d": (True, True), "_log": (True, False), "_d": (False, True)}


def variables(panel: pl.DataFrame, names: Sequence[str], accept: Collection[str] = ("ok",)) -> pl.DataFrame:
    """Columns csu, date and these of a `daily_panel`. Raises BadInput for a name that no export would have."""
    found = panel.select("csu", "date").sort("csu", "date")
    for name in names:
        base, log, diff = _read(name, panel.columns)
        made = prepare(panel, Recipe(values=(base,), log=log, diff=diff, accept=tuple(accept))).frame
        if name not in made.columns:
            raise BadInput(f"{name!r}: {base} is a share and is not logged; write {name.replace('_log', '')}")
        found = found.join(made.select("csu", "date", name), on=["csu", "date"], how="left")
    return found


def _read(name: str, columns: Sequence[str]) -> tuple[str, bool, bool]:
    """The panel's column, and whether its log and its change are meant."""
    for suffix, (log, diff) in {"": (False, False), **_SUFFIXES}.items():
        base = name.removesuffix(suffix)
        if base in columns and name == base + suffix:
            return base, log, diff
    raise BadInput(
        f"no such variable {name!r}; write a column of the panel, with _log, _d or _log_d after it if you like"
    )
