"""`Reader`: what a person typed is asked under a login that owns nothing and may only read this project's tables.

A read-only transaction alone is not enough (a superuser's SELECT runs programs and reads files), nor is SET ROLE (the
statement may take it back). What does not belong here: the transaction of a statement (statement).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psycopg
from psycopg.conninfo import make_conninfo

from cryptolake.contracts.quoting import identifier, literal
from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.publish.session import connect, one_line
from cryptolake.publish.statement import TIMEOUT_S, answer

VARIABLE = "CRYPTOLAKE_READER_URL"
_FILE = "reader.password"
_SETS_ITERATIONS = 160000  # PostgreSQL 16, as the driver counts versions
_SETTINGS = {"default_transaction_read_only": "on", "statement_timeout": f"{TIMEOUT_S}s"}
_TEMPORARY = "4GB"  # what the sorts of one query may take of the embedded server's disk
# What every login may call, and what outlives or disturbs more than the statement that calls it. Only the embedded
# server's are taken away: a user's server is not ours to change.
_DISTURBING = r"""
SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~
  '^(lo(_|read|write).*|pg_(try_)?advisory_.*|pg_notify|pg_(cancel|terminate)_backend|pg_logical_emit_message)$'"""
_READ_ALL = ["pg_read_all_data", "pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables", "pg_monitor"]
_OUTSIDE = ["pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file", "lo_import", "lo_export"]
_UNREADABLE = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = ANY ('{r,p,v,m,f}')
  AND c.relowner = to_regrole(quote_ident(current_user)) AND NOT has_table_privilege(%s, c.oid, 'SELECT')"""
# Asked by the login itself. A statement may change to any role the login is a member of, so those count as well.
_BEYOND_READING = """
WITH mine AS (SELECT * FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')),
relations AS (
  SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^(pg_|information_schema$)')
SELECT 'is a superuser' FROM mine WHERE rolsuper
UNION ALL SELECT 'may make logins' FROM mine WHERE rolcreaterole
UNION ALL SELECT 'may make databases' FROM mine WHERE rolcreatedb
UNION ALL SELECT 'may replicate' FROM mine WHERE rolreplication
UNION ALL SELECT 'is a member of ' || rolname FROM mine WHERE rolname ~ '^pg_' AND rolname <> ALL (%(read_all)s)
UNION ALL SELECT 'owns things in this database' FROM pg_shdepend d JOIN mine ON mine.oid = d.refobjid
  JOIN pg_database b ON b.datname = current_database() AND d.dbid IN (0, b.oid)
  WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
UNION ALL SELECT 'may make schemas' FROM mine WHERE has_database_privilege(mine.oid, current_database(), 'CREATE')
UNION ALL SELECT 'may make tables in the schema ' || n.nspname FROM pg_namespace n JOIN mine
  ON has_schema_privilege(mine.oid, n.oid, 'CREATE')
UNION ALL SELECT 'may change ' || c.oid::regclass FROM relations c JOIN mine
  ON has_table_privilege(mine.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
  OR has_any_column_privilege(mine.oid, c.oid, 'INSERT, UPDATE') WHERE c.relkind = ANY ('{r,p,v,m,f}')
UNION ALL SELECT 'may change ' || c.oid::regclass FROM relations c JOIN mine
  ON CASE c.relkind WHEN 'S' THEN has_sequence_privilege(mine.oid, c.oid, 'USAGE, UPDATE') END
UNION ALL SELECT 'may call ' || p.oid::regprocedure FROM pg_proc p JOIN mine
  ON has_function_privilege(mine.oid, p.oid, 'EXECUTE') WHERE p.proname = ANY (%(outside)s)
LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks statements under a login that may only read, each in a session of its own: nothing one leaves meets the next.

    `schema` holds the tables; None is the login's default one.
    """

    url: str = field(repr=False)
    schema: str | None

    def query(self, statement: str, values: Sequence[object] = ()) -> pl.DataFrame:
        """The answer to one statement; `values` fill its `%s`.

        Raises BadInput with the server's own words, Stop when the login cannot be used or may do more than read.
        """
        # In a start option a backslash keeps a space.
        place = identifier(self.schema or "").replace("\\", "\\\\").replace(" ", "\\ ")
        settings = {**_SETTINGS, "search_path": place} if self.schema else _SETTINGS
        connection, _ = connect(self.url, variable=VARIABLE, **settings)
        with connection:
            beyond = connection.execute(_BEYOND_READING, {"read_all": _READ_ALL, "outside": _OUTSIDE}).fetchone()
            if beyond is not None:
                raise Stop(f"the login for queries {beyond[0]}, but it may only read. {_remedy(self.schema)}")
            return answer(connection, statement, values)


