"""Budgets in PostgreSQL: one row per account holds its rate, one per purpose what was spent, over all machines in sum.

What does not belong here: which account has which limit (registry) and how a limiter is used (net).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from cryptolake.errors import BadInput, CryptolakeError, Retry, Stop
from cryptolake.net.limiter import SHARE, Limiter, Place
from cryptolake.waiting import pause, turn

T = TypeVar("T")
_CONNECTIONS = 4  # per process; an account uses one at a time
_PATIENCE_S = 20.0  # how long a server that went away is waited for
_NOW = "extract(epoch FROM clock_timestamp())::float8"
_MONTH = "to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')::int"
# `clock_timestamp()` is read while the row is locked. A value more than ten minutes ahead comes from a server clock that
# was set back, not from a queue.
_FROM = f"least(greatest(b.full_at, {_NOW}), {_NOW} + 600)"
_SETUP = (
    # No table of results but a counter: rows are rewritten in place, so pages keep room for that.
    "CREATE TABLE IF NOT EXISTS rate_budgets (account text PRIMARY KEY, full_at float8 NOT NULL, used float8 NOT NULL, "
    "month int NOT NULL) WITH (fillfactor = 50)",
    "COMMENT ON TABLE rate_budgets IS 'When everything granted to an account so far will have been earned (seconds since "
    "1970 on this server), and the units granted this month (UTC). Accounts are digests of keys.'",
    "CREATE TABLE IF NOT EXISTS spending (purpose text PRIMARY KEY, calls float8 NOT NULL DEFAULT 0, "
    "units float8 NOT NULL DEFAULT 0, usd float8 NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now()) "
    "WITH (fillfactor = 50)",
    "COMMENT ON TABLE spending IS 'What was spent on chains'' endpoints by run, month, and month and provider (UTC).'",
    "DELETE FROM spending WHERE at < now() - interval '40 days'",
)
_RESERVE = f"""
INSERT INTO rate_budgets AS b VALUES (%(account)s, {_NOW} + %(step)s, %(used)s, {_MONTH})
ON CONFLICT (account) DO UPDATE SET full_at = {_FROM} + %(step)s,
  used = %(used)s + CASE WHEN b.month = excluded.month THEN b.used ELSE 0 END, month = excluded.month
RETURNING b.full_at - {_NOW}, b.used"""
_PUSH_BACK = f"""
INSERT INTO rate_budgets AS b VALUES (%(account)s, {_NOW} + %(step)s, 0, {_MONTH})
ON CONFLICT (account) DO UPDATE SET full_at = greatest(b.full_at, {_NOW} + %(step)s)"""
_OPEN = "INSERT INTO spending (purpose) SELECT unnest(%(purposes)s::text[]) ON CONFLICT DO NOTHING"
_HELD = "SELECT purpose, calls, units, usd FROM spending WHERE purpose = ANY(%(purposes)s) ORDER BY purpose FOR UPDATE"
_SPEND = """UPDATE spending SET calls = calls + %(calls)s, units = units + %(units)s, usd = usd + %(usd)s, at = now()
WHERE purpose = ANY(%(purposes)s)"""
_USED = f"SELECT used FROM rate_budgets WHERE account = %s AND month = {_MONTH}"


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

    def ask(self, statement: str, values: dict[str, object] | tuple[object, ...]) -> tuple[float, ...]:
        """The row a statement answers, or nothing; a server that went away is waited for a while. Raises Retry."""

        def once(connection: psycopg.Connection) -> tuple[float, ...]:
            cursor = connection.execute(statement.encode(), values)
            return tuple(cursor.fetchone() or ()) if cursor.description else ()

        return self._patiently(once)

    def _patiently(self, work: Callable[[psycopg.Connection], T]) -> T:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                with self._session() as connection:
                    return work(connection)
            except psycopg.OperationalError:
                # Never go on without the budget: others count on it. A reservation lost on the way costs its units only.
                if time.monotonic() > deadline:
                    raise Retry(
                        "the rate budgets in PostgreSQL do not answer; check DATABASE_URL and run again"
                    ) from None
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

        def once(connection: psycopg.Connection) -> T | None:
            with connection.transaction():
                connection.execute(_OPEN, values)
                held = {name: (calls, units, usd) for name, calls, units, usd in connection.execute(_HELD, values)}
                if (objection := decide(held)) is None:
                    connection.execute(_SPEND, values)
                return objection

        return self._patiently(once)

    def limiter(self, account: str, limit: float, cost: float = 1.0) -> Limiter:
        """A limiter for an account whose provider counts `limit` units in any second; see `net.limiter.for_limit`."""
        return BudgetLimiter(self, account, limit * SHARE, cost)

    def close(self) -> None:
        """Close every connection."""
        for _ in range(_CONNECTIONS):
            connection = self._idle.get()
            if connection is not None:
                connection.close()
            self._idle.put(None)


class _Request:
    """One thread's wish for units, until it is granted or failed."""

    __slots__ = ("ahead", "cost", "error", "used")

    def __init__(self, cost: float, used: float) -> None:
        self.cost, self.used = cost, used
        self.ahead: float | None = None
        self.error: CryptolakeError | None = None

    @property
    def settled(self) -> bool:
        return self.ahead is not None or self.error is not None


