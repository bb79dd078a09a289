"""Vendor runs kept in bronze: which there are, their typed Parquet twin, and taking old ones away.

    bronze/<source>/<dataset>/<YYYY-MM-DD>/<run>.raw.json.gz    the answer (see `bronze`)
    bronze/<source>/<dataset>/<YYYY-MM-DD>/<run>.parquet        its rows, typed

What does not belong here: asking (sources), and what the rows mean.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from cryptolake.contracts.partition import Partition, Period
from cryptolake.errors import BadInput
from cryptolake.files.atomic import refused, write_bytes
from cryptolake.lake.bronze import Bronze

_RAW = ".raw.json.gz"


class Runs:
    """The runs under the data folder `root`. A run is one partition: a key of its own in the day it was asked on."""

    def __init__(self, root: Path) -> None:
        self._bronze, self._root = Bronze(root), root / "bronze"

    def kept(self, source: str, dataset: str) -> list[Partition]:
        """Every run that has an answer, in the order of day and key."""
        found = []
        for path in sorted((self._root / source / dataset).glob(f"*/*{_RAW}")):
            try:
                found.append(Partition(dataset, path.name.removesuffix(_RAW), Period.parse(path.parent.name)))
            except BadInput:
                continue  # a folder of the user's own making
        return found

    def typed(self, run: Partition, source: str) -> Path:
        """Where the run's Parquet lies."""
        path = self._bronze.raw_path(run, source)
        return path.with_name(f"{run.key}.parquet")

    def write_typed(self, run: Partition, source: str, rows: pl.DataFrame) -> Path:
        """Write the run's typed rows (zstd); the same rows give the same bytes."""
        buffer = io.BytesIO()
        rows.write_parquet(buffer, compression="zstd", compression_level=3)
        path = self.typed(run, source)
        write_bytes(path, buffer.getvalue())
        return path

    def size(self, run: Partition, source: str) -> int:
        """Bytes of everything the run has on disk."""
        return sum(path.stat().st_size for path in self._files(run, source))

    def delete(self, run: Partition, source: str) -> int:
        """Take the run away, the answer last, so that an interrupted deletion is seen and repeated. Returns bytes freed."""
        freed = 0
        try:
            for path in sorted(self._files(run, source), key=lambda path: path.name.endswith(_RAW)):
                size = path.stat().st_size
                path.unlink()
                freed += size
            folder = self._bronze.raw_path(run, source).parent
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        except OSError as error:
            raise refused(error, self._bronze.raw_path(run, source)) from None
        return freed

    def _files(self, run: Partition, source: str) -> Iterator[Path]:
        raw = self._bronze.raw_path(run, source)
        yield from (path for path in (self.typed(run, source), raw) if path.exists())
        yield from raw.parent.glob(f"{raw.name}.superseded-*")
