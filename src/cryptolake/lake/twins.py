"""Typed Parquet twins of answers: rows, a note of what they stand for, and a digest by which an edited file gives itself away.

The digest is of the stored columns as they lie in the file, so that checking it costs next to nothing. What does not belong
here: where twins lie, and which answers they stand for (bronze).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import polars as pl

_CONTENT = "cryptolake.content"
_END = 8  # bytes of a Parquet file's end: length of the footer (little-endian), magic


def written(frame: pl.DataFrame, note: Mapping[str, str]) -> bytes:
    """The file of these rows (zstd) and their note; the same rows give the same bytes."""
    plain = _file(frame, note)
    return _file(frame, {**note, _CONTENT: _digest(plain, frame.schema)})


def read(content: bytes) -> tuple[pl.DataFrame, dict[str, str]] | None:
    """The rows of such a file and its note; None where it is damaged, or is not what was written."""
    try:
        note = pl.read_parquet_metadata(io.BytesIO(content))
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError:
        return None
    return (frame, note) if note.get(_CONTENT) == _digest(content, frame.schema) else None


def _file(frame: pl.DataFrame, note: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=3, metadata=dict(note))
    return buffer.getvalue()


def _digest(content: bytes, schema: pl.Schema) -> str:
    """SHA-256 over all that lies before the footer, which the note is part of, and over what the columns are."""
    footer = int.from_bytes(content[-_END : -_END + 4], "little")
    columns = ", ".join(f"{name} {dtype}" for name, dtype in schema.items())
    found = hashlib.sha256(memoryview(content)[: -_END - footer])
    found.update(columns.encode())
    return found.hexdigest()
