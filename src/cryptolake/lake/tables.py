"""Silver and gold as Delta tables, and the plain files published from them. Knows contracts, not what the columns mean."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import orjson
import polars as pl
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from cryptolake.contracts.table import Table
from cryptolake.errors import Retry, Stop
from cryptolake.lake.store import refused, write_bytes

_COMMIT_ATTEMPTS = 8


class Tables:
    """The Delta tables under the data folder `root`, at `<root>/<layer>/delta/<table>`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, table: Table) -> Path:
        """The table's folder."""
        return self._root / table.layer / "delta" / table.name

    def write(
        self, table: Table, frame: pl.DataFrame, *, replace_where: Mapping[str, Sequence[str | date]] | None = None
    ) -> None:
        """Replace the whole table, or exactly the rows whose columns have the given values, in one commit.

        Raises Stop when the frame breaks the contract's schema, Retry when other writers kept winning.
        """
        if dict(frame.schema) != dict(table.polars_schema()):
            raise Stop(f"{table.name}: the rows do not have the contract's columns; this is a defect, please report it")
        path = str(self.path(table))
        data = frame.sort(table.key).to_arrow().cast(table.arrow_schema())
        for _ in range(_COMMIT_ATTEMPTS):
            try:
                exists = DeltaTable.is_deltatable(path)
                predicate = _predicate(replace_where) if replace_where and exists else None
                write_deltalake(path, data, mode="overwrite", predicate=predicate)
            except CommitFailedError:
                continue
            except OSError as error:
                raise refused(error, self.path(table)) from None
            return
        raise Retry(f"{table.name}: other writers kept committing first; run the same command again")

    def read(self, table: Table) -> pl.DataFrame:
        """The whole table, sorted by its key; empty when nothing was written yet."""
        try:
            delta = DeltaTable(str(self.path(table)))
        except TableNotFoundError:
            return table.empty()
        frame = pl.DataFrame(pl.from_arrow(delta.to_pyarrow_table()))
        return frame.select(table.columns).cast(table.polars_schema()).sort(table.key)

    def expire(self, table: Table, *, keep_days: int, dry_run: bool) -> int:
        """Delete the files of versions replaced more than `keep_days` days ago; returns the bytes. The table stays as it is."""
        try:
            delta = DeltaTable(str(self.path(table)))
        except TableNotFoundError:
            return 0
        old = delta.vacuum(retention_hours=keep_days * 24, dry_run=True, enforce_retention_duration=False)
        paths = [self.path(table) / name for name in old]
        freed = sum(
            path.stat().st_size for path in paths if path.exists()
        )  # the log still names what an earlier one took
        if not dry_run:
            delta.vacuum(retention_hours=keep_days * 24, dry_run=False, enforce_retention_duration=False)
        return freed

    def publish(self, table: Table, frame: pl.DataFrame, *, csu: str = "") -> Path:
        """Write the rows as the plain Parquet file people open; the same rows give the same bytes."""
        if table.publish_as is None:
            raise Stop(f"{table.name} is not published as a file")
        path = self._root / table.publish_as.format(csu=csu)
        buffer = io.BytesIO()
        frame.sort(table.key).write_parquet(buffer, compression="zstd", compression_level=3)
        write_bytes(path, buffer.getvalue())
        return path

    def publish_json(self, name: str, document: Mapping[str, object]) -> Path:
        """Write a JSON document under the data folder."""
        path = self._root / name
        write_bytes(path, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS, default=str))
        return path


def _predicate(values: Mapping[str, Sequence[str | date]]) -> str:
    """A SQL condition for the rows to replace; values come from our own coordinates, quotes are doubled all the same."""
    terms = []
    for column, wanted in values.items():
        listed = ", ".join(
            f"DATE '{value.isoformat()}'" if isinstance(value, date) else "'" + value.replace("'", "''") + "'"
            for value in wanted
        )
        terms.append(f"{column} IN ({listed})")
    return " AND ".join(terms)
