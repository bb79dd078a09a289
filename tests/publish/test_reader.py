"""What a person types may read this project's tables and nothing else, on the embedded server and on a user's own."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.command import cryptolake

from cryptolake.cli.query import _show
from cryptolake.contracts.table import Field, Table
from cryptolake.errors import BadInput, CryptolakeError, Stop
from cryptolake.publish.place import home_of
from cryptolake.publish.reader import Reader
from cryptolake.publish.server import ensure_running
from cryptolake.publish.warehouse import Warehouse

KEPT = Table(
    name="kept_rows",
    layer="silver",
    grain="one key",
    key=("asset",),
    fields=(Field("asset", "text", "key"), Field("value", "float64", "value", null=True)),
    doc="rows that must survive",
    identity="id",
)
ROWS = pl.DataFrame({"asset": ["a1", "a2", "a3"], "value": [1.0, 2.0, None]}, schema=KEPT.polars_schema())
OWNERS = {"embedded": "", "superuser": "SUPERUSER", "makes_logins": "CREATEROLE"}


@dataclass(frozen=True)
class Place:
    """A database with the table, its owner's login and the reader."""

    admin: str
    owner: str
    data: Path
    reader: Reader

    def state(self) -> object:
        """Everything a statement could have left behind, as an administrator sees it."""
        asked = (
            "SELECT asset, value FROM kept_rows ORDER BY 1",
            "SELECT last_value, is_called FROM kept_rows_id_seq",
            "SELECT relname, relkind, relowner, relacl::text FROM pg_class WHERE relpersistence <> 't' ORDER BY oid",
            "SELECT oid, proname, proacl::text FROM pg_proc ORDER BY 1",
            "SELECT rolname, rolsuper, rolpassword FROM pg_authid ORDER BY 1",
            "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
            "SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2",
            "SELECT datname, datacl::text FROM pg_database ORDER BY 1",
            "SELECT oid FROM pg_largeobject_metadata",
            "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1",
            "SELECT extname FROM pg_extension",
            "SELECT slot_name FROM pg_replication_slots",
            "SELECT name, setting FROM pg_file_settings ORDER BY 1",
            "SELECT description FROM pg_description WHERE objoid = 'kept_rows'::regclass ORDER BY 1",
            "SELECT locktype FROM pg_locks WHERE locktype = 'advisory'",
            "SELECT count(*) FROM pg_prepared_xacts",
        )
        with psycopg.connect(self.admin, autocommit=True) as connection:
            found: list[object] = [connection.execute(one.encode()).fetchall() for one in asked]
        return [*found, sorted(one.name for one in self.data.rglob("*") if "attempt" in one.name)]


