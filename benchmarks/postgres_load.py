"""PostgreSQL load: 2.4 million `metrics` rows, first load and idempotent re-load, next to pandas.to_sql in the same run."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

import pandas as pd
import polars as pl
import sqlalchemy as sa
from tests.server_folder import server_folder

from benchmarks.report import write_table
from cryptolake.publish.server import ensure_running
from cryptolake.publish.warehouse import Warehouse
from cryptolake.silver.metrics import TABLE as METRICS

ROWS, PEER_ROWS = 2_400_000, 50_000


def synthetic(rows: int) -> pl.DataFrame:
    """Rows shaped like five years of daily vendor data: about 1,300 series, values from a fixed seed."""
    source = random.Random(7)
    days = 1826
    series = rows // days + 1
    start = datetime(2021, 1, 1)  # noqa: DTZ001  # the documented column is TIMESTAMP, meaning UTC
    frame = pl.DataFrame(
        {
            "pulled_at": [start + timedelta(days=day) for day in range(days)] * series,
            "source": ["artemis"] * (days * series),
            "asset": [f"asset-{number // 12}" for number in range(series) for _ in range(days)],
            "metric_name": [f"METRIC_{number % 12}" for number in range(series) for _ in range(days)],
            "value": [source.random() * 1e9 for _ in range(days * series)],
        },
        schema=METRICS.polars_schema(),
    )
    return frame.head(rows)


def main() -> None:
    """Measure and write the table."""
    with server_folder("bench") as folder:
        with Warehouse.open(folder, None) as warehouse:
            warehouse.setup([METRICS])
            frame = synthetic(ROWS)
            first = _seconds(lambda: warehouse.load(METRICS, frame, "nothing"))
            again = _seconds(lambda: warehouse.load(METRICS, frame, "nothing"))
            update = _seconds(lambda: warehouse.load(METRICS, frame, "update"))
        peer = _to_sql(folder, frame.head(PEER_ROWS).to_pandas())
    rate = PEER_ROWS / peer
    write_table(
        "postgres_load",
        f"{ROWS:,} rows into `metrics` with its unique index, embedded PostgreSQL, one connection; the peer loads "
        f"{PEER_ROWS:,} of the same rows. One run each.",
        ("method", "seconds", "rows/s", "x to_sql", "aim rows/s"),
        [
            (
                "COPY + INSERT, first load",
                f"{first:.1f}",
                f"{ROWS / first:,.0f}",
                f"{ROWS / first / rate:.0f}",
                "120,000",
            ),
            ("same again, DO NOTHING", f"{again:.1f}", f"{ROWS / again:,.0f}", f"{ROWS / again / rate:.0f}", "240,000"),
            (
                "same again, update where distinct",
                f"{update:.1f}",
                f"{ROWS / update:,.0f}",
                f"{ROWS / update / rate:.0f}",
                "",
            ),
            ('pandas.to_sql(method="multi")', f"{peer:.1f}", f"{rate:,.0f}", "1", ""),
        ],
    )


def _seconds(work: Callable[[], object]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def _to_sql(folder: Path, frame: pd.DataFrame) -> float:
    engine = sa.create_engine(ensure_running(folder).replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE metrics"))
    return _seconds(
        lambda: frame.to_sql("metrics", engine, if_exists="append", index=False, method="multi", chunksize=1000)
    )
