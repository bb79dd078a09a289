"""Feather (Arrow IPC), for R and pandas; the codebook lies in the file's own metadata too. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import polars as pl
import pyarrow as pa
from pyarrow import feather

SUFFIX = ".feather"


def render(frame: pl.DataFrame, codebook: Mapping[str, object]) -> bytes:
    """The rows with their types; null stays null."""
    # Plain strings: R's and pandas' readers know them in every version, string views in few.
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    arrow = arrow.replace_schema_metadata({"cryptolake.codebook": orjson.dumps(codebook, default=str).decode()})
    sink = pa.BufferOutputStream()
    feather.write_feather(arrow, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
