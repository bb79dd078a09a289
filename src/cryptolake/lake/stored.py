"""`Stored`: what a Delta table holds at one version: its files by their real paths, its columns, its rows as a lazy frame.

delta-rs names files by URL: the table's folder is percent-encoded in it, what comes after lies on the disk as it is written.
A folder may therefore have spaces, umlauts or `#` in its name only where both are kept apart, which is done here for
everybody who reads. What does not belong here: writing, and which version to read (tables).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from cryptolake.contracts.table import Table
from cryptolake.errors import Stop


@dataclass(frozen=True, slots=True)
class Stored:
    """A table as stored at one version; `folder` is where it really lies."""

    table: Table
    folder: Path
    delta: DeltaTable

    def paths(self, among: Sequence[str | date] = ()) -> list[str]:
        """The files that make up the table, or those of these values of its partition column."""
        root = self.delta.table_uri.removeprefix("file://").rstrip("/")
        pruned = predicate({str(self.table.partition): among}) if among else None
        uris = self.delta.file_uris(file_pruning_predicate=pruned)
        return [f"{self.folder}{uri.removeprefix('file://').removeprefix(root)}" for uri in uris]

    def names(self, wanted: Sequence[str]) -> dict[str, str | None]:
        """Under which name each wanted column is stored: its own, or a former one; None for one that was added since.

        Raises Stop when another one is not there: the table was written by an older version.
        """
        stored = {one.name for one in self.delta.schema().fields}
        added = {field.name for field in self.table.fields if field.added}
        formerly = {field.name: [one.name for one in field.formerly] for field in self.table.fields}
        found: dict[str, str | None] = {}
        for name in wanted:
            there = [one for one in (name, *formerly.get(name, ())) if one in stored]
            if not there and name in added:
                found[name] = None
                continue
            if not there:
                raise Stop(
                    f"{self.table.name} was written by an older version (no column {name}); run `cryptolake rebuild`, "
                    "nothing is collected again"
                )
            found[name] = there[0]
        return found

    def scan(
        self, columns: Sequence[str] | None = None, among: Mapping[str, Sequence[str | date]] | None = None
    ) -> pl.LazyFrame:
        """The rows in no particular order, read when collected: with these columns, of these values in others.

        Raises Stop when a column is not there.
        """
        schema, among = self.table.polars_schema(), among or {}
        wanted = list(columns or self.table.columns)
        needed = self.names(list(dict.fromkeys([*wanted, *among])))
        files = self.paths(among.get(self.table.partition or "", ()))
        if not files:
            return self.table.empty().select(wanted).lazy()
        frame = self._scanned(files, schema).select(
            pl.lit(None).alias(name) if there is None else pl.col(there).alias(name) for name, there in needed.items()
        )
        for column, values in among.items():
            frame = frame.filter(pl.col(column).is_in(list(values)))
        return frame.select(wanted).cast({name: schema[name] for name in wanted})

    def read(
        self, columns: Sequence[str] | None = None, among: Mapping[str, Sequence[str | date]] | None = None
    ) -> pl.DataFrame:
        """The same rows, read now and sorted by the table's key, all of which must be among the columns.

        Raises Stop when a column is not there, and for a file that is missing or damaged.
        """
        try:
            return self.scan(columns, among).collect().sort(self.table.key)
        except FileNotFoundError:
            what = "missing"
        except pl.exceptions.ComputeError:
            what = "damaged"
        raise Stop(
            f"a file of {self.table.name} is {what} in {self.folder}; run `cryptolake rebuild`, nothing is collected again"
        )

    def _scanned(self, files: list[str], schema: pl.Schema) -> pl.LazyFrame:
        """The files themselves: Arrow's data set takes seconds to be set up over a year of days."""
        column = self.table.partition
        if column is None:
            return pl.scan_parquet(files, glob=False, hive_partitioning=False)
        if "=" not in str(self.folder):
            return pl.scan_parquet(files, glob=False, hive_partitioning=True, hive_schema={column: schema[column]})
        # A folder above with `=` in its name would be read as a column, or as this one with another value.
        by_value: dict[str, list[str]] = {}
        for file in files:
            by_value.setdefault(unquote(Path(file).parent.name.partition("=")[2]), []).append(file)
        parts = []
        for text, some in by_value.items():
            value = pl.lit(text).str.to_date() if schema[column] == pl.Date else pl.lit(text).cast(schema[column])
            part = pl.scan_parquet(some, glob=False, hive_partitioning=False)
            parts.append(part.with_columns(value.alias(column)))
        return pl.concat(parts)


def predicate(values: Mapping[str, Sequence[str | date]]) -> str:
    """A SQL condition for rows with these values; they come from our own coordinates, quotes are doubled all the same."""
    terms = []
    for column, wanted in values.items():
        listed = ", ".join(
            f"DATE '{value.isoformat()}'" if isinstance(value, date) else "'" + value.replace("'", "''") + "'"
            for value in wanted
        )
        terms.append(f"{column} IN ({listed})")
    return " AND ".join(terms)
