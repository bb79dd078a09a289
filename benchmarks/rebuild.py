"""Bronze -> silver -> gold for 47 markets x 365 days, next to a pandas script as the original plan describes it.

Synthetic bronze in the real format (benchmarks/synthetic_lake.py): 20 assets a market, 100 liquidations a day over all
markets and 5,000 on ten stress days. Each measurement runs in a process of its own; memory is that process's peak.
`CRYPTOLAKE_BENCH_BRONZE` keeps the bronze between runs; `CRYPTOLAKE_BENCH_DAYS` shortens the year.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter, process_time

from tests.stores import stores_of

from benchmarks.report import write_table
from benchmarks.synthetic_lake import World, fill, partitions, planned_markets, source

FIRST = date(2024, 1, 1)
DAYS = int(os.environ.get("CRYPTOLAKE_BENCH_DAYS", "365"))
LAST = FIRST + timedelta(days=DAYS - 1)
STRESS = [FIRST + timedelta(days=36 * number + 5) for number in range(10)]


def rebuild(bronze: Path, out: Path, reparse: bool) -> None:
    """Everything from scratch: from the answers, or from the monthly twins that they were read into."""
    from cryptolake.lake.bronze import Bronze
    from cryptolake.lake.tables import Tables
    from cryptolake.state.ledger import Ledger
    from cryptolake.work.panel import build
    from cryptolake.work.refine import refine
    from cryptolake.work.standing import standing

    world, store, ledger, tables = (
        World(planned_markets()),
        Bronze(bronze),
        Ledger(bronze / "ledger.sqlite"),
        Tables(out),
    )
    wanted, states = partitions(world, FIRST, LAST), ledger.states()
    known = standing(states)
    refine(source(world), wanted, bronze=store, tables=tables, states=states, known=known, fresh=True, reparse=reparse)
    build(
        stores_of(out, ledger, bronze=store),
        csus={csu.name: csu for csu in world.csus},
        left_out=(),
        states=states,
        known=known,
    )


def one_day(bronze: Path, out: Path) -> None:
    """The last day of all markets added to finished tables, and the panel built again."""
    from cryptolake.lake.bronze import Bronze
    from cryptolake.lake.tables import Tables
    from cryptolake.state.ledger import Ledger
    from cryptolake.work.panel import build
    from cryptolake.work.refine import refine

    world, ledger, tables = World(planned_markets()), Ledger(bronze / "ledger.sqlite"), Tables(out)
    store, states = Bronze(bronze), ledger.states()
    refine(source(world), partitions(world, LAST, LAST), bronze=store, tables=tables, states=states)
    build(stores_of(out, ledger, bronze=store), csus={csu.name: csu for csu in world.csus}, left_out=(), states=states)


def pandas_script(bronze: Path, out: Path) -> None:
    """The original plan's scripts: JSON per market and day -> one Parquet per market -> group and merge."""
    import pandas as pd

    tvl, liquidations = [], []
    for csu in sorted(path.name for path in (bronze / "plan/tvl").iterdir()):
        rows = []
        for path in sorted((bronze / "plan/tvl" / csu).glob("*.json")):
            document = json.loads(path.read_text())
            for asset in document["tvl_raw"]:
                scale = 10 ** asset["decimals"]
                price = None if asset["price_raw"] is None else int(asset["price_raw"]) / int(asset["price_unit"])
                supplied, borrowed = int(asset["total_supplied_raw"]) / scale, int(asset["total_borrowed_raw"]) / scale
                rows.append(
                    {
                        "date": document["date"], "block": document["block"], "csu": csu, "asset": asset["asset"],
                        "symbol": asset["symbol"], "supplied": supplied, "borrowed": borrowed,
                        "supplied_usd": supplied * (price or 0), "borrowed_usd": borrowed * (price or 0),
                    }
                )  # fmt: skip
        frame = pd.DataFrame(rows)
        frame.to_parquet(out / f"tvl_{csu}.parquet")
        tvl.append(frame)
        rows = []
        for path in sorted((bronze / "plan/liquidations" / csu).glob("*.json")):
            document = json.loads(path.read_text())
            for event in document["liquidations"]:
                price = int(event["debt_price_raw"]) / int(event["debt_price_unit"])
                amount = int(event["debt_amount_raw"]) / 10 ** event["debt_decimals"]
                rows.append({"date": document["date"], "csu": csu, "tx": event["tx"], "usd": amount * price})
        frame = pd.DataFrame(rows)
        frame.to_parquet(out / f"liquidations_{csu}.parquet")
        liquidations.append(frame)
    sums = (
        pd.concat(tvl)
        .groupby(["date", "csu"], as_index=False)
        .agg(
            total_supplied_usd=("supplied_usd", "sum"),
            total_borrowed_usd=("borrowed_usd", "sum"),
            num_assets=("asset", "count"),
        )
    )
    events = pd.concat(liquidations).groupby(["date", "csu"], as_index=False).agg(liquidations_usd=("usd", "sum"))
    panel = sums.merge(events, on=["date", "csu"], how="left").fillna({"liquidations_usd": 0})
    panel["utilization_rate"] = panel["total_borrowed_usd"] / panel["total_supplied_usd"]
    panel.to_parquet(out / "daily_panel.parquet")


