"""Silver and gold as Delta tables, and the plain files published from them. Knows contracts, not what the columns mean."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from cryptolake.contracts.table import Table
from cryptolake.errors import Retry, Stop
from cryptolake.files.atomic import refused, write_bytes
from cryptolake.files.folder_name import check_folder
from cryptolake.lake.stored import Stored, predicate
from cryptolake.version import __version__, commit

_COMMIT_ATTEMPTS = 8
_VERSION, _COMMIT = "cryptolake.version", "cryptolake.commit"  # what a version says of the code that made it


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a table: its number, when it was made (UTC), and by which code, None where it does not say."""

    number: int
    at: datetime
    code_version: str | None
    commit: str | None


class Tables:
    """The Delta tables under the data folder `root`, at `<root>/<layer>/delta/<table>`.

    Raises BadInput for a folder whose name the table format takes for another one.
    """

    def __init__(self, root: Path) -> None:
        check_folder(root)
        self._root = root

    def path(self, table: Table) -> Path:
        """The table's folder: under its name, or under a former one where an earlier version made it."""
        folder = self._root / table.layer / "delta"
        made = (folder / name for name in (table.name, *table.formerly))
        return next((one for one in made if one.is_dir()), folder / table.name)

    def write(
        self, table: Table, frame: pl.DataFrame, *, replace_where: Mapping[str, Sequence[str | date]] | None = None
    ) -> None:
        """Replace the whole table, or exactly the rows whose columns have the given values, in one commit.

        What was there stays readable as the table's previous version. Raises Stop when the frame breaks the contract's
        schema or the stored table is of an older contract, Retry when other writers kept winning.
        """
        if dict(frame.schema) != dict(table.polars_schema()):
            raise Stop(f"{table.name}: the rows do not have the contract's columns; this is a defect, please report it")
        path = str(self.path(table))
        data = frame.sort(table.key).to_arrow().cast(table.arrow_schema())
        for _ in range(_COMMIT_ATTEMPTS):
            try:
                exists = DeltaTable.is_deltatable(path)
                if exists and replace_where and not self._current(table):
                    self._rename(table)
                where = predicate(replace_where) if replace_where and exists else None
                write_deltalake(
                    path,
                    data.cast(_described_as_stored(data.schema, path)) if where else data,
                    mode="overwrite",
                    predicate=where,
                    schema_mode=None if where else "overwrite",
                    partition_by=None if where else ([table.partition] if table.partition else []),
                    writer_properties=_properties(table),
                    commit_properties=_made_by(),
                )
            except CommitFailedError:
                continue
            except DeltaError as error:
                words = " ".join(str(error).split())
                raise Stop(
                    f"{table.name}: its stored form takes no such rows ({words}); run `cryptolake rebuild`, nothing is lost"
                ) from None
            except OSError as error:
                raise refused(error, self.path(table)) from None
            return
        raise Retry(f"{table.name}: other writers kept committing first; run the same command again")

    def read(
        self,
        table: Table,
        *,
        version: int | None = None,
        among: Mapping[str, Sequence[str | date]] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """The whole table, sorted by its key; empty when nothing was written yet.

        `version` reads it as it was at that commit, `among` only the rows whose columns have the given values, `columns`
        only these, which must hold the key. Raises Stop when that version is gone, a file of it is missing or damaged, or
        the stored columns are those of an older contract.
        """
        stored = self.stored(table, version=version)
        wanted = list(columns or table.columns)
        if stored is None:
            return table.empty().select(wanted)
        return stored.read(wanted, among)

    def stored(self, table: Table, *, version: int | None = None) -> Stored | None:
        """The table as it lies there now, or at that commit; None when nothing was written yet.

        Raises Stop when there is no such version.
        """
        folder = self.path(table)
        try:
            return Stored(table, folder.resolve(), DeltaTable(str(folder), version=version))
        except TableNotFoundError:
            return None
        except DeltaError:
            raise Stop(f"{table.name} has no version {version}; see `cryptolake prices versions`") from None

    def version(self, table: Table) -> int | None:
        """The number of the table's last commit; None when nothing was written yet."""
        path = str(self.path(table))
        return DeltaTable(path).version() if DeltaTable.is_deltatable(path) else None

    def history(self, table: Table) -> list[Version]:
        """Every version that the table's log tells of, the newest first; none when nothing was written yet.

        The files of an old one may be gone (`expire`): reading it raises Stop then.
        """
        path = str(self.path(table))
        if not DeltaTable.is_deltatable(path):
            return []
        return [
            Version(
                int(one["version"]),
                datetime.fromtimestamp(one["timestamp"] / 1000, UTC),
                one.get(_VERSION),
                one.get(_COMMIT) or None,
            )
            for one in DeltaTable(path).history()
        ]

    def _current(self, table: Table) -> bool:
        """Whether the stored table has the contract's columns and partitioning."""
        delta = DeltaTable(str(self.path(table)))
        partition = [table.partition] if table.partition else []
        names = [one.name for one in delta.schema().fields]
        return delta.metadata().partition_columns == partition and set(names) == set(table.columns)

    def _rename(self, table: Table) -> None:
        """Give a table that differs from the contract only in former names and added columns those of today, in one commit.

        Raises Stop when it differs in anything else, CommitFailedError when somebody wrote meanwhile.
        """
        delta = DeltaTable(str(self.path(table)))
        added = {field.name for field in table.fields if field.added}
        former = {one.name: field.name for field in table.fields for one in field.formerly}
        stored = [one.name for one in delta.schema().fields]
        partition = [table.partition] if table.partition else []
        today = [former.get(name, name) for name in stored]
        if delta.metadata().partition_columns != partition or set(table.columns) - added != set(today) - added:
            raise Stop(f"{table.name} was written by another version; run `cryptolake rebuild`, nothing is lost")
        rows = Stored(table, self.path(table).resolve(), delta).read()
        write_deltalake(
            delta,  # as it was when its rows were read
            rows.to_arrow().cast(table.arrow_schema()),
            mode="overwrite",
            schema_mode="overwrite",
            writer_properties=_properties(table),
            commit_properties=_made_by(),
        )

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

    def size(self, table: Table) -> int:
        """Bytes of the files that make up the table now; 0 when nothing was written yet."""
        stored = self.stored(table)
        return sum(Path(path).stat().st_size for path in stored.paths()) if stored is not None else 0

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


def _described_as_stored(schema: pa.Schema, path: str) -> pa.Schema:
    """The schema with the stored words about each column: a part of a table is refused with others than the whole has."""
    stored = {one.name: one.metadata for one in DeltaTable(path).schema().fields}
    return pa.schema([one.with_metadata(stored.get(one.name)) for one in schema])


@lru_cache(maxsize=1)
def _made_by() -> CommitProperties:
    return CommitProperties(custom_metadata={_VERSION: __version__, _COMMIT: commit() or ""})


def _properties(table: Table) -> WriterProperties:
    """How the files are written: without dictionaries of numbers of which hardly two are alike, which cost time and space."""
    unlike = [field.name for field in table.fields if field.dtype in ("float64", "integer_text")]
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(compression="ZSTD", compression_level=3, column_properties=dict.fromkeys(unlike, plain))
