"""Budgets in PostgreSQL: one row per account holds its limiter, one per purpose what was spent, over all machines in sum.

What does not belong here: which account has which limit (registry), and what a limiter does with its row (budget_limiter).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from cryptolake.errors import BadInput, Retry, Stop
from cryptolake.waiting import pause

T = TypeVar("T")
_CONNECTIONS = 4  # per process; an account uses one at a time
_PATIENCE_S = 20.0  # how long a server that went away is waited for
_SILENT = "the rate budgets in PostgreSQL do not answer; check DATABASE_URL and run again"
_SETUP = (
    # No table of results but a counter: rows are rewritten in place, so pages keep room for that.
    "CREATE TABLE IF NOT EXISTS rate_budgets (account text PRIMARY KEY, full_at float8 NOT NULL, used float8 NOT NULL, "
    "month int NOT NULL) WITH (fillfactor = 50)",
    "ALTER TABLE rate_budgets ADD COLUMN IF NOT EXISTS state bytea",
    "ALTER TABLE rate_budgets SET (toast_tuple_target = 8160)",
    "COMMENT ON TABLE rate_budgets IS 'What each account''s limiter knows (state; its clock is this server''s), when all that "
    "was granted will have been earned (seconds since 1970 on this server), and the units granted this month (UTC). Accounts "
    "are digests of keys.'",
    "CREATE TABLE IF NOT EXISTS spending (purpose text PRIMARY KEY, calls float8 NOT NULL DEFAULT 0, "
    "units float8 NOT NULL DEFAULT 0, usd float8 NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now()) "
    "WITH (fillfactor = 50)",
    "COMMENT ON TABLE spending IS 'What was spent on chains'' endpoints by run, month, and month and provider (UTC).'",
    "DELETE FROM spending WHERE at < now() - interval '40 days'",
)
_LOCK = "SELECT state, used, month FROM rate_budgets WHERE account = %(account)s FOR UPDATE"
_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"  # a statement of its own: read when the row is locked
_BEGIN_ROW = "INSERT INTO rate_budgets VALUES (%(account)s, 0, 0, 0) ON CONFLICT DO NOTHING"
_KEEP = """UPDATE rate_budgets SET state = %(state)s, full_at = %(full_at)s, used = %(used)s, month = %(month)s
WHERE account = %(account)s"""
_OPEN = "INSERT INTO spending (purpose) SELECT unnest(%(purposes)s::text[]) ON CONFLICT DO NOTHING"
_HELD = "SELECT purpose, calls, units, usd FROM spending WHERE purpose = ANY(%(purposes)s) ORDER BY purpose FOR UPDATE"
_SPEND = """UPDATE spending SET calls = calls + %(calls)s, units = units + %(units)s, usd = usd + %(usd)s, at = now()
WHERE purpose = ANY(%(purposes)s)"""


@dataclass(slots=True)
class AccountRow:
    """What an account's row holds: its limiter's bytes (none yet: empty), the units of a month (YYYYMM), and how far this
    server's clock is ahead of this process's monotonic one, in seconds.
    """

    account: str
    state: bytes
    used: float
    month: int
    ahead_s: float
    kept: dict[str, object] | None = None

    def keep(self, state: bytes, full_at: float, used: float, month: int) -> None:
        """Let the row hold this at the end of its block."""
        self.kept = {"account": self.account, "state": state, "full_at": full_at, "used": used, "month": month}


class Budgets:
    """The table of budgets at `database_url`; thread-safe. Opens connections when first needed. Raises Stop or BadInput."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._idle: queue.LifoQueue[psycopg.Connection | None] = queue.LifoQueue()
        for _ in range(_CONNECTIONS):
            self._idle.put(None)
        try:
            with self._session() as connection, connection.transaction():
                # Two first openers would collide in CREATE TABLE IF NOT EXISTS.
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('cryptolake rate_budgets'))")
                for statement in _SETUP:
                    connection.execute(statement)
        except psycopg.ProgrammingError as error:
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                raise Stop("PostgreSQL refuses the table rate_budgets; grant CREATE on the schema") from None
            raise BadInput("DATABASE_URL is no PostgreSQL URL; write postgresql://user:password@host:5432/db") from None
        except psycopg.OperationalError:
            raise Stop("the rate budgets in PostgreSQL cannot be reached; check DATABASE_URL") from None

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        """A connection for one statement; a broken one is not given back."""
        connection = self._idle.get()
        try:
            if connection is None or connection.closed:
                # A lost counter costs at most a burst after a crash of the server, so commits need not wait for the disk.
                options = "-c timezone=UTC -c synchronous_commit=off"
                connection = psycopg.connect(self._url, connect_timeout=10, autocommit=True, options=options)
            yield connection
        except psycopg.OperationalError:
            if connection is not None:
                connection.close()
            connection = None
            raise
        finally:
            self._idle.put(connection)

    def reach(self) -> None:
        """Raise Retry unless the server answers within a while."""

        def once() -> None:
            with self._session() as connection:
                connection.execute("SELECT 1")

        self.patiently(once)

    @contextmanager
    def row(self, account: str) -> Iterator[AccountRow]:
        """The row of an account, nobody else's until the end of the block; `keep` of it is done then.

        Raises Retry without the server, OperationalError when it goes away before the end: `patiently` does all of it again.
        """
        with ExitStack() as stack:
            connection, row = self.patiently(lambda: self._locked(stack, account))
            try:
                yield row
            except BaseException:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
                raise
            with connection.pipeline():
                if row.kept is not None:
                    connection.execute(_KEEP, row.kept)
                connection.execute("COMMIT")

    def _locked(self, stack: ExitStack, account: str) -> tuple[psycopg.Connection, AccountRow]:
        """A connection in a transaction that holds the row, in one trip to the server; `stack` gives it back."""
        with ExitStack() as mine:
            connection = mine.enter_context(self._session())
            while True:
                with connection.pipeline():
                    connection.execute("BEGIN")
                    found = connection.execute(_LOCK, {"account": account})
                    clock = connection.execute(_NOW)
                at = time.monotonic()
                stored, now = found.fetchone(), clock.fetchone()
                if stored is not None and now is not None:
                    break
                connection.execute(_BEGIN_ROW, {"account": account})
                connection.execute("COMMIT")
            stack.push(mine.pop_all())
        return connection, AccountRow(
            account, bytes(stored[0] or b""), float(stored[1]), int(stored[2]), float(now[0]) - at
        )

    def patiently(self, work: Callable[[], T]) -> T:
        """Do some work again while the server is away, for a while. Raises Retry."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return work()
            except psycopg.OperationalError:
                # Never go on without the budget: others count on it.
                if time.monotonic() > deadline:
                    raise Retry(_SILENT) from None
                pause(0.2, "PostgreSQL")

    def spend(
        self,
        purposes: Sequence[str],
        spent: tuple[float, float, float],
        decide: Callable[[Mapping[str, tuple[float, float, float]]], T | None],
    ) -> T | None:
        """Add calls, units and dollars to every purpose unless `decide` objects to what they hold; its objection, or None.

        `purposes` are sorted, so that two who spend wait for each other instead of locking each other out. Raises Retry.
        """
        values = {"purposes": list(purposes), "calls": spent[0], "units": spent[1], "usd": spent[2]}

        def once() -> T | None:
            with self._session() as connection, connection.transaction():
                connection.execute(_OPEN, values)
                held = {name: (calls, units, usd) for name, calls, units, usd in connection.execute(_HELD, values)}
                if (objection := decide(held)) is None:
                    connection.execute(_SPEND, values)
                return objection

        return self.patiently(once)

    def close(self) -> None:
        """Close every connection."""
        for _ in range(_CONNECTIONS):
            connection = self._idle.get()
            if connection is not None:
                connection.close()
            self._idle.put(None)
