"""The ledger's file layout: entries as they came, the latest per partition, and a tally per series, all in one transaction.

What does not belong here: reading and writing entries (ledger). A file of an older layout is brought up to date in place.
"""

from __future__ import annotations

import sqlite3
import time

from cryptolake.contracts.entry import SUSPECT
from cryptolake.waiting import poll

COLUMNS = "partition, state, at, worker, attempt, rows, digest, block, cursor, reason, error, grade"
VERSION = 3

# SQLite uses the partial index of the same name for a question that has this condition word for word.
UNSETTLED = f"(state IN ('failed', 'claimed', 'landed') OR reason = '{SUSPECT}')"

_KEPT = """state TEXT NOT NULL, at REAL NOT NULL, worker TEXT NOT NULL, attempt INTEGER NOT NULL, rows INTEGER, digest TEXT,
  block INTEGER, cursor TEXT, reason TEXT, error TEXT, grade TEXT"""
# A series is `dataset/key/`: the partition's text without its period, which is made of these characters only.
_SERIES = "rtrim({0}, '0123456789-T@ny')"

_TABLES = (
    f"CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, partition TEXT NOT NULL, {_KEPT})",
    f"CREATE TABLE IF NOT EXISTS latest (partition TEXT PRIMARY KEY, {_KEPT}) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS claims (partition TEXT PRIMARY KEY, worker TEXT NOT NULL, until REAL NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tally (series TEXT NOT NULL, state TEXT NOT NULL, count INTEGER NOT NULL,"
    " PRIMARY KEY (series, state)) WITHOUT ROWID",
    "DROP INDEX IF EXISTS unsettled",
    f"CREATE INDEX unsettled ON latest (state) WHERE {UNSETTLED}",
)
_FOLD = (
    "DROP TRIGGER IF EXISTS fold",
    f"""CREATE TRIGGER fold AFTER INSERT ON entries BEGIN
  UPDATE tally SET count = count - 1 WHERE series = {_SERIES.format("NEW.partition")}
    AND state = (SELECT state FROM latest WHERE partition = NEW.partition);
  INSERT INTO tally VALUES ({_SERIES.format("NEW.partition")}, NEW.state, 1)
    ON CONFLICT (series, state) DO UPDATE SET count = count + 1;
  INSERT OR REPLACE INTO latest ({COLUMNS}) VALUES (NEW.partition, NEW.state, NEW.at, NEW.worker, NEW.attempt, NEW.rows,
    NEW.digest, NEW.block, NEW.cursor, NEW.reason, NEW.error, NEW.grade);
END""",
)
_TALLY = (
    "DELETE FROM tally",
    f"INSERT INTO tally SELECT {_SERIES.format('partition')}, state, count(*) FROM latest GROUP BY 1, 2",
)


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the layout in a file that has none."""
    for statement in (*_TABLES, *_FOLD):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def prepare(connection: sqlite3.Connection) -> None:
    """Make the layout, or bring an older one up to date. Several first openers take turns."""
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    if connection.execute("PRAGMA user_version").fetchone()[0] >= VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            for table in ("entries", "latest"):
                columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
                if columns and "grade" not in columns:  # until version 2
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN grade TEXT")
            for statement in (*_TABLES, *_FOLD, *_TALLY):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have ended it itself, e.g. on a full disk; that cause is the one to tell.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def rebuild(connection: sqlite3.Connection) -> int:
    """Fold all entries again, inside the caller's transaction; how many partitions had another latest entry before."""
    connection.execute(
        f"CREATE TEMP TABLE folded AS SELECT {COLUMNS} FROM entries WHERE number IN"
        " (SELECT max(number) FROM entries GROUP BY partition)"
    )
    same = " AND ".join(f"l.{name} IS f.{name}" for name in ("state", "digest", "attempt"))
    wrong = connection.execute(
        f"SELECT (SELECT count(*) FROM folded f LEFT JOIN latest l USING (partition) WHERE NOT ({same}))"
        " + (SELECT count(*) FROM latest WHERE partition NOT IN (SELECT partition FROM folded))"
    ).fetchone()[0]
    for statement in (
        "DELETE FROM latest",
        f"INSERT INTO latest ({COLUMNS}) SELECT {COLUMNS} FROM folded",
        "DROP TABLE folded",
        *_TALLY,
    ):
        connection.execute(statement)
    return int(wrong)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL once. SQLite does not wait for a busy file here, so several first openers take turns by hand."""
    deadline = time.monotonic() + 60
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            poll()
