"""Coins: 10,000 coins from bronze to marts, bytes on disk, query latency with and without indexes, ways to load."""

from __future__ import annotations

import gzip
import io
import json
import random
import statistics
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from urllib.parse import parse_qs, urlsplit

import polars as pl
import psycopg
import sqlalchemy as sa
from tests.server_folder import server_folder
from tests.stores import stores_of

from benchmarks.report import write_table
from cryptolake.catalogue import contracts
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.net.access import Access
from cryptolake.net.http import Http
from cryptolake.publish.server import ensure_running
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.coingecko import Tier
from cryptolake.sources.coingecko import CoinGecko
from cryptolake.state.ledger import Ledger
from cryptolake.work import coins as flow
from cryptolake.work.coins import STAGING

COINS, MANY = 10_000, 1_000_000
SLOW = {"one INSERT per row, autocommit", 'pandas.to_sql(method="multi")'}  # measured once
UNLIMITED = Tier("unlimited", "", None, None, 10**9, 10**6, None)
ASKED_AT = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)


def coins(seed: int) -> list[dict[str, object]]:
    """Invented coins in the vendor's layout and digits: ranks 1 to 10,000, values from a fixed seed."""
    source = random.Random(seed)
    made: list[dict[str, object]] = []
    for rank in range(1, COINS + 1):
        price = source.lognormvariate(0, 4)
        cap = round(1.2e12 / rank**1.3)
        change = round(source.gauss(0, 6), 5)
        supply = round(cap / price, 8)
        made.append(
            {
                "id": f"invented-coin-{rank}",
                "symbol": f"ic{rank}",
                "name": f"Invented Coin {rank}",
                "image": f"https://assets.coingecko.com/coins/images/{rank}/large/coin-{rank}.png?1696501400",
                "current_price": price,
                "market_cap": cap,
                "market_cap_rank": rank,
                "fully_diluted_valuation": round(cap * 1.2) if source.random() > 0.04 else None,
                "total_volume": round(cap * source.lognormvariate(-4, 1.5), 2),
                "high_24h": price * 1.02,
                "low_24h": price * 0.97,
                "price_change_24h": price * change / 100,
                "price_change_percentage_24h": change,
                "market_cap_change_24h": round(cap * change / 100),
                "market_cap_change_percentage_24h": change,
                "circulating_supply": supply,
                "total_supply": supply * 1.1,
                "max_supply": supply * 1.2 if source.random() > 0.4 else None,
                "ath": price * 4,
                "ath_change_percentage": round(-75 + source.random(), 5),
                "ath_date": "2021-11-10T14:24:11.849Z",
                "atl": price / 90,
                "atl_change_percentage": round(8900 + source.random() * 100, 5),
                "atl_date": "2013-07-06T00:00:00.000Z",
                "roi": None,
                "last_updated": (ASKED_AT - timedelta(seconds=source.randrange(300))).isoformat(),
            }
        )
    return made


