"""The ledger: the only record of progress. Append-only entries and, kept in the same transaction, the latest per partition.

SQLite in WAL mode: many readers and writers, threads and processes of one machine, whole after `kill -9`. What does not
belong here: deciding what to do about an entry.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cryptolake.contracts.entry import SUSPECT, Entry, State
from cryptolake.contracts.partition import Boundary, Partition
from cryptolake.errors import Stop
from cryptolake.state.ledger_schema import COLUMNS, UNSETTLED, VERSION, lay_out, prepare, rebuild
from cryptolake.state.look import look_at, may_change

_SETTLED = "('done', 'empty', 'gone')"
_STANDS = f"(state IN {_SETTLED} AND reason IS NOT '{SUSPECT}')"


class Ledger:
    """The ledger file at `path`, made when absent. Thread-safe; several processes may use one file.

    `redact` takes secrets out of a source's words before they are kept or told. Where the file may not be written it is
    read as it is, anew for every question, and what would change it raises Stop.
    """

    def __init__(self, path: Path, *, redact: Callable[[str], str] = str) -> None:
        self._lock = threading.RLock()
        self.redact = redact
        self._path = path
        self._written: sqlite3.Connection | None = None
        if not may_change(path):
            self._require_layout()
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._written = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            prepare(self._written)
        except (sqlite3.Error, OSError) as error:
            raise _refused(error, path) from None

    def _require_layout(self) -> None:
        if int(str(self._rows("PRAGMA user_version")[0][0])) < VERSION:
            raise Stop(
                f"the ledger {self._path} is of an older version and cannot be brought up to date where nothing may be "
                "written; run `cryptolake ledger inspect` once as its owner"
            )

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        if self._written is not None:
            yield self._written
        else:
            with closing(look_at(self._path, lay_out)) as connection:
                yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._written is None:
            raise Stop(f"the ledger {self._path} cannot be written; check the folder's permissions or set --data")
        with self._lock:
            try:
                self._written.execute("BEGIN IMMEDIATE")
                yield self._written
                self._written.execute("COMMIT")
            except sqlite3.Error as error:
                if self._written.in_transaction:
                    self._written.execute("ROLLBACK")
                raise _refused(error, self._path) from None

    def append(self, entry: Entry) -> None:
        """Add one entry; durable when this returns, as far as the operating system survives."""
        self.append_many([entry])

    def append_many(self, entries: Iterable[Entry]) -> None:
        """Add entries in one transaction. A settled or failed partition is no longer claimed."""
        rows = [_row(entry) for entry in entries]
        with self._transaction() as connection:
            connection.executemany(f"INSERT INTO entries ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
            ended = [(row[0],) for row in rows if row[1] not in {"claimed", "landed"}]
            connection.executemany("DELETE FROM claims WHERE partition = ?", ended)

    def amend(self, entries: Iterable[Entry]) -> None:
        """Say more of answers that are recorded already, in one transaction; what was recorded anew meanwhile is left alone."""
        rows = [(*_row(entry), str(entry.partition), entry.digest, entry.at.timestamp()) for entry in entries]
        with self._transaction() as connection:
            connection.executemany(
                f"INSERT INTO entries ({COLUMNS}) SELECT ?,?,?,?,?,?,?,?,?,?,?,? WHERE EXISTS"
                " (SELECT 1 FROM latest WHERE partition = ? AND digest = ? AND at = ?)",
                rows,
            )

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                with self._read() as connection:
                    return connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise _refused(error, self._path) from None

    def state(self, partition: Partition) -> Entry | None:
        """The latest entry of a partition."""
        rows = self._rows(f"SELECT {COLUMNS} FROM latest WHERE partition = ?", (str(partition),))
        return _entry(rows[0]) if rows else None

    def history(self, partition: Partition) -> list[Entry]:
        """Everything that ever happened to a partition, oldest first. Reads all entries: for people, not for runs."""
        rows = self._rows(f"SELECT {COLUMNS} FROM entries WHERE partition = ? ORDER BY number", (str(partition),))
        return [_entry(row) for row in rows]

    def of(self, partitions: Collection[Partition]) -> dict[Partition, Entry]:
        """The latest entry of each of these partitions that has one. Asks for them alone, however long the ledger is."""
        texts = [str(partition) for partition in partitions]
        rows: list[tuple[object, ...]] = []
        for start in range(0, len(texts), 500):
            some = texts[start : start + 500]
            marks = ",".join("?" * len(some))
            rows += self._rows(f"SELECT {COLUMNS} FROM latest WHERE partition IN ({marks})", some)
        return {entry.partition: entry for entry in map(_entry, rows)}

    def states(self, dataset: str | None = None) -> dict[Partition, Entry]:
        """The latest entry of every partition, of one dataset or of all. Reads everything: for small ledgers and exports."""
        low, high = (f"{dataset}/", f"{dataset}0") if dataset else ("", "\U0010ffff")
        rows = self._rows(
            f"SELECT {COLUMNS} FROM latest WHERE partition >= ? AND partition < ? ORDER BY partition", (low, high)
        )
        entries = (_entry(row) for row in rows)
        return {entry.partition: entry for entry in entries}

    def series(self, dataset: str, key: str, first: str = "", last: str = "~") -> list[Entry]:
        """The latest entries of a series, in order of period; `first` and `last` bound the periods' text, both included.

        A day as `last` includes its hours.
        """
        series = f"{dataset}/{key}/"
        return [
            _entry(row)
            for row in self._rows(
                f"SELECT {COLUMNS} FROM latest WHERE partition >= ? AND partition <= ? ORDER BY partition",
                (series + first, f"{series}{last}~"),
            )
        ]

    def states_of_series(self, dataset: str, key: str, first: str, last: str) -> list[tuple[str, State, str | None]]:
        """Period text, state and reason of a series between two days, both included; quicker than whole entries."""
        series = f"{dataset}/{key}/"
        rows = self._rows(
            "SELECT substr(partition, ?), state, reason FROM latest WHERE partition >= ? AND partition <= ?",
            (len(series) + 1, series + first, f"{series}{last}~"),
        )
        return cast(list[tuple[str, State, str | None]], rows)

    def absences(self, dataset: str, key: str) -> list[tuple[str, str]]:
        """Period text and words of what a series is said not to have been deployed for."""
        series = f"{dataset}/{key}/"
        rows = self._rows(
            "SELECT substr(partition, ?), ifnull(error, '') FROM latest WHERE partition >= ? AND partition < ?"
            " AND state = ? AND reason = ?",
            (len(series) + 1, series, f"{series}~", "gone", "not_deployed"),
        )
        return [(str(period), str(words)) for period, words in rows]

    def oldest(self, dataset: str, key: str, states: Sequence[State]) -> str | None:
        """Period text of the oldest of a series that is in one of these states."""
        series, marks = f"{dataset}/{key}/", ",".join("?" * len(states))
        rows = self._rows(
            "SELECT min(substr(partition, ?)) FROM latest WHERE partition >= ? AND partition < ?"
            f" AND state IN ({marks})",
            (len(series) + 1, series, f"{series}~", *states),
        )
        return None if rows[0][0] is None else str(rows[0][0])

    def newest(self, dataset: str, key: str) -> Entry | None:
        """The latest entry of a series' newest period, whatever its state."""
        series = f"{dataset}/{key}/"
        rows = self._rows(
            f"SELECT {COLUMNS} FROM latest WHERE partition > ? AND partition < ? ORDER BY partition DESC LIMIT 1",
            (series, f"{series}~"),
        )
        return _entry(rows[0]) if rows else None

    def boundary(self, datasets: Collection[str]) -> Boundary | None:
        """Where the days of these datasets begin, by the newest of any series; None where no day was ever asked for."""
        for dataset, key in sorted(self.tally()):
            newest = self.newest(dataset, key) if dataset in datasets else None
            if newest is not None and newest.partition.period.granularity == "day":
                return newest.partition.period.boundary
        return None

    def settled_periods(self, dataset: str, key: str) -> set[str]:
        """The periods of a series that stand, as text: what a resumed run compares its wishes with."""
        series = f"{dataset}/{key}/"
        rows = self._rows(
            f"SELECT substr(partition, ?) FROM latest WHERE partition >= ? AND partition < ? AND {_STANDS}",
            (len(series) + 1, series, f"{series}~"),
        )
        return {str(name) for (name,) in rows}

    def settled(self, dataset: str, key: str) -> dict[str, str | None]:
        """Period text to digest of everything settled in a series."""
        series = f"{dataset}/{key}/"
        rows = self._rows(
            "SELECT substr(partition, ?), digest FROM latest WHERE partition >= ? AND partition < ?"
            f" AND state IN {_SETTLED}",
            (len(series) + 1, series, f"{series}~"),
        )
        return cast(dict[str, str | None], dict(rows))  # type: ignore[arg-type]  # two text columns

    def edge(self, dataset: str, key: str, *, newest: bool = True) -> Iterator[Entry]:
        """Settled entries of a series from the newest period backwards, or from the oldest forwards, a few at a time."""
        series, order = f"{dataset}/{key}/", "DESC" if newest else "ASC"
        low, high = series, f"{series}~"
        while True:
            rows = self._rows(
                f"SELECT {COLUMNS} FROM latest WHERE partition > ? AND partition < ? AND state IN {_SETTLED}"
                f" ORDER BY partition {order} LIMIT 64",
                (low, high),
            )
            yield from (_entry(row) for row in rows)
            if len(rows) < 64:
                return
            low, high = (low, str(rows[-1][0])) if newest else (str(rows[-1][0]), high)

    def unsettled(self, state: State | None = None, limit: int = -1) -> list[Entry]:
        """Entries that do not stand (failed, claimed, landed, suspect), or of one of these states; at most `limit`."""
        return [
            _entry(row)
            for row in self._rows(
                f"SELECT {COLUMNS} FROM latest WHERE {UNSETTLED} AND (? IS NULL OR state = ?) LIMIT ?",
                (state, state, limit),
            )
        ]

    def failures(self) -> list[tuple[int, Entry]]:
        """Failed partitions by reason, most frequent first: how many, and the newest of them."""
        rows = self._rows(  # SQLite takes the other columns from the row of the maximum
            f"SELECT {COLUMNS}, count(*), max(at) FROM latest WHERE {UNSETTLED} AND state = 'failed'"
            " GROUP BY reason ORDER BY 13 DESC"
        )
        return [(int(str(row[12])), _entry(row[:12])) for row in rows]

    def counts(self) -> dict[str, int]:
        """Partitions by state."""
        rows = self._rows("SELECT state, sum(count) FROM tally GROUP BY state HAVING sum(count) > 0")
        return {str(state): int(str(count)) for state, count in rows}

    def tally(self) -> dict[tuple[str, str], dict[str, int]]:
        """Partitions by state for every (dataset, key)."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for series, state, count in self._rows("SELECT series, state, count FROM tally WHERE count > 0"):
            dataset, key, _ = str(series).split("/")
            found.setdefault((dataset, key), {})[str(state)] = int(str(count))
        return found

    def newest_answer(self) -> datetime | None:
        """When a partition got its final state last; None in an empty ledger."""
        rows = self._rows(
            "SELECT at FROM (SELECT at, state FROM entries ORDER BY number DESC LIMIT 200000)"
            f" WHERE state IN {_SETTLED} LIMIT 1"
        )
        return datetime.fromtimestamp(float(str(rows[0][0])), UTC) if rows else None

    def datasets_ending_in(self, reason: str) -> set[str]:
        """The datasets whose newest entry failed for this reason."""
        rows = self._rows(  # SQLite takes the other columns from the row of the maximum
            "SELECT substr(partition, 1, instr(partition, '/') - 1) AS dataset, reason, max(at) FROM latest GROUP BY 1"
        )
        return {str(dataset) for dataset, found, _ in rows if found == reason}

    def pace(self, since: datetime, step_s: float, most: int = 100_000) -> dict[int, int]:
        """Final answers per step of so many seconds since then, by the step's number; looks `most` entries back."""
        rows = self._rows(
            "SELECT CAST((at - ?) / ? AS INTEGER), count(*) FROM"
            " (SELECT at, state FROM entries ORDER BY number DESC LIMIT ?)"
            " WHERE at >= ? AND state NOT IN ('claimed', 'landed') GROUP BY 1",
            (since.timestamp(), step_s, most, since.timestamp()),
        )
        return {int(str(step)): int(str(count)) for step, count in rows}

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
        return [str(row[0]) for row in self._rows("SELECT DISTINCT worker FROM claims")]

    def claims(self) -> list[tuple[str, int, datetime]]:
        """Who holds how many claims, and until when at the latest."""
        rows = self._rows("SELECT worker, count(*), max(until) FROM claims GROUP BY worker ORDER BY worker")
        return [(str(w), int(str(n)), datetime.fromtimestamp(float(str(until)), UTC)) for w, n, until in rows]

    def renew(self, worker: str, lease_s: float) -> None:
        """Hold what `worker` still holds for another `lease_s` seconds from now."""
        with self._transaction() as connection:
            until = datetime.now(UTC).timestamp() + lease_s
            connection.execute("UPDATE claims SET until = ? WHERE worker = ?", (until, worker))

    def release(self, worker: str) -> None:
        """Give back everything `worker` still holds."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM claims WHERE worker = ?", (worker,))

    def sign(self, worker: str) -> Path:
        """The lock file by which a worker of this ledger shows that it lives."""
        return self._path.parent / "claims" / f"{worker.replace(':', '-')}.lock"

    def fault(self) -> str | None:
        """What SQLite says is wrong with the file; None when it is sound."""
        rows = self._rows("PRAGMA quick_check(1)")
        return None if rows == [("ok",)] else str(rows[0][0])

    def rebuild_latest(self) -> int:
        """Make latest entries and tally from the entries again; how many partitions had been wrong."""
        with self._transaction() as connection:
            return rebuild(connection)

    def size(self) -> tuple[int, int]:
        """Entries ever appended, and bytes of the file."""
        return int(str(self._rows("SELECT ifnull(max(number), 0) FROM entries")[0][0])), _size(self._path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._written is not None:
                self._written.close()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


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
        grade=text[11],
    )


def _refused(error: Exception, path: Path) -> Stop:
    if "full" in str(error):
        return Stop(f"the disk is full at {path.parent}; free space or set --data, then run the same command again")
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return Stop(
            f"the ledger {path} is damaged ({error}); run `cryptolake ledger repair`, which puts it aside and makes it anew "
            "from the answers that are kept"
        )
    return Stop(f"the ledger {path} cannot be used ({error}); check the folder's permissions or set --data")


def _row(entry: Entry) -> tuple[object, ...]:
    """An entry in the order of `COLUMNS`."""
    return (
        str(entry.partition),
        entry.state,
        entry.at.timestamp(),
        entry.worker,
        entry.attempt,
        entry.rows,
        entry.digest,
        entry.block,
        entry.cursor,
        entry.reason,
        entry.error,
        entry.grade,
    )
