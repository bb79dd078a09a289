"""The panel as pandas frames with the index that `linearmodels` and `statsmodels` expect. Needs the extra `research`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cryptolake.errors import BadInput
from cryptolake.research.extra import needs_research

if TYPE_CHECKING:
    import pandas as pd


def panel_index(frame: pl.DataFrame, values: Sequence[str] | None = None) -> pd.DataFrame:
    """`frame` as pandas with the MultiIndex (csu, date), sorted: what `linearmodels.PanelOLS` takes as it is.

    `values` keeps only these columns. The dates are midnight UTC without zone.
    """
    if frame.select("csu", "date").is_duplicated().any():
        raise BadInput("a market-day stands twice in this frame; a panel index must be unique")
    with needs_research("panel_index"):
        import pandas as pd

        chosen = frame.sort("csu", "date").select(
            "csu", "date", *(values or [n for n in frame.columns if n not in ("csu", "date")])
        )
        # Column by column: no Arrow types on the way, which older estimators do not know.
        table = pd.DataFrame({name: chosen[name].to_list() for name in chosen.columns})
        table["date"] = pd.to_datetime(table["date"])
        for name, dtype in chosen.schema.items():
            if dtype.is_numeric():
                table[name] = table[name].astype("float64")
        return table.set_index(["csu", "date"])


def read_panel(path: str | Path, values: Sequence[str] | None = None) -> pd.DataFrame:
    """A published or exported panel file (Parquet or Feather) as `panel_index` gives it."""
    name = str(path)
    frame = pl.read_ipc(name) if name.endswith((".feather", ".arrow")) else pl.read_parquet(name)
    return panel_index(frame, values)