class Vendor:
    """A vendor without limits that answers from bodies made before the clock starts."""

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        totals = {"usd": 3e12}
        self.totals = json.dumps(
            {
                "data": {
                    "active_cryptocurrencies": COINS,
                    "markets": 9,
                    "total_market_cap": totals,
                    "total_volume": totals,
                }
            }
        ).encode()

    def hold(self, market: list[dict[str, object]]) -> None:
        """Prepare the pages."""
        self.pages = {n: json.dumps(market[n * 250 - 250 : n * 250]).encode() for n in range(1, COINS // 250 + 2)}

    def serve(self) -> tuple[ThreadingHTTPServer, str]:
        """Start on a free port."""
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                page = parse_qs(parts.query).get("page", ["0"])[0]
                body = vendor.pages[int(page)] if parts.path == "/coins/markets" else vendor.totals
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server, f"http://127.0.0.1:{server.server_address[1]}"


def main() -> None:
    """Measure and write the tables."""
    with server_folder("bench") as folder:
        with Warehouse.open(folder, None) as warehouse:
            _refresh(folder, warehouse)
            staging = warehouse.query(f"SELECT {_floats()} FROM {STAGING.name}").cast(STAGING.polars_schema())
        url = ensure_running(folder)
        _ways_to_load(url, folder, staging)
        _indexes(url)
    _sizes()


def _floats() -> str:
    return ", ".join(f"{f.name}::float8" if f.dtype == "float64" else f.name for f in STAGING.fields)


def _refresh(folder: Path, warehouse: Warehouse) -> None:
    vendor = Vendor()
    server, url = vendor.serve()
    http, ledger = Http(), Ledger(folder / "ledger.sqlite")
    stores = stores_of(folder, ledger, warehouse)
    rows = []
    warehouse.setup(contracts())
    for number, mode in enumerate(("incremental", "incremental", "full", "incremental", "full")):
        vendor.hold(coins(number))
        at = ASKED_AT + timedelta(hours=number)
        access = Access(http, urls={"coingecko": url})
        source = CoinGecko(access, tier=UNLIMITED, asked_at=lambda at=at: at)  # type: ignore[misc]
        started = perf_counter()
        run = flow.collect_run(source, stores, top=COINS, now=lambda at=at: at)  # type: ignore[misc]
        asked = perf_counter()
        loaded = flow.load_run(source, run, stores, mode=mode, now=lambda at=at: at)  # type: ignore[arg-type,misc]
        ended = perf_counter()
        what = "first load" if number == 0 else f"every coin changed, {mode}"
        seconds = (asked - started, ended - asked, ended - started)
        rows.append((number + 1, what, *(f"{one:.2f}" for one in seconds), f"{COINS / seconds[2]:,.0f}", "10"))
        assert loaded.coins == COINS
    server.shutdown()
    http.close()
    ledger.close()
    write_table(
        "coins_refresh",
        f"{COINS:,} invented coins a run: 41 requests over HTTP to a local vendor without limits, raw JSON and Parquet to "
        "bronze, staging, history, three marts and checks in Delta and embedded PostgreSQL. One run each; the vendor's own "
        "limit (100 calls a minute with a demo key) adds 25 s of waiting in real life.",
        ("run", "what", "ask + bronze s", "bronze to marts s", "end to end s", "coins/s", "aim s"),
        rows,
    )


def _ways_to_load(url: str, folder: Path, staging: pl.DataFrame) -> None:
    def empty() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {STAGING.name}")

    def copy() -> None:
        with Warehouse.open(folder, url) as warehouse:
            warehouse.load(STAGING, staging, "replace")

    def upsert() -> None:
        with Warehouse.open(folder, url) as warehouse:
            warehouse.load(STAGING, staging, "mirror")

    def by_row(*, together: bool) -> None:
        marks = ", ".join(["%s"] * len(STAGING.columns))
        statement = f"INSERT INTO {STAGING.name} ({', '.join(STAGING.columns)}) VALUES ({marks})"
        with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            if together:
                cursor.executemany(statement, staging.rows())
            else:
                for row in staging.iter_rows():
                    cursor.execute(statement, row)

    frame = staging.to_pandas()
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def to_sql(method: str | None) -> None:
        frame.to_sql(STAGING.name, engine, if_exists="append", index=False, method=method, chunksize=1000)  # type: ignore[arg-type]

    ways: list[tuple[str, Callable[[], None]]] = [
        ("COPY, then one INSERT (full refresh)", copy),
        ("COPY, then ON CONFLICT DO UPDATE (incremental)", upsert),
        ("executemany", lambda: by_row(together=True)),
        ("one INSERT per row, autocommit", lambda: by_row(together=False)),
        ("pandas.to_sql()", lambda: to_sql(None)),
        ('pandas.to_sql(method="multi")', lambda: to_sql("multi")),
    ]
    taken = []
    for name, way in ways:
        times = []
        for _ in range(1 if name in SLOW else 3):
            empty()
            started = perf_counter()
            way()
            times.append(perf_counter() - started)
        taken.append(statistics.median(times))
    write_table(
        "market_load",
        f"{staging.height:,} rows of {len(STAGING.columns)} columns into the empty `{STAGING.name}` with its primary key, "
        "checks and three indexes, embedded PostgreSQL; median of 3, the two slowest once.",
        ("method", "seconds", "rows/s", "x slowest"),
        [
            (name, f"{t:.2f}", f"{staging.height / t:,.0f}", f"{max(taken) / t:.0f}")
            for (name, _), t in zip(ways, taken, strict=True)
        ],
    )


QUERIES = {
    "one rank": "SELECT * FROM {t} WHERE market_cap_rank = 7",
    "strong gainers, counted": "SELECT count(*) FROM {t} WHERE price_trend_category = 'strong_gain'",
    "high liquidity, counted": "SELECT count(*) FROM {t} WHERE liquidity_category = 'high_liquidity'",
    "ten most dominant": "SELECT * FROM {t} ORDER BY market_dominance_pct DESC LIMIT 10",
}


def _indexes(url: str) -> None:
    mart = flow.MART
    rows = []
    with psycopg.connect(url, autocommit=True) as connection:
        for title, copies in (("as built (50 rows)", 1), (f"{MANY:,} rows (two years of hourly marts)", MANY // 50)):
            big = f"mart_{copies}"
            connection.execute(f"CREATE TABLE {big} (LIKE {mart.name})")
            spread = {
                "market_cap_rank": "market_cap_rank + 50 * n AS market_cap_rank",
                "market_dominance_pct": "market_dominance_pct / (n + 1) AS market_dominance_pct",
            }
            columns = ", ".join(spread.get(name, f"m.{name}") for name in mart.columns)
            connection.execute(
                f"INSERT INTO {big} SELECT {columns} FROM {mart.name} m, generate_series(0, {copies - 1}) n"
            )
            connection.execute(f"VACUUM ANALYZE {big}")
            bare = {name: _latency(connection, query.format(t=big)) for name, query in QUERIES.items()}
            for number, (_, sql) in enumerate(mart.named_indexes):
                connection.execute(f"CREATE INDEX {big}_{number} ON {big} ({sql})")
            connection.execute(f"VACUUM ANALYZE {big}")
            for name, query in QUERIES.items():
                after = _latency(connection, query.format(t=big))
                rows.append((title, name, f"{bare[name]:.3f}", f"{after:.3f}", f"{bare[name] / after:.1f}"))
    write_table(
        "market_indexes",
        "The documented indexes of `crypto_analytics_mart`. At its own 50 rows a table of one page needs none and the planner "
        "ignores them; the larger copy shows what they are for. Median of 30, over one connection.",
        ("table", "query", "without ms", "with ms", "ratio"),
        rows,
    )


def _latency(connection: psycopg.Connection, query: str) -> float:
    times = []
    for _ in range(33):
        started = perf_counter()
        connection.execute(query.encode()).fetchall()
        times.append((perf_counter() - started) * 1000)
    return statistics.median(times[3:])


def _sizes() -> None:
    bodies = {f"{COINS:,} invented coins": json.dumps(coins(0)).encode()}
    http, rows = Http(), []
    source = CoinGecko(Access(http))
    for title, body in bodies.items():
        partition = Partition("coins_markets", f"top{COINS}", Period.of_day(ASKED_AT.date()))
        read = source.parse(Raw(partition, "coingecko", ASKED_AT, ASKED_AT, b"[" + body + b"]"))
        frame = pl.DataFrame(read, infer_schema_length=None)
        forms = {"JSON": len(body), "JSON, gzip (kept as raw)": len(gzip.compress(body, 6))}
        for codec, name in (("zstd", "Parquet, zstd (kept)"), ("snappy", "Parquet, snappy")):
            buffer = io.BytesIO()
            frame.write_parquet(buffer, compression=codec)  # type: ignore[arg-type]
            forms[name] = len(buffer.getvalue())
        rows += [(title, name, f"{size:,}", f"{100 - 100 * size / len(body):.0f} %") for name, size in forms.items()]
    http.close()
    write_table(
        "market_sizes",
        "One run as JSON (without white space) and as Parquet with the same rows, typed.",
        ("what", "form", "bytes", "smaller than JSON"),
        rows,
    )