class BudgetLimiter(Limiter):
    """A limiter whose state is a row of `budgets`: the same promise as `Limiter`, over all machines.

    Threads that come while a statement is under way go together into the next one, so that neither a far server nor many
    threads make reservations the bottleneck. `backlog` and `used` are as of this process's latest reservation.
    """

    def __init__(
        self,
        budgets: Budgets,
        account: str,
        rate: float,
        burst: float = 1.0,
        *,
        sleep: Callable[[float], None] = turn,
    ) -> None:
        super().__init__(rate, burst, sleep=sleep)
        self._budgets, self._account = budgets, account
        self._changed = threading.Condition()
        self._waiting: list[_Request] = []
        self._asking = False
        self._full_at = float("-inf")  # on this process's monotonic clock
        self._used: float | None = None

    def take(self, cost: float = 1.0, *, again: bool = False, monthly: float | None = None) -> Place:
        """As `Limiter.take`, over all machines. Raises Retry without the server."""
        if monthly is not None and not again and self.used() + cost > monthly:
            raise Stop(f"the {monthly:,.0f} units of this month are used")
        mine, complaint = _Request(cost, 0.0 if again else cost), self._state.speed.complained_at
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.settled or not self._asking)
            if not mine.settled:
                self._asking, together, self._waiting = True, self._waiting, []
        if not mine.settled:
            self._reserve_together(together)
        if mine.error is not None:
            raise mine.error
        return Place(self._clock() + (mine.ahead or 0.0) - self._burst / self.rate, complaint)

    def _reserve_together(self, requests: list[_Request]) -> None:
        """One statement for all; each gets its place in the order asked."""
        rate, cost = self.rate, sum(one.cost for one in requests)
        values = {"account": self._account, "step": cost / rate, "used": sum(one.used for one in requests)}
        try:
            ahead, used = self._budgets.ask(_RESERVE, values)
        except CryptolakeError as error:
            for one in requests:
                one.error = error
        except BaseException:
            for one in requests:
                one.error = Retry("the rate budgets could not be asked; run again")
            raise
        else:
            self._full_at, self._used = self._clock() + ahead, used
            for one in reversed(requests):
                one.ahead = ahead
                ahead -= one.cost / rate
        finally:
            with self._changed:
                self._asking = False
                self._changed.notify_all()

    def backlog(self) -> float:
        """Seconds until a unit would be free, as far as this process has seen."""
        return max(0.0, self._full_at - self._clock())

    def used(self) -> float:
        """Units taken in this calendar month (UTC) by everybody, as of this process's latest reservation."""
        if self._used is None:
            found = self._budgets.ask(_USED, (self._account,))
            self._used = found[0] if found else 0.0
        return self._used

    def refused(self, sent_at: float, after_s: float | None = None) -> bool:
        """As `Limiter.refused`: nothing is granted to anybody for as long; each process learns its own rate, not above."""
        news = super().refused(sent_at, after_s)
        pause = max(0.0, self._state.speed.resumes_at - self._clock())
        if news or after_s is not None:
            self._budgets.ask(_PUSH_BACK, {"account": self._account, "step": pause + self._burst / self.rate})
            self._full_at = max(self._full_at, self._clock() + pause)
        return news