@pytest.fixture(scope="module", params=list(OWNERS))
def place(request: pytest.FixtureRequest, pg_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The embedded server's own database, or another one with an owner who came with a DATABASE_URL."""
    admin = ensure_running(pg_data)
    embedded = request.param == "embedded"
    owner, data = admin, pg_data
    if not embedded:
        data = tmp_path_factory.mktemp(request.param)
        name = f"{request.param}_{secrets.token_hex(4)}"  # its own each time: tests of other owners may come between
        with psycopg.connect(admin, autocommit=True) as connection:
            rights = OWNERS[request.param]
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'owner' {rights}".encode())
            connection.execute(f"CREATE DATABASE of_{name} OWNER {name}".encode())
        admin = make_conninfo(admin, dbname=f"of_{name}")
        owner = make_conninfo(admin, user=name, password="owner")
    with Warehouse.open(data, None if embedded else owner) as warehouse:
        warehouse.setup([KEPT])
        warehouse.load(KEPT, ROWS, "replace")
        reader = warehouse.reader(data, embedded=embedded)
    yield Place(admin, owner, data, reader)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS kept_rows")


def test_reading_works(place: Place) -> None:
    assert place.reader.query("select asset from kept_rows order by 1").rows() == [("a1",), ("a2",), ("a3",)]
    assert place.reader.query("with x as (select 1 as n) select n from x").rows() == [(1,)]
    assert place.reader.query("values (1), (2)").rows() == [(1,), (2,)]
    assert place.reader.query("table kept_rows").height == 3
    assert place.reader.query("select asset from kept_rows where asset = %s", ["a1"]).rows() == [("a1",)]
    assert place.reader.query("explain select * from kept_rows").height
    assert place.reader.query("explain analyze select * from kept_rows").height
    assert place.reader.query("show timezone").rows() == [("UTC",)]
    assert place.reader.query("select '100%' as share -- a remark; with a semicolon").rows() == [("100%",)]
    assert place.reader.query("select 1 as one;").rows() == [(1,)]
    assert place.reader.query("select asset as who, value from kept_rows where false").columns == ["who", "value"]


WRITES = [
    "select 1; commit; delete from kept_rows where asset='a1'",
    "select 1; delete from kept_rows",
    "commit; drop table kept_rows",
    "select 1; select 2",
    "rollback; begin read write; delete from kept_rows",
    "delete from kept_rows",
    "update kept_rows set value = 0",
    "insert into kept_rows (asset) values ('x')",
    "merge into kept_rows m using (select 'a1' as a) s on m.asset = s.a when matched then delete",
    "truncate kept_rows",
    "drop table kept_rows",
    "drop schema public cascade",
    "drop owned by current_user",
    "alter table kept_rows add column x int",
    "alter table kept_rows owner to current_user",
    "comment on table kept_rows is 'x'",
    "lock table kept_rows in exclusive mode",
    "select * from kept_rows for update",
    "with gone as (delete from kept_rows returning *) select * from gone",
    "with own as (select set_config('transaction_read_only', 'off', false)), gone as (delete from kept_rows returning 1) "
    "select * from own, gone",
    "explain analyze delete from kept_rows",
    "explain analyze create table attempt as select 1",
    "prepare p as delete from kept_rows",
    "execute p",
    "deallocate all",
    "declare c cursor with hold for select * from kept_rows",
    "do $$ begin delete from kept_rows; end $$",
    "do $$ begin perform set_config('transaction_read_only', 'off', false); delete from kept_rows; end $$",
    "do $$ begin set transaction read write; delete from kept_rows; end $$",
    "do $$ begin commit; set transaction read write; delete from kept_rows; end $$",
    "do $$ begin execute 'reset role'; execute 'delete from kept_rows'; end $$",
    "create table attempt (n int)",
    "create temp table attempt (n int)",
    "create table attempt as select 1",
    "select 1 as n into attempt",
    "select 1 as n into temp attempt",
    "create view attempt as select 1",
    "create schema attempt",
    "create function attempt() returns int language sql as 'select 1'",
    "create role attempt superuser",
    "create database attempt",
    "create extension dblink",
    "create extension file_fdw",
    "create publication attempt for all tables",
    "create server attempt foreign data wrapper file_fdw",
    "create event trigger attempt on ddl_command_start execute function pg_notify()",
    "copy kept_rows from '/etc/passwd'",
    "copy kept_rows to '{folder}/attempt.csv'",
    "copy (select 1) to '{folder}/attempt.csv'",
    "copy (select 1) to program 'touch {folder}/attempt.program'",
    "copy kept_rows from program 'touch {folder}/attempt.program'",
    "copy kept_rows from stdin",
    "copy kept_rows to stdout",
    "select pg_read_file('postgresql.conf')",
    "select pg_read_binary_file('PG_VERSION')",
    "select pg_ls_dir('.')",
    "select pg_stat_file('PG_VERSION')",
    "select pg_file_write('{folder}/attempt', 'x', false)",
    "select pg_write_file('{folder}/attempt', 'x', false)",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '{folder}/attempt')",
    "select dblink_exec('host=127.0.0.1', 'delete from kept_rows')",
    "select setval('kept_rows_id_seq', 1000)",
    "select nextval('kept_rows_id_seq')",
    "select query_to_xml('delete from kept_rows returning 1', true, true, '')",
    "select query_to_xml('select nextval(''kept_rows_id_seq'')', true, true, '')",
    "select pg_reload_conf()",
    "select pg_rotate_logfile()",
    "select pg_switch_wal()",
    "select pg_create_physical_replication_slot('attempt')",
    "select pg_stat_reset()",
    "alter system set work_mem = '1GB'",
    "alter role current_user superuser",
    "alter role current_user set default_transaction_read_only = off",
    "alter role current_user password 'attempt'",
    "alter database {database} set work_mem = '1GB'",
    "grant all on kept_rows to public",
    "grant {owner} to current_user",
    "revoke all on kept_rows from {owner}",
    "reassign owned by {owner} to current_user",
    "set role {owner}",
    "set session authorization {owner}",
    "select set_config('role', '{owner}', false)",
    "select set_config('session_authorization', '{owner}', false)",
    "reset session authorization",
    "reset role",
    "set transaction_read_only = off",
    "set session characteristics as transaction read write",
    "set default_transaction_read_only = off",
    "set statement_timeout = 0",
    "begin read write",
    "commit",
    "rollback",
    "commit and chain",
    "prepare transaction 'attempt'",
    "savepoint attempt",
    "listen attempt",
    "notify attempt",
    "vacuum kept_rows",
    "reindex table kept_rows",
    "cluster",
    "checkpoint",
    "discard all",
    "load 'auto_explain'",
    "call attempt()",
    "import foreign schema public from server attempt into public",
    "refresh materialized view attempt",
    "security label on table kept_rows is 'x'",
    "select * from pg_authid",
    "select * from pg_shadow",
    "select * from pg_hba_file_rules",
    "select * from pg_file_settings",
    "",
    ";",
    "-- nothing",
    "selec 1",
    "select * from nowhere",
    "select 1/0",
    "select '\ud800'",
    "select 1\0; select 2",
]
# What answers or is refused by one server and not by the other: it may answer, but nothing of it may remain.
DISTURBING = [
    "select pg_advisory_lock(1)",
    "select pg_advisory_lock_shared(1)",
    "select pg_try_advisory_lock(1)",
    "select lo_create(1234)",
    "select lo_from_bytea(1235, 'x')",
    "select pg_notify('attempt', 'x')",
    "select pg_terminate_backend({pid})",
    "select pg_cancel_backend({pid})",
    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()",
    "select pg_logical_emit_message(false, 'attempt', 'x')",
    "select set_config('transaction_read_only', 'off', false)",
    "select set_config('statement_timeout', '0', false)",
    "select pg_export_snapshot()",
    "select pg_current_xact_id()",
    "analyze kept_rows",
]