def plan_json(bronze: Path) -> None:
    """The documented JSON of every answer, which the pandas script starts from: as `collect` writes it."""
    from cryptolake.lake.bronze import Bronze

    world, store = World(planned_markets()), Bronze(bronze)
    reader = source(world)
    for partition in partitions(world, FIRST, LAST):
        raw = store.read(partition, "onchain")
        assert raw is not None
        section = "tvl_raw" if partition.dataset == "tvl" else "liquidations"
        document = {
            "csu": partition.key,
            "date": str(partition.period),
            "block": raw.block,
            section: list(reader.parse(raw)),
        }
        path = bronze / "plan" / f"{partition}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, default=str))


def _size(folder: Path, pattern: str = "**/*") -> str:
    return f"{sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file()) / 1e6:,.0f} MB"


_JOBS: dict[str, Callable[[Path, Path], None]] = {
    "answers": lambda bronze, out: rebuild(bronze, out, reparse=True),
    "twins": lambda bronze, out: rebuild(bronze, out, reparse=False),
    "day": one_day,
    "pandas": pandas_script,
}


def _measure(job: str, bronze: Path, out: Path) -> dict[str, float]:
    """Run a job in its own process; wall seconds, CPU seconds, peak resident MB, all without starting Python."""
    code = f"from benchmarks.rebuild import inside; inside({job!r}, {str(bronze)!r}, {str(out)!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def inside(job: str, bronze: str, out: str) -> None:
    """What the measured process does."""
    wall, cpu = perf_counter(), process_time()
    _JOBS[job](Path(bronze), Path(out))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"s": perf_counter() - wall, "cpu": process_time() - cpu, "mb": usage.ru_maxrss / 1024}))


def main() -> None:
    """Measure and write the table."""
    kept = os.environ.get("CRYPTOLAKE_BENCH_BRONZE")
    bronze = Path(kept or tempfile.mkdtemp(prefix="cryptolake-bench-"))
    out = Path(tempfile.mkdtemp(prefix="cryptolake-bench-out-"))
    try:
        if not (bronze / "ledger.sqlite").exists():
            fill(bronze, World(planned_markets()), FIRST, LAST, stress=STRESS).close()
        if not (bronze / "plan").exists():
            plan_json(bronze)
        ours, theirs = out / "ours", out / "theirs"
        theirs.mkdir()
        found = {"answers": _measure("answers", bronze, ours)}
        shutil.rmtree(ours)
        found["twins"] = _measure("twins", bronze, ours)
        found["day"] = _measure("day", bronze, ours)
        found["pandas"] = _measure("pandas", bronze, theirs)
        base, load = found["pandas"]["cpu"], os.getloadavg()[0]
        labels = {
            "answers": ("full rebuild, every answer read again", "60 s, 1,500 MB"),
            "twins": ("full rebuild from the monthly twins (`cryptolake rebuild`)", "60 s, 1,500 MB"),
            "day": ("one more day of all markets", "3 s"),
            "pandas": ("pandas, as the original plan describes", ""),
        }
        rows = [
            (
                label,
                f"{found[job]['s']:.1f}",
                f"{found[job]['cpu']:.1f}",
                f"{found[job]['mb']:,.0f}",
                f"{base / found[job]['cpu']:.1f}",
                aim,
            )
            for job, (label, aim) in labels.items()
        ]
        raw = _size(bronze / "bronze", "**/*.raw.json.gz")
        twins, silver = _size(bronze / "bronze", "**/*.parquet"), _size(ours / "silver", "**/*.parquet")
        plain = _size(bronze / "plan")
        gold = sum(p.stat().st_size for p in (ours / "gold").glob("**/*.parquet")) / 1e6
        write_table(
            "rebuild",
            f"47 markets x {DAYS} days, 20 assets each, {len(STRESS) * 4900 + DAYS * 100:,} liquidations, synthetic. One "
            "run each, each in its own process, start of Python's libraries included. Load "
            f"average before: {load:.0f}. The pandas script starts from the "
            "documented JSON (answers already read), prices by each market's own oracle, keeps no raw integers, checks "
            "nothing and turns missing prices into zero. Sizes (the plan expected 500 / 100 / 10 MB): bronze answers "
            f"{raw} compressed, twins {twins}, documented JSON {plain}; silver {silver}; gold {gold:.1f} MB.",
            ("job", "seconds", "CPU seconds", "peak MB", "x pandas (CPU)", "aim"),
            rows,
        )
    finally:
        shutil.rmtree(out, ignore_errors=True)
        if not kept:
            shutil.rmtree(bronze, ignore_errors=True)
