"""Stata 14 and later, and R by haven. No I/O."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput

SUFFIX = ".dta"
NEEDS = "research"
LONGEST_NAME = 32
_LABEL = 80  # characters of a label that Stata keeps


def render(frame: pl.DataFrame, codebook: Mapping[str, object]) -> bytes:
    """The rows with labels of the columns and the dataset's version as label of the data.

    A missing number is Stata's `.`, a missing text is empty, true and false are 1 and 0. Raises BadInput for a name longer
    than Stata knows.
    """
    if long_names := [name for name in frame.columns if len(name) > LONGEST_NAME]:
        raise BadInput(
            f"Stata knows names of at most {counted(LONGEST_NAME, 'character')}, {long_names[0]!r} is longer; "
            "export --shape long and reshape in Stata, or leave out a transformation"
        )
    import pandas as pd  # of the extra

    columns = {}
    for name, dtype in frame.schema.items():
        if dtype == pl.Boolean:
            columns[name] = pd.Series(frame[name].cast(pl.Int8).to_list(), dtype="int8")
        elif dtype.is_integer() and frame[name].null_count() == 0:
            columns[name] = pd.Series(frame[name].to_list(), dtype="int32" if dtype == pl.Int32 else "float64")
        elif dtype.is_numeric():
            columns[name] = pd.Series(frame[name].cast(pl.Float64).to_list(), dtype="float64")
        elif dtype.is_temporal():
            naive = frame[name].cast(pl.Datetime("us")) if dtype == pl.Date else frame[name].dt.replace_time_zone(None)
            stamps = naive.to_list()
            columns[name] = pd.Series(pd.to_datetime(stamps))
        else:
            columns[name] = pd.Series(frame[name].fill_null("").to_list(), dtype="object")
    plain = pd.DataFrame(columns)
    schema = codebook["schema"]
    fields = schema["fields"] if isinstance(schema, dict) else []
    labels = {str(one["name"]): label(str(one["description"])) for one in fields}
    labels = {name: label.encode("latin-1", "replace").decode("latin-1") for name, label in labels.items()}
    dates = {name: "td" if dtype == pl.Date else "tc" for name, dtype in frame.schema.items() if dtype.is_temporal()}
    buffer = io.BytesIO()
    plain.to_stata(
        buffer,
        write_index=False,
        convert_dates=dates,  # type: ignore[arg-type]
        variable_labels=labels,
        data_label=f"cryptolake daily_panel {str(codebook.get('dataset_version', ''))[:16]}"[:_LABEL],
        time_stamp=pd.Timestamp(2000, 1, 1).to_pydatetime(),  # fixed, so that the same rows give the same bytes
        version=118,
    )
    return buffer.getvalue()


def label(text: str) -> str:
    """A text as a label: whole where Stata has room for it, else its whole words, so that no number is cut. The codebook has
    all of it.
    """
    return textwrap.shorten(text, _LABEL, placeholder=" ...", break_long_words=False)