def filled(place: Place, statement: str, pid: int) -> str:
    """The statement with what differs between the places filled in."""
    with psycopg.connect(place.owner) as connection:
        about = {"owner": connection.info.user, "database": connection.info.dbname}
    for name, value in {**about, "folder": str(place.data), "pid": str(pid)}.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement


def test_nothing_is_changed_by_any_attempt(place: Place) -> None:
    before = place.state()
    with psycopg.connect(place.owner, autocommit=True) as witness:
        witness.execute("LISTEN attempt")
        for template in [*WRITES, *DISTURBING]:
            statement = filled(place, template, witness.info.backend_pid)
            try:
                place.reader.query(statement)
            except CryptolakeError as error:
                assert "\n" not in str(error), statement
            else:
                harmless = template.startswith(("select set_config('trans", "explain analyze select"))
                assert template in DISTURBING or harmless, f"not refused: {statement}"
            assert place.state() == before, statement
        assert witness.execute("SELECT 1").fetchone() == (1,), "a session of the owner was ended"
        assert not list(witness.notifies(timeout=0)), "a notice was sent"
    assert place.reader.query("select count(*) as n from kept_rows").rows() == [(3,)]


PLAUSIBLE = {
    "text": "'kept_rows'",
    "cstring": "'kept_rows'",
    "name": "'kept_rows'",
    "integer": "1",
    "bigint": "1",
    "smallint": "1::smallint",
    "oid": "'kept_rows'::regclass::oid",
    "regclass": "'kept_rows_id_seq'::regclass",
    "boolean": "true",
    "bytea": "'x'::bytea",
    "double precision": "0.001",
    "interval": "interval '1 ms'",
    "timestamp with time zone": "now()",
    "json": "'{}'::json",
    "jsonb": "'{}'::jsonb",
    "xid": "'1'::xid",
    "xid8": "'1'::xid8",
    "pg_lsn": "'0/1'::pg_lsn",
    "text[]": "array['kept_rows']",
}


def test_no_function_that_the_login_may_call_changes_anything(place: Place) -> None:
    """Whatever a newer server adds is tried as well."""
    found = place.reader.query(
        "select p.oid::regproc::text as name, coalesce((select array_to_string(array_agg(format_type(t, null) order by n), "
        "',') from unnest(p.proargtypes) with ordinality as a(t, n)), '') as types from pg_proc p "
        "where provolatile = 'v' and prokind = 'f' and has_function_privilege(p.oid, 'execute') "
        "and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)"
    )
    assert found.height
    before = place.state()
    for name, types in found.rows():
        given = ", ".join(PLAUSIBLE.get(one, f"null::{one}") for one in str(types).split(",") if one)
        try:
            place.reader.query(f"select {name}({given})")
        except BadInput as error:
            assert "\n" not in str(error)
    assert place.state() == before