def make_reader(owner: psycopg.Connection, home: Path, *, embedded: bool) -> Reader:
    """The reader of the owner's current schema; its login is made when it is not there yet.

    The login's password is kept in `home`. The login is named after the password's digest, so that folders which share
    a server never take each other's away. Raises Stop where the owner may not make logins; it is never taken instead.
    """
    (schema,) = owner.execute("SELECT current_schema()").fetchone() or (None,)
    try:
        with owner.transaction():
            owner.execute("SELECT pg_advisory_xact_lock(hashtext('cryptolake reader'))")
            password = _password(home / _FILE)
            name = f"cryptolake_reader_{hashlib.sha256(password.encode()).hexdigest()[:12]}"
            if owner.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is None:
                _make_login(owner, name, password, embedded=embedded)
            _grant(owner, name, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Stop(f"no login that may only read can be made here ({one_line(error)}). {_remedy(schema)}") from None
    except psycopg.Error as error:
        raise Stop(f"the login for queries: {one_line(error)}; run the same command again") from None
    return Reader(make_conninfo(owner.info.dsn, user=name, password=password), schema)


def _password(file: Path) -> str:
    """The password kept in `file`, made when it is not there; readable by us alone. The caller holds the lock."""
    if not file.exists():
        write_bytes(file, secrets.token_urlsafe(24).encode(), mode=0o600)
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
    return file.read_text().strip()


def _make_login(owner: psycopg.Connection, name: str, password: str, *, embedded: bool) -> None:
    # Hashing again and again slows down whoever guesses a password. Nobody guesses 192 random bits, and every statement's
    # session would pay for it.
    if owner.info.server_version >= _SETS_ITERATIONS:
        owner.execute("SET LOCAL scram_iterations = 1")
    # The server is given the verifier: the password itself would stand in the log of a server that logs statements.
    verifier = owner.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statements = [
        f"CREATE ROLE {name} LOGIN NOINHERIT PASSWORD {literal(verifier)}",
        f"COMMENT ON ROLE {name} IS 'may only read; asks what people type into cryptolake'",
    ]
    settings = {**_SETTINGS, "temp_file_limit": _TEMPORARY} if embedded else _SETTINGS
    statements += [f"ALTER ROLE {name} SET {setting} = {literal(value)}" for setting, value in settings.items()]
    if embedded:
        found = owner.execute(_DISTURBING).fetchall()
        statements.append(f"REVOKE EXECUTE ON FUNCTION {', '.join(one for (one,) in found)} FROM PUBLIC")
        statements.append(f"REVOKE TEMPORARY ON DATABASE {identifier(owner.info.dbname)} FROM PUBLIC")
    for statement in statements:
        owner.execute(statement.encode())


def _grant(owner: psycopg.Connection, name: str, schema: str) -> None:
    """Let it read the tables of the schema that the owner made, later ones too; what it may read already is left alone."""
    statements = []
    usage = owner.execute("SELECT has_schema_privilege(%s, current_schema(), 'USAGE')", (name,)).fetchone()
    if usage != (True,):
        statements.append(f"GRANT USAGE ON SCHEMA {identifier(schema)} TO {name}")
    if unreadable := owner.execute(_UNREADABLE, (name,)).fetchall():
        statements.append(f"GRANT SELECT ON TABLE {', '.join(one for (one,) in unreadable)} TO {name}")
        later = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {identifier(schema)} GRANT SELECT ON TABLES TO {name}"
        statements.append(later)
    for statement in statements:
        owner.execute(statement.encode())


def _remedy(schema: str | None) -> str:
    place = identifier(schema or "public")
    return (
        "As an administrator: CREATE ROLE reader LOGIN PASSWORD '...'; "
        f"GRANT USAGE ON SCHEMA {place} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {place} TO reader; "
        f"then set {VARIABLE}=postgresql://reader:...@host:5432/database"
    )
