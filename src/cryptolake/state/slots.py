"""What became of every slot of the schedule. SQLite in WAL mode, whole after `kill -9`; one row per job and slot.

What does not belong here: when a slot is due (flow.schedule) and what is done about a failed one (flow.scheduler).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from cryptolake.errors import Stop
from cryptolake.state.look import look_at, may_change

# started: at work, or killed at it; done: finished; failed: will be tried again; given_up: failed too often.
SlotState = Literal["started", "done", "failed", "given_up"]
_COLUMNS = "job, slot, state, attempts, at, note"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (job TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slots (
  job TEXT NOT NULL, slot REAL NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, at REAL NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (job, slot)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unsettled ON slots (job, slot) WHERE state IN ('started', 'failed');
"""


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One slot: its state, how often it was tried, when it last changed (aware UTC), and one line about the outcome."""

    job: str
    slot: datetime
    state: SlotState
    attempts: int
    at: datetime
    note: str


class Slots:
    """The slot journal at `path`, made when absent; where nothing may be written it is read as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not may_change(path):
                self._connection = look_at(path, lambda empty: empty.executescript(_SCHEMA))
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._refused(error) from None

    def since(self, job: str, now: datetime) -> datetime:
        """When the job was first seen; `now` is kept as that instant the first time."""
        found = self._connection.execute("SELECT since FROM jobs WHERE job = ?", (job,)).fetchone()
        if found is not None:
            return _instant(found[0])
        with self._transaction() as connection:
            connection.execute("INSERT INTO jobs VALUES (?, ?) ON CONFLICT DO NOTHING", (job, now.timestamp()))
            (at,) = connection.execute("SELECT since FROM jobs WHERE job = ?", (job,)).fetchone()
        return _instant(at)

    def last(self, job: str) -> datetime | None:
        """The latest slot that was ever begun."""
        (slot,) = self._connection.execute("SELECT max(slot) FROM slots WHERE job = ?", (job,)).fetchone()
        return None if slot is None else _instant(slot)

    def rows(self, job: str) -> list[SlotRow]:
        """The job's slots in order."""
        found = self._connection.execute(f"SELECT {_COLUMNS} FROM slots WHERE job = ? ORDER BY slot", (job,))
        return [_row(one) for one in found]

    def unsettled(self, job: str) -> list[SlotRow]:
        """The slots that were begun or failed, and are to be covered again."""
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM slots WHERE job = ? AND state IN ('started', 'failed') ORDER BY slot", (job,)
        )
        return [_row(one) for one in found]

    def latest(self, job: str) -> SlotRow | None:
        """The latest slot's row."""
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM slots WHERE job = ? ORDER BY slot DESC LIMIT 1", (job,)
        ).fetchone()
        return None if found is None else _row(found)

    def counts(self, job: str) -> dict[str, int]:
        """The job's slots by state."""
        return dict(
            self._connection.execute(
                "SELECT state, count(*) FROM slots WHERE job = ? GROUP BY state", (job,)
            ).fetchall()
        )

    def begin(self, job: str, slots: Sequence[datetime], now: datetime) -> None:
        """Note that the slots are being worked on; counts an attempt for each. A settled slot is never begun again."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO slots VALUES (?, ?, 'started', 1, ?, '') ON CONFLICT (job, slot) DO UPDATE SET "
                "state = 'started', attempts = attempts + 1, at = excluded.at WHERE state IN ('started', 'failed')",
                [(job, slot.timestamp(), now.timestamp()) for slot in slots],
            )

    def settle(self, job: str, slots: Sequence[datetime], state: SlotState, now: datetime, note: str) -> None:
        """Note how the work on the slots ended; all in one transaction."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE slots SET state = ?, at = ?, note = ? WHERE job = ? AND slot = ? AND state = 'started'",
                [(state, now.timestamp(), note, job, slot.timestamp()) for slot in slots],
            )

    def forget_after(self, job: str, limit: datetime) -> int:
        """Drop what was noted for instants after `limit` (the clock had run ahead); says how many slots."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET since = ? WHERE job = ? AND since > ?", (limit.timestamp(), job, limit.timestamp())
            )
            return connection.execute("DELETE FROM slots WHERE job = ? AND slot > ?", (job, limit.timestamp())).rowcount

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # else SQLite ended it itself, and that cause is the one to tell
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> Stop:
        return Stop(
            f"the schedule's journal {self._path} cannot be used ({error}); check the folder and its free space"
        )


def _instant(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def _row(found: tuple[str, float, str, int, float, str]) -> SlotRow:
    job, slot, state, attempts, at, note = found
    return SlotRow(job, _instant(slot), cast(SlotState, state), attempts, _instant(at), note)