def test_the_login_may_only_read(place: Place) -> None:
    rows = place.reader.query(
        "select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, "
        "current_setting('default_transaction_read_only') as only, current_setting('statement_timeout') as timeout, "
        "has_schema_privilege('public', 'create') as may_create from pg_roles where rolname = session_user"
    ).rows()
    assert rows == [(False, False, False, False, False, "on", "5min", False)]


def test_tables_made_later_are_read_and_those_of_others_are_not(place: Place) -> None:
    later = Table("made_later", "silver", "one key", ("k",), (Field("k", "text", "key"),), "later")
    with psycopg.connect(place.admin, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA hidden; CREATE TABLE hidden.salaries (n int)")
    try:
        embedded = place.admin == place.owner
        with Warehouse.open(place.data, None if embedded else place.owner) as warehouse:
            warehouse.setup([later])
            assert place.reader.query("select k from made_later").rows() == []
            with pytest.raises(BadInput, match="only read"):
                place.reader.query("select * from hidden.salaries")
            assert warehouse.reader(place.data, embedded=embedded) == place.reader, "the login is made once"
    finally:
        with psycopg.connect(place.admin, autocommit=True) as connection:
            connection.execute("DROP SCHEMA hidden CASCADE; DROP TABLE made_later")


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_the_password_is_private_and_printed_nowhere(place: Place) -> None:
    home = home_of(place.data) if place.admin == place.owner else place.data
    file = home / "reader.password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() in place.reader.url
    assert file.read_text() not in repr(place.reader)
    wrong = Reader(place.reader.url.replace(file.read_text(), "wrongwrong"), None)
    with pytest.raises(Stop, match="CRYPTOLAKE_READER_URL") as caught:
        wrong.query("select 1")
    assert "wrongwrong" not in str(caught.value)


def test_a_random_password_is_not_hashed_again_and_again_for_every_statement(place: Place) -> None:
    user = conninfo_to_dict(place.reader.url)["user"]
    with psycopg.connect(place.admin, autocommit=True) as connection:
        if connection.info.server_version < 160000:
            pytest.skip("PostgreSQL 15 cannot be told")
        row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (user,)).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$1:")


def test_an_owner_who_may_make_no_login_gets_the_remedy_and_is_never_taken_instead(
    pg_data: Path, tmp_path: Path
) -> None:
    admin = ensure_running(pg_data)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 'owner'")
        connection.execute("CREATE DATABASE of_plain OWNER plain")
    owner = make_conninfo(admin, dbname="of_plain", user="plain", password="owner")
    refused = cryptolake(tmp_path, "query", "--sql", "select 1 as one", DATABASE_URL=owner)
    assert refused.returncode == 1
    assert "CRYPTOLAKE_READER_URL" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert cryptolake(tmp_path, "query", "--coverage", DATABASE_URL=owner).returncode == 0


@pytest.mark.parametrize(
    ("right", "words"),
    [
        ("ALTER ROLE {} SUPERUSER", "superuser"),
        ("ALTER ROLE {} CREATEROLE", "make logins"),
        ("ALTER ROLE {} CREATEDB", "make databases"),
        ("ALTER ROLE {} REPLICATION", "replicate"),
        ("GRANT pg_read_server_files TO {}", "pg_read_server_files"),
        ("GRANT pg_execute_server_program TO {}", "pg_execute_server_program"),
        ("GRANT pg_write_all_data TO {}", "pg_write_all_data"),
        ("GRANT pg_signal_backend TO {}", "pg_signal_backend"),
        ("GRANT writers TO {}", "may change kept"),
        ("GRANT DELETE ON kept TO {}", "may change kept"),
        ("GRANT UPDATE (n) ON kept TO {}", "may change kept"),
        ("GRANT USAGE ON SEQUENCE counted TO {}", "may change counted"),
        ("GRANT CREATE ON SCHEMA public TO {}", "make tables in the schema public"),
        ("GRANT CREATE ON DATABASE {} TO {}", "make schemas"),
        ("ALTER TABLE kept OWNER TO {}", "owns"),
        ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {}", "pg_read_file"),
        ("GRANT pg_read_all_data TO {}", None),
        (None, None),
    ],
)
def test_a_readers_login_that_may_do_more_is_refused(pg_data: Path, right: str | None, words: str | None) -> None:
    admin = ensure_running(pg_data)
    name = "given_reader"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'reader'; CREATE ROLE writers".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    address = make_conninfo(admin, dbname=name)
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int); CREATE SEQUENCE counted; GRANT INSERT ON kept TO writers")
            connection.execute(f"GRANT SELECT ON kept TO {name}".encode())
            if right is not None:
                connection.execute(right.replace("{}", name).encode())
        reader = Reader(make_conninfo(address, user=name, password="reader"), None)
        if words is None:
            assert reader.query("select n from kept").rows() == []
        else:
            with pytest.raises(Stop, match=words) as caught:
                reader.query("select n from kept")
            assert "CRYPTOLAKE_READER_URL" in str(caught.value)
            assert "\n" not in str(caught.value)
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name}".encode())
            connection.execute(f"DROP ROLE {name}; DROP ROLE writers".encode())


