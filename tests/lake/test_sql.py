"""SQL over the lake answers what a reading statement asks, and no statement reads, writes or changes anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptolake.contracts.table import Field, Table
from cryptolake.errors import BadInput, CryptolakeError, Retry
from cryptolake.lake import sql
from cryptolake.lake.stored import Stored
from cryptolake.lake.tables import Tables

KINDS = Table(
    "kinds",
    "silver",
    "one day",
    ("day", "order"),
    (
        Field("day", "date", "partition"),
        Field("order", "text", "a reserved word"),
        Field("n64", "int64", "", null=True),
        Field("n32", "int32", "", null=True),
        Field("x", "float64", "", null=True),
        Field("yes", "bool", "", null=True),
        Field("at", "timestamp", "", null=True),
        Field("naive", "timestamp_naive", "", null=True),
        Field("raw", "integer_text", "", null=True),
    ),
    "every dtype",
    partition="day",
)
ROWS = pl.DataFrame(
    [
        (
            date(2024, 1, 1),
            "a",
            2**62,
            7,
            0.5,
            True,
            datetime(2024, 1, 1, 23, tzinfo=UTC),
            datetime(2024, 1, 1),
            "9" * 40,
        ),
        (date(2024, 1, 1), "b", 2**62, None, None, None, None, None, None),
        (date(2024, 1, 2), "a", 1, 1, -1.0, False, datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 2), "-1"),
    ],
    schema=KINDS.polars_schema(),
    orient="row",
)
SECRET = "a-secret-that-lies-beside-the-lake"


class Place:
    """A data folder with one table, a secret beside it and a folder that nothing may be written to."""

    def __init__(self, root: Path) -> None:
        self.root, self.outside = root, root / "outside"
        self.outside.mkdir()
        self.data = root / "data"
        self.tables = Tables(self.data)
        self.tables.write(KINDS, ROWS)
        (self.data / "reader.password").write_text(SECRET)
        (self.outside / "rows.csv").write_text(f"a\n{SECRET}\n")
        stored = self.tables.stored(KINDS)
        assert stored is not None
        self.stored: Stored = stored
        (self.stored.folder / "link.csv").symlink_to(self.outside / "rows.csv")

    def ask(self, statement: str, bounds: sql.Bounds | None = None) -> pl.DataFrame:
        return sql.query(statement, [self.stored], absent={"metrics": "metrics is in PostgreSQL"}, bounds=bounds)

    def state(self) -> dict[str, bytes | None]:
        """Everything in and around the lake, and in the folder the test runs in."""
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for top in (self.root, Path.cwd())
            for path in sorted(top.rglob("*") if top == self.root else top.glob("*"))
        }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    elsewhere = tmp_path / "here"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("A_SECRET", SECRET)
    (tmp_path / "lake").mkdir()
    return Place(tmp_path / "lake")


def test_every_dtype_arrives_as_the_contract_says(place: Place) -> None:
    assert_frame_equal(place.ask('FROM kinds ORDER BY day, "order"'), ROWS)
    assert place.ask("FROM kinds LIMIT 0").schema == ROWS.schema


def test_a_table_without_rows_has_its_columns(place: Place) -> None:
    place.tables.write(KINDS, KINDS.empty())
    stored = place.tables.stored(KINDS)
    assert stored is not None
    assert_frame_equal(sql.query("FROM kinds", [stored]), KINDS.empty())


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT count(*) FROM kinds;", [(3,)]),
        ("-- how many\nSELECT count(*) n /* days */ FROM kinds WHERE day > DATE '2024-01-01'", [(1,)]),
        ("WITH days AS (SELECT DISTINCT day FROM kinds) SELECT count(*) FROM days", [(2,)]),
        ("WITH metrics AS (SELECT 1 AS n) FROM metrics", [(1,)]),
        ("VALUES (1), (2)", [(1,), (2,)]),
        ("SHOW TABLES", [("kinds",)]),
        ("SELECT view_name FROM duckdb_views() WHERE NOT internal", [("kinds",)]),
        (
            "SELECT n FROM range(2) AS r(n) UNION ALL SELECT count(*) FROM kinds ORDER BY n",
            [(0,), (1,), (3,)],
        ),
        ("WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a WHERE i < 2) FROM a ORDER BY i", [(1,), (2,)]),
        ("SELECT sum(n64), sum(n32), avg(x) FROM kinds", [(float(2**63), 8, -0.25)]),
        ("SELECT day, day AS day_2, day, day FROM kinds LIMIT 0", []),
        (
            'SELECT "at" FROM kinds WHERE "at" = TIMESTAMPTZ \'2024-01-01 23:00:00\'',
            [(datetime(2024, 1, 1, 23, tzinfo=UTC),)],
        ),
        (
            "PIVOT kinds ON \"order\" IN ('a', 'b') USING count(*) GROUP BY day ORDER BY day",
            [(date(2024, 1, 1), 1, 1), (date(2024, 1, 2), 1, 0)],
        ),
    ],
)
def test_a_reading_statement_is_answered(place: Place, statement: str, rows: list[tuple[object, ...]]) -> None:
    assert place.ask(statement).rows() == rows


# {lake} is the table's own folder, which the engine may read; {out} one that it may not; {file} a file of the table.
ATTEMPTS = [
    "COPY (SELECT 1) TO '{out}/x.csv'",
    "COPY (SELECT 1) TO '{lake}/x.csv'",
    "COPY kinds TO '{file}'",
    "COPY kinds FROM '{out}/rows.csv'",
    "WITH a AS (COPY (SELECT 1) TO '{lake}/x.csv') SELECT * FROM a",
    "WITH a AS (COPY (SELECT 1) TO '{out}/x.csv') SELECT * FROM a",
    "WITH a AS (SELECT 1), b AS MATERIALIZED (COPY (FROM a) TO '{lake}/x.csv') SELECT * FROM b UNION ALL FROM b",
    "SELECT * FROM (WITH a AS (COPY (SELECT 1) TO '{lake}/x.csv') FROM a)",
    "SELECT * FROM query('WITH a AS (COPY (SELECT 1) TO ''{lake}/x.csv'') FROM a')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{lake}/x.csv''')",
    "FROM json_execute_serialized_sql('{copy}')",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'",
    "EXPLAIN WITH a AS (COPY (SELECT 1) TO '{lake}/x.csv') FROM a",
    "PREPARE p AS COPY (SELECT 1) TO '{lake}/x.csv'",
    "EXPORT DATABASE '{lake}/all'",
    "IMPORT DATABASE '{lake}/all'",
    "ATTACH '{lake}/x.db'",
    "ATTACH '{out}/x.db'",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{out}/x.duckdb_extension'",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:1'",
    "UPDATE EXTENSIONS",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv('{out}/rows.csv')",
    "SELECT * FROM '{out}/rows.csv'",
    "FROM read_text('{password}')",
    "FROM read_text('{lake}/../../../reader.password')",
    "FROM read_text('{lake}/link.csv')",
    "FROM read_text(['{file}', '{password}'])",
    "FROM read_blob('{password}')",
    "FROM read_json('{password}')",
    "FROM read_ndjson_objects('{password}')",
    "FROM read_parquet('{out}/*')",
    "FROM parquet_metadata('{password}')",
    "FROM sniff_csv('{out}/rows.csv')",
    "FROM read_duckdb('{out}/x.db')",
    "FROM glob('{out}/*')",
    "FROM glob('/etc/*')",
    "FROM glob('{lake}/../../../*')",
    "FROM read_csv('http://127.0.0.1:1/x.csv')",
    "FROM read_parquet('https://127.0.0.1:1/x.parquet')",
    "FROM read_parquet('s3://bucket/x.parquet')",
    "FROM read_text('file://{password}')",
    "FROM read_text('/dev/stdin')",
    "FROM read_text('/proc/self/environ')",
    "SELECT getenv('A_SECRET')",
    "SELECT current_setting('allowed_directories')",
    "SELECT upper(current_setting('temp_directory')) FROM tvl",
    "SELECT getvariable('x')",
    "SELECT * FROM ROWS",
    "FROM place",
    "SET memory_limit = '1TB'",
    "SET enable_external_access = true",
    "SET GLOBAL allowed_directories = ['/']",
    "RESET lock_configuration",
    "SET VARIABLE x = 1",
    "PRAGMA enable_external_access = true",
    "PRAGMA database_list",
    "PRAGMA enable_profiling = 'json'",
    "CALL pragma_version()",
    "CALL enable_logging(storage = 'file', storage_config = {'path': '{lake}/'})",
    "FROM enable_logging('QueryLog', storage = 'file', storage_path = '{lake}/log')",
    "FROM enable_profiling(save_location = '{lake}/profile')",
    "CREATE TABLE mine (i INTEGER)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE MACRO mine() AS 1",
    "CREATE SECRET mine (TYPE http)",
    "CREATE PERSISTENT SECRET mine (TYPE http)",
    "INSERT INTO kinds SELECT * FROM kinds",
    "WITH a AS (INSERT INTO kinds FROM kinds RETURNING *) FROM a",
    "UPDATE kinds SET x = 0",
    "DELETE FROM kinds",
    "TRUNCATE kinds",
    "MERGE INTO kinds USING kinds AS k ON false WHEN NOT MATCHED THEN INSERT",
    "DROP VIEW kinds",
    "ALTER VIEW kinds RENAME TO mine",
    "COMMENT ON VIEW kinds IS 'mine'",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "USE memory",
    "EXECUTE p",
    "DEALLOCATE p",
    "SELECT 1; COPY (SELECT 1) TO '{lake}/x.csv'",
    "SELECT 1; SELECT 2",
    "SELECT $1",
    'PIVOT kinds ON "order" USING count(*)',
    "SELECT * FROM query('SELECT 1')",
    "FROM glob('{lake}/*')",
    "SELECT (SELECT count(*) FROM read_text('{lake}/link.csv'))",
    "FROM metrics",
    "FROM nowhere",
    "SELECT error('mine')",
    "SELECT INTERVAL 1 DAY AS i",
    "selec 1",
    "",
    ";",
    "-- nothing",
    "SELECT '\ud800'",
    "SELECT 1\0; SELECT 2",
]


def filled(place: Place, statement: str) -> str:
    copy = f"WITH a AS (COPY (SELECT 1) TO '{place.stored.folder}/x.csv') FROM a"
    ((serialized,),) = duckdb.connect().execute("SELECT json_serialize_sql(?::VARCHAR)", [copy]).fetchall()
    words = {
        "lake": place.stored.folder,
        "out": place.outside,
        "file": place.stored.paths()[0],
        "password": place.data / "reader.password",
        "copy": str(serialized).replace("'", "''"),
    }
    for name, value in words.items():
        statement = statement.replace(f"{{{name}}}", str(value))
    return statement


def test_every_attempt_is_refused_in_one_line_and_nothing_changes(place: Place) -> None:
    before = place.state()
    for template in ATTEMPTS:
        try:
            answer = place.ask(filled(place, template))
        except BadInput as refused:
            assert "\n" not in str(refused), template
            assert SECRET not in str(refused), template
            assert re.search(r"; [a-zA-Z]|PostgreSQL$|statement at a time$|IN \(\.\.\.\)$", str(refused)), str(refused)
        else:
            pytest.fail(f"not refused: {template}: {answer}")
        assert place.state() == before, template
    assert place.ask("SELECT count(*) FROM kinds").item() == 3


def test_no_table_function_of_the_engine_reaches_beyond_the_table(place: Place) -> None:
    """Whichever there are, called with a path inside and one outside: it may answer, but tells no secret and leaves nothing."""
    before = place.state()
    names = duckdb.sql(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE '%table%'"
    ).fetchall()
    assert {"read_text", "glob", "query"} <= {name for (name,) in names}
    quiet = sql.Bounds(seconds=1.0, memory_b=256 * 1024**2)
    for (name,) in names:
        for arguments in ("", f"'{place.data}/reader.password'", f"'{place.stored.folder}/made'"):
            try:
                answer = place.ask(f"FROM {name}({arguments})", quiet)
            except CryptolakeError as refused:
                assert SECRET not in str(refused), name
            else:
                assert SECRET not in str(answer.to_dicts()), name
    assert place.state() == before


@pytest.mark.parametrize(
    ("statement", "bounds", "says"),
    [
        ("SELECT count(*) FROM range(1000000000000)", sql.Bounds(seconds=0.2), "longer than 0.2 s; ask for less"),
        ("FROM range(1000000000000)", sql.Bounds(seconds=0.2), "longer than 0.2 s; ask for less"),
        ("FROM range(10000000) ORDER BY random()", sql.Bounds(memory_b=2**26), "more than 0.0625 GiB of memory"),
        ("FROM range(1000000000000)", sql.Bounds(answer_b=2**20), "the answer takes more than"),
    ],
)
def test_what_takes_too_much_is_ended(place: Place, statement: str, bounds: sql.Bounds, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        place.ask(statement, bounds)
    assert list(Path.cwd().iterdir()) == []


def test_a_table_that_is_replaced_meanwhile_is_asked_again(place: Place) -> None:
    for path in place.stored.paths():
        Path(path).unlink()
    with pytest.raises(Retry, match="ask again"):
        place.ask("FROM kinds")


def test_a_table_of_an_older_version_names_the_remedy(place: Place) -> None:
    more = Table("kinds", "silver", "", KINDS.key, (*KINDS.fields, Field("new", "text", "new")), "", partition="day")
    stored = place.tables.stored(more)
    assert stored is not None
    with pytest.raises(CryptolakeError, match=r"no column new\); run `cryptolake rebuild`"):
        sql.query("FROM kinds", [stored])
