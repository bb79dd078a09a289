"""One statement asked of PostgreSQL and its answer: read only, undone at the end, bounded in time and memory.

What does not belong here: whose login asks (connection for our own statements, reader for what a person typed).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import polars as pl
import psycopg

from cryptolake.errors import BadInput, Stop
from cryptolake.publish.answers import answer_frame
from cryptolake.publish.session import one_line

TIMEOUT_S = 300  # a statement that runs longer is cancelled
_ANSWER_B = 2 * 1024**3  # an answer that takes more of our memory is given up
_CHUNK = 1_000  # rows fetched at a time


def answer(connection: psycopg.Connection, statement: str, values: Sequence[object] = ()) -> pl.DataFrame:
    """The answer to one statement; `values` fill its `%s`. Nothing it did remains.

    It goes by the extended protocol, in which the server itself refuses a second statement. Raises BadInput with the
    server's own words, Stop when the connection breaks.
    """
    try:
        text = statement.encode()
    except UnicodeEncodeError:
        raise BadInput("the statement is no UTF-8 text; write it in UTF-8") from None
    if b"\0" in text:  # the driver would send what stands before it
        raise BadInput("the statement holds a NUL character; leave it out")
    try:
        with connection.transaction(force_rollback=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_S * 1000}")
            return answer_frame(*_fetched(cursor, text, values or None))
    except psycopg.errors.QueryCanceled:
        raise BadInput(f"the query ran longer than {TIMEOUT_S} s; ask for less") from None
    except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege) as error:
        raise BadInput(
            f"queries may only read, and only this project's tables ({one_line(error)}); "
            "use the pull and backfill commands to change data"
        ) from None
    except psycopg.errors.SyntaxError as error:
        # The only syntax error that has no place in the text is the one about several statements.
        several = error.diag.statement_position is None
        remedy = "give one statement at a time" if several else "correct the statement"
        raise BadInput(f"SQL: {one_line(error)}; {remedy}") from None
    except psycopg.Error as error:
        if connection.broken:
            raise Stop(f"the connection to PostgreSQL broke ({one_line(error)}); run the same command again") from None
        too_much = (error.sqlstate or "").startswith(("53", "54"))  # no memory or disk left, or a limit of the server
        raise BadInput(f"SQL: {one_line(error)}; {'ask for less' if too_much else 'correct the statement'}") from None


def _fetched(
    cursor: psycopg.Cursor, text: bytes, values: Sequence[object] | None
) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows."""
    rows: list[tuple[object, ...]] = []
    held = 0
    size = _CHUNK if psycopg.capabilities.has_stream_chunked() else 1
    try:
        for row in cursor.stream(text, values, size=size):
            rows.append(row)
            held += sum(map(sys.getsizeof, row))
            if held > _ANSWER_B:
                raise BadInput("the answer takes more than 2 GiB of memory; ask for fewer rows or columns")
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:  # the driver's own word: a command without rows, or COPY
            raise BadInput("the statement answers no rows; write a SELECT") from None
        raise
    if not rows:  # a stream of no rows does not tell their names; the same statement, again alone, does
        cursor.execute(text, values, prepare=True)
        rows = cursor.fetchall()
    return [column.name for column in cursor.description or ()], rows