def test_the_command_on_the_embedded_server(pg_data: Path, tmp_path: Path) -> None:
    program = tmp_path / "made_by_program"
    with Warehouse.open(pg_data, None) as warehouse:
        warehouse.setup([KEPT])
        warehouse.load(KEPT, ROWS, "replace")
        for statement in (
            "select 1; commit; delete from kept_rows where asset='a1'",
            f"copy (select 1) to program 'touch {program}'",
            "select 'unfinished",
        ):
            refused = cryptolake(tmp_path, "--data", str(pg_data), "query", "--sql", statement)
            assert refused.returncode == 2, statement
            assert refused.stderr.startswith("cryptolake: ")
            assert refused.stderr.count("\n") == 1
        assert not program.exists()
        assert warehouse.query("select count(*) as n from kept_rows").rows() == [(3,)]
    read = cryptolake(tmp_path, "--data", str(pg_data), "query", "--json", "--sql", "select asset from kept_rows")
    assert read.returncode == 0, read.stderr
    assert "a3" in read.stdout


def test_a_readers_login_is_enough_to_read(place: Place, tmp_path: Path) -> None:
    url = place.reader.url
    sql = "select asset from kept_rows order by 1"
    read = cryptolake(tmp_path, "query", "--json", "--sql", sql, CRYPTOLAKE_READER_URL=url)
    assert read.returncode == 0, read.stderr
    assert "a3" in read.stdout
    assert not (tmp_path / "data" / "postgres").exists()
    refused = cryptolake(tmp_path, "query", "--json", "--sql", sql, CRYPTOLAKE_READER_URL=place.owner)
    assert refused.returncode == 1
    assert "may only read" in refused.stderr
    assert "password" not in refused.stderr.replace("PASSWORD", "")


def test_an_answer_that_would_fill_the_memory_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptolake.publish.statement._ANSWER_B", 1_000_000)
    with pytest.raises(BadInput, match="ask for fewer"):
        place.reader.query("select generate_series(1, 1000000000) as n")
    assert place.reader.query("select 1 as one").rows() == [(1,)]


KINDS = [
    "now()", "'1 day'::interval", "int4range(1, 2)", "'{[1,2)}'::int4multirange", "'127.0.0.1'::inet", "array[1, null]",
    "array['a']", "'{\"a\": 1}'::jsonb", "'\\x00ff'::bytea", "row(1, 'a')", "'infinity'::timestamptz", "'24:00'::time",
    "'(1,2)'::point", "'NaN'::numeric", "1e300::numeric", "gen_random_uuid()", "null", "'x'::xml", "B'101'", "true",
    "'-infinity'::date", "array[array[1]]", "'12:00+01'::timetz", "2::money",
    """'[1, "a"]'::jsonb""", """'{"a": [1, {}]}'::json""", "array['1 day'::interval]", "array[gen_random_uuid()]",
    "2::numeric ^ 70",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_value_is_shown_or_refused_in_one_line(place: Place, tmp_path: Path, kind: str) -> None:
    try:
        frame = place.reader.query(f"select {kind} as x union all select null")
    except CryptolakeError as error:
        assert "\n" not in str(error)
        return
    assert frame.height == 2
    for csv, parquet, as_json in (
        (tmp_path / "x.csv", None, False),
        (None, tmp_path / "x.parquet", False),
        (None, None, True),
        (None, None, False),
    ):
        with contextlib.suppress(CryptolakeError):
            _show(frame, 5, csv, parquet, as_json=as_json, newest_last=False)
    assert (tmp_path / "x.parquet").exists()
