"""The ledger: the only record of progress. Append-only entries and, kept in the same transaction, the latest per partition.

SQLite in WAL mode: many readers and writers, threads and processes of one machine, whole after `kill -9`. What does not
belong here: deciding what to do about an entry.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition
from cryptolake.errors import Stop

_COLUMNS = "partition, state, at, worker, attempt, rows, digest, block, cursor, reason, error"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entries (
  number INTEGER PRIMARY KEY, partition TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL, worker TEXT NOT NULL,
  attempt INTEGER NOT NULL, rows INTEGER, digest TEXT, block INTEGER, cursor TEXT, reason TEXT, error TEXT);
CREATE TABLE IF NOT EXISTS latest (
  partition TEXT PRIMARY KEY, state TEXT NOT NULL, at REAL NOT NULL, worker TEXT NOT NULL,
  attempt INTEGER NOT NULL, rows INTEGER, digest TEXT, block INTEGER, cursor TEXT, reason TEXT, error TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (partition TEXT PRIMARY KEY, worker TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS fold AFTER INSERT ON entries BEGIN
  INSERT OR REPLACE INTO latest ({_COLUMNS}) VALUES (NEW.partition, NEW.state, NEW.at, NEW.worker, NEW.attempt, NEW.rows,
    NEW.digest, NEW.block, NEW.cursor, NEW.reason, NEW.error);
END;
"""


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL once. SQLite does not wait for a busy file here, so several first openers take turns by hand."""
    deadline = time.monotonic() + 60
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Ledger:
    """The ledger file at `path`, made when absent. Thread-safe; several processes may use one file."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            _use_wal(self._connection)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise _refused(error, path) from None
        self._path = path

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise _refused(error, self._path) from None

    def append(self, entry: Entry) -> None:
        """Add one entry; durable when this returns, as far as the operating system survives."""
        self.append_many([entry])

    def append_many(self, entries: Iterable[Entry]) -> None:
        """Add entries in one transaction. A settled or failed partition is no longer claimed."""
        rows = [
            (
                str(e.partition),
                e.state,
                e.at.timestamp(),
                e.worker,
                e.attempt,
                e.rows,
                e.digest,
                e.block,
                e.cursor,
                e.reason,
                e.error,
            )
            for e in entries
        ]
        with self._transaction() as connection:
            connection.executemany(f"INSERT INTO entries ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows)
            ended = [(row[0],) for row in rows if row[1] not in {"claimed", "landed"}]
            connection.executemany("DELETE FROM claims WHERE partition = ?", ended)

    def state(self, partition: Partition) -> Entry | None:
        """The latest entry of a partition."""
        with self._lock:
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM latest WHERE partition = ?", (str(partition),)
            ).fetchone()
        return None if row is None else _entry(row)

    def of(self, partitions: Collection[Partition]) -> dict[Partition, Entry]:
        """The latest entry of each of these partitions that has one. Asks for them alone, however long the ledger is."""
        texts = [str(partition) for partition in partitions]
        rows: list[tuple[object, ...]] = []
        with self._lock:
            for start in range(0, len(texts), 500):
                some = texts[start : start + 500]
                marks = ",".join("?" * len(some))
                rows += self._connection.execute(
                    f"SELECT {_COLUMNS} FROM latest WHERE partition IN ({marks})", some
                ).fetchall()
        return {entry.partition: entry for entry in map(_entry, rows)}

    def states(self, dataset: str | None = None) -> dict[Partition, Entry]:
        """The latest entry of every partition, of one dataset or of all."""
        low, high = (f"{dataset}/", f"{dataset}0") if dataset else ("", "\U0010ffff")
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM latest WHERE partition >= ? AND partition < ? ORDER BY partition", (low, high)
            ).fetchall()
        entries = (_entry(row) for row in rows)
        return {entry.partition: entry for entry in entries}

    def datasets_ending_in(self, reason: str) -> set[str]:
        """The datasets whose newest entry failed for this reason."""
        with self._lock:
            rows = self._connection.execute(  # SQLite takes the other columns from the row of the maximum
                "SELECT substr(partition, 1, instr(partition, '/') - 1) AS dataset, reason, max(at) FROM latest GROUP BY 1"
            ).fetchall()
        return {str(dataset) for dataset, found, _ in rows if found == reason}

    def counts(self) -> dict[str, int]:
        """Partitions by state."""
        with self._lock:
            return dict(self._connection.execute("SELECT state, count(*) FROM latest GROUP BY state").fetchall())

    def claim(self, partitions: Collection[Partition], worker: str, lease_s: float) -> set[Partition]:
        """Take partitions for `worker` for `lease_s` seconds; those another worker holds are left out. Atomic."""
        now = datetime.now(UTC).timestamp()
        taken = set()
        with self._transaction() as connection:
            for partition in partitions:
                cursor = connection.execute(
                    "INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT (partition) DO UPDATE SET worker = excluded.worker, "
                    "until = excluded.until WHERE until < ? OR worker = excluded.worker",
                    (str(partition), worker, now + lease_s, now),
                )
                if cursor.rowcount == 1:
                    taken.add(partition)
        return taken

    def holders(self) -> list[str]:
        """The workers that hold claims now."""
        with self._lock:
            return [row[0] for row in self._connection.execute("SELECT DISTINCT worker FROM claims")]

    def release(self, worker: str) -> None:
        """Give back everything `worker` still holds."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM claims WHERE worker = ?", (worker,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _entry(row: tuple[object, ...]) -> Entry:
    text = [None if one is None else str(one) for one in row]
    return Entry(
        partition=Partition.parse(str(row[0])),
        state=cast(State, text[1]),
        at=datetime.fromtimestamp(float(str(row[2])), UTC),
        worker=str(row[3]),
        attempt=int(str(row[4])),
        rows=None if row[5] is None else int(str(row[5])),
        digest=text[6],
        block=None if row[7] is None else int(str(row[7])),
        cursor=text[8],
        reason=text[9],
        error=text[10],
    )


def _refused(error: Exception, path: Path) -> Stop:
    if "full" in str(error):
        return Stop(f"the disk is full at {path.parent}; free space or set --data, then run the same command again")
    return Stop(f"the ledger {path} cannot be used ({error}); check the folder's permissions or set --data")
