"""The documents' own claims of speed and size, measured: workers, derived columns, denormalisation, column types."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import psycopg
from tests.server_folder import server_folder

from benchmarks.report import write_table
from benchmarks.rpc import Serving
from benchmarks.runs import Instant, partitions
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.publish.server import ensure_running
from cryptolake.state.ledger import Ledger

SIZES = (100, 200_000)
REPEATS = 15

_COINS = """
CREATE TABLE coins_{n} AS SELECT n AS market_cap_rank, 'coin-' || n AS id,
  (exp(sin(n) * 6))::numeric(20,8) AS current_price, (1.2e12 / n ^ 1.3)::numeric AS market_cap,
  (1e10 / n * (1 + cos(n)))::numeric AS total_volume, (exp(sin(n) * 6) * 1.05)::numeric AS high_24h,
  (exp(sin(n) * 6) * 0.97)::numeric AS low_24h FROM generate_series(1, {n}) n;
CREATE TABLE stored_{n} AS SELECT *, {category} AS market_cap_category, {volatility} AS price_volatility_24h,
  {ratio} AS volume_to_mcap_ratio FROM coins_{n};
CREATE TABLE prices_{n} AS SELECT id, current_price, high_24h, low_24h FROM coins_{n};
CREATE TABLE caps_{n} AS SELECT id, market_cap, total_volume FROM coins_{n};
CREATE TABLE names_{n} AS SELECT id, market_cap_rank, {category} AS market_cap_category FROM coins_{n};
ALTER TABLE prices_{n} ADD PRIMARY KEY (id);
ALTER TABLE caps_{n} ADD PRIMARY KEY (id);
ALTER TABLE names_{n} ADD PRIMARY KEY (id);
"""
_DERIVED = {
    "category": "CASE WHEN market_cap_rank <= 10 THEN 'large_cap' WHEN market_cap_rank <= 50 THEN 'mid_cap' "
    "ELSE 'small_cap' END",
    "volatility": "round((high_24h - low_24h) / nullif(current_price, 0) * 100, 4)",
    "ratio": "round(total_volume / nullif(market_cap, 0), 6)",
}
_QUESTION = (
    "SELECT {category} AS c, count(*), avg({volatility}), avg({ratio}) FROM {table} WHERE {volatility} > 1 GROUP BY 1"
)
_TYPES = {
    "as documented: NUMERIC(20,8), VARCHAR(20), INTEGER": "price NUMERIC(20,8), category VARCHAR(20), rank INTEGER",
    "as here: NUMERIC, TEXT, INTEGER": "price NUMERIC, category TEXT, rank INTEGER",
    "generic: NUMERIC, TEXT, BIGINT": "price NUMERIC, category TEXT, rank BIGINT",
    "everything as TEXT": "price TEXT, category TEXT, rank TEXT",
}


def workers(folder: Path) -> None:
    """Market-days of two calls one after the other, with 1, 5 and 10 workers, and no limit that binds."""
    rows = []
    alone = 0.0
    for count, trips in ((1, 80), (5, 400), (10, 800)):
        serving = Serving(0.08, 10)
        http = Http(max_connections=64)
        pool = Pool("ethereum", 1, [Endpoint("local", SecretUrl(serving.url), Limits(rate=1000.0, told=True))], http)
        pool.call("eth_chainId", [])
        bronze, ledger = Bronze(folder / f"workers-{count}"), Ledger(folder / f"workers-{count}.sqlite")
        started = time.perf_counter()
        result = collect(Instant(pool, 2), list(partitions(trips)), bronze=bronze, ledger=ledger, workers=count)
        rate = trips / (time.perf_counter() - started)
        assert result.done == trips
        alone = alone or rate
        rows.append((count, f"{rate:.1f}", f"{rate / alone:.1f}", f"{15_695 / rate / 60:.1f}"))
        ledger.close()
        http.close()
        serving.close()
    write_table(
        "documents_workers",
        "Market-days of two calls one after the other, 80 ms latency, one market a conversation as the documents have it, no "
        f"limit that binds; landing and ledger included. A year is 43 x 365 = 15,695 market-days. {_load()}",
        ("workers", "market-days a second", "speed-up", "minutes a year"),
        rows,
    )


def tables(url: str) -> None:
    """Derived columns stored or computed, one table or a join, and bytes by column types."""
    rows, sizes = [], []
    with psycopg.connect(url, autocommit=True) as connection:
        for size in SIZES:
            connection.execute(_COINS.format(n=size, **_DERIVED))
            for kind in ("coins", "stored", "prices", "caps", "names"):
                connection.execute(f"VACUUM ANALYZE {kind}_{size}")
            columns = {
                "category": "market_cap_category",
                "volatility": "price_volatility_24h",
                "ratio": "volume_to_mcap_ratio",
            }
            joined = f"prices_{size} JOIN caps_{size} USING (id) JOIN names_{size} USING (id)"
            in_join = {**_DERIVED, "category": "market_cap_category"}
            ways = [
                ("derived columns stored", _QUESTION.format(table=f"stored_{size}", **columns)),
                ("derived columns computed by the query", _QUESTION.format(table=f"coins_{size}", **_DERIVED)),
                ("computed, over a join of three tables", _QUESTION.format(table=joined, **in_join)),
                ("ten largest coins, one table", f"SELECT * FROM stored_{size} WHERE market_cap_rank <= 10"),
                ("ten largest coins, a join of three tables", f"SELECT * FROM {joined} WHERE market_cap_rank <= 10"),
            ]
            taken = [_fastest(connection, sql) for _, sql in ways]
            first = [taken[0]] * 3 + [taken[3]] * 2
            rows += [
                (f"{size:,}", what, f"{ms:.3f}", f"{ms / base:.1f}")
                for (what, _), ms, base in zip(ways, taken, first, strict=True)
            ]
        for number, (what, declared) in enumerate(_TYPES.items()):
            connection.execute(f"CREATE TABLE types_{number} ({declared})")
            connection.execute(
                f"INSERT INTO types_{number} SELECT current_price, market_cap_category, market_cap_rank "
                f"FROM stored_{SIZES[-1]} ORDER BY market_cap_rank"
            )
            connection.execute(f"VACUUM FULL types_{number}")
            (held,) = connection.execute(f"SELECT pg_relation_size('types_{number}')").fetchone() or (0,)
            sizes.append((what, held))
    rows_of_types = [(what, f"{held:,}", f"{1 - held / sizes[-1][1]:.0%}") for what, held in sizes]
    write_table(
        "documents_queries",
        f"Invented coins in the embedded PostgreSQL, fastest of {REPEATS} over one connection; ratio to the stored form. "
        f"{_load()}",
        ("rows", "query", "ms", "x stored"),
        rows,
    )
    write_table(
        "documents_types",
        f"{SIZES[-1]:,} rows of a price, a category and a rank; bytes of the table without indexes.",
        ("column types", "bytes", "smaller than text"),
        rows_of_types,
    )


def _fastest(connection: psycopg.Connection, sql: str) -> float:
    """Milliseconds of the fastest run."""
    found = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        connection.execute(sql).fetchall()
        found.append((time.perf_counter() - started) * 1000)
    return min(found)


def _load() -> str:
    return f"Load average before: {os.getloadavg()[0]:.0f}."


def main() -> None:
    """All of them."""
    with tempfile.TemporaryDirectory(prefix="cryptolake-bench-") as name:
        workers(Path(name))
    with server_folder("bench") as folder:
        tables(ensure_running(folder))


if __name__ == "__main__":
    main()
