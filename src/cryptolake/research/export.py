"""Writing a prepared panel for another program, with its codebook beside it.

What does not belong here: what is done to the numbers (`transforms`) and the formats (a file each in `exports`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import orjson
import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.files.atomic import write_bytes
from cryptolake.research.codebook import codebook, page
from cryptolake.research.formats import ExportFormat, rendered, require_suffix
from cryptolake.research.transforms import Prepared, Recipe
from cryptolake.research.wide import wide


def export(
    table: Table,
    prepared: Prepared,
    recipe: Recipe,
    *,
    path: Path,
    to: ExportFormat,
    shape: Literal["long", "wide"] = "long",
    facts: Mapping[str, object],
) -> list[Path]:
    """Write the file, `<file>.codebook.json` and `<file>.codebook.md`; the same input gives the same bytes.

    Raises BadInput when the file's name says another format.
    """
    require_suffix(to, path)
    frame, meaning = (
        (_long(prepared), dict[str, str]()) if shape == "long" else wide(prepared, recipe.values, to.longest_name)
    )
    document = codebook(
        table,
        frame,
        path=path.name,
        facts={"cut_offs": prepared.cut_offs, "evidence": prepared.evidence, **facts},
        steps=[*prepared.steps, f"shape: {shape}"],
        derived=prepared.derived,
        meaning=meaning,
    )
    write_bytes(path, rendered(to, frame, document))
    beside = [path.with_name(f"{path.name}.codebook.json"), path.with_name(f"{path.name}.codebook.md")]
    write_bytes(beside[0], orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2))
    write_bytes(beside[1], page(document).encode())
    return [path, *beside]


def _long(prepared: Prepared) -> pl.DataFrame:
    """Ids first, as panel programs like it."""
    first = ["csu", "date", "unit_id", "time_id"]
    return prepared.frame.select(*first, *(name for name in prepared.frame.columns if name not in first))
