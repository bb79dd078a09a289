"""Writing a prepared panel for another program: Parquet, CSV, Stata, Feather, each with its codebook beside it.

What does not belong here: what is done to the numbers (`transforms`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import orjson
import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput
from cryptolake.files.atomic import write_bytes
from cryptolake.research.codebook import codebook, page
from cryptolake.research.extra import needs_research
from cryptolake.research.transforms import Prepared, Recipe, wide

Format = Literal["parquet", "csv", "stata", "feather"]
SUFFIX: dict[Format, str] = {"parquet": ".parquet", "csv": ".csv", "stata": ".dta", "feather": ".feather"}
_STATA_NAME, _STATA_LABEL = 32, 80  # characters


def export(
    table: Table,
    prepared: Prepared,
    recipe: Recipe,
    *,
    path: Path,
    to: Format,
    shape: Literal["long", "wide"] = "long",
    facts: Mapping[str, object],
) -> list[Path]:
    """Write the file, `<file>.codebook.json` and `<file>.codebook.md`; the same input gives the same bytes.

    Parquet and Feather carry the codebook in their own metadata too; Stata has labels and the version as its data label.
    """
    frame = _long(prepared) if shape == "long" else wide(prepared, recipe.values)
    document = codebook(
        table, frame, path=path.name, facts=facts, steps=[*prepared.steps, f"shape: {shape}"], made=prepared.made
    )
    note = {"cryptolake.codebook": orjson.dumps(document, default=str).decode()}
    match to:
        case "parquet":
            buffer = io.BytesIO()
            frame.write_parquet(buffer, compression="zstd", compression_level=3, metadata=note)
            content = buffer.getvalue()
        case "csv":
            content = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int8)).write_csv().encode()
        case "feather":
            content = _feather(frame, note)
        case "stata":
            content = _stata(frame, document)
    write_bytes(path, content)
    beside = [path.with_name(f"{path.name}.codebook.json"), path.with_name(f"{path.name}.codebook.md")]
    write_bytes(beside[0], orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2))
    write_bytes(beside[1], page(document).encode())
    return [path, *beside]


def _long(prepared: Prepared) -> pl.DataFrame:
    """Ids first, as panel programs like it."""
    first = ["csu", "date", "unit_id", "time_id"]
    return prepared.frame.select(*first, *(name for name in prepared.frame.columns if name not in first))


def _feather(frame: pl.DataFrame, note: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    from pyarrow import feather

    # Plain strings: R's and pandas' readers know them in every version, string views in few.
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    arrow = arrow.replace_schema_metadata(dict(note))
    sink = pa.BufferOutputStream()
    feather.write_feather(arrow, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _stata(frame: pl.DataFrame, document: Mapping[str, object]) -> bytes:
    if long_names := [name for name in frame.columns if len(name) > _STATA_NAME]:
        raise BadInput(
            f"Stata knows names of at most {_STATA_NAME} characters, {long_names[0]!r} is longer; "
            "export --shape long and reshape in Stata, or leave out a transformation"
        )
    with needs_research("a Stata file"):
        import pandas as pd

        columns = {}
        for name, dtype in frame.schema.items():
            if dtype == pl.Boolean:
                columns[name] = pd.Series(frame[name].cast(pl.Int8).to_list(), dtype="int8")
            elif dtype.is_integer() and frame[name].null_count() == 0:
                columns[name] = pd.Series(frame[name].to_list(), dtype="int32" if dtype == pl.Int32 else "float64")
            elif dtype.is_numeric():
                columns[name] = pd.Series(frame[name].cast(pl.Float64).to_list(), dtype="float64")
            elif dtype.is_temporal():
                naive = (
                    frame[name].cast(pl.Datetime("us")) if dtype == pl.Date else frame[name].dt.replace_time_zone(None)
                )
                stamps = naive.to_list()
                columns[name] = pd.Series(pd.to_datetime(stamps))
            else:
                columns[name] = pd.Series(frame[name].fill_null("").to_list(), dtype="object")
        plain = pd.DataFrame(columns)
        schema = document["schema"]
        fields = schema["fields"] if isinstance(schema, dict) else []
        labels = {str(one["name"]): str(one["description"])[:_STATA_LABEL] for one in fields}
        labels = {name: label.encode("latin-1", "replace").decode("latin-1") for name, label in labels.items()}
        dates = {
            name: "td" if dtype == pl.Date else "tc" for name, dtype in frame.schema.items() if dtype.is_temporal()
        }
        buffer = io.BytesIO()
        plain.to_stata(
            buffer,
            write_index=False,
            convert_dates=dates,  # type: ignore[arg-type]
            variable_labels=labels,
            data_label=f"cryptolake daily_panel {str(document.get('dataset_version', ''))[:16]}"[:_STATA_LABEL],
            time_stamp=pd.Timestamp(2000, 1, 1).to_pydatetime(),  # fixed, so that the same rows give the same bytes
            version=118,
        )
        return buffer.getvalue()
