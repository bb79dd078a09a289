"""Draws docs/monitor.png: the monitor page in a real browser over a ledger of invented progress.

Run `python -m scripts.draw_monitor` after changing the page. Needs Chromium.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
from tests.browser.chromium import page

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.registry.loader import load_registry, select
from cryptolake.sources.onchain.families import declared
from cryptolake.state.ledger import Ledger
from cryptolake.watch.health import EndpointHealth, RunHealth

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "monitor.png"
DAYS = 62


def invent(data: Path) -> None:
    """A run in the middle of its work: most done, some markets not deployed yet, one chain without an archive."""
    chance, now = random.Random(20241231), datetime.now(UTC)
    ledger, entries = Ledger(data / "ledger.sqlite"), []
    csus = select(load_registry(declared()), sets=["thesis-43", "thesis-46"])
    for csu in csus:
        for number in range(DAYS):
            day = date(2024, 12, 31) - timedelta(days=number)
            state: State = "done"
            if csu.deployed_on is not None and csu.deployed_on > day:
                state = "gone"
            elif csu.chain == "cronos" or chance.random() < 0.004:
                state = "failed"
            elif number > 50 - len(csu.name):
                state = "claimed"
            for dataset in ("tvl", "liquidations"):
                events: State = "empty" if state == "done" and dataset == "liquidations" else state
                reason = None if state != "failed" else "no_archive" if csu.chain == "cronos" else "unreachable"
                at = now - timedelta(minutes=chance.triangular(0, 60, 10))
                partition = Partition(dataset, csu.name, Period.of_day(day))
                entries.append(Entry(partition, events, at, "lab1:7", reason=reason))
    ledger.append_many(sorted(entries, key=lambda one: one.at))
    ledger.close()
    endpoints = [
        EndpointHealth("ethereum", "alchemy-1", 18_204, 12, 0.081, 300.0, 10),
        EndpointHealth("base", "alchemy-1", 9_120, 3, 0.094, 300.0, 10),
        EndpointHealth("cronos", "cronos-own-1", 412, 40, 0.31, 25.0, 2000, problem="keeps no state that old"),
    ]
    began = now - timedelta(minutes=48)
    run = RunHealth("lab1:7", "collect", began, now + timedelta(seconds=20), 5_332, 4_100, 141, 12, endpoints=endpoints)
    (data / "runs").mkdir()
    (data / "runs" / "lab1-7.json").write_bytes(orjson.dumps(asdict(run)))


def main() -> None:
    """Serve, look, take the picture."""
    with tempfile.TemporaryDirectory(prefix="cryptolake-draw-") as folder:
        invent(Path(folder))
        command = [sys.executable, "-c", "from cryptolake.cli import main; main()", "--data", folder]
        process = subprocess.Popen([*command, "monitor", "--serve", "--port", "3917"], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with page(1280, 1080) as browser:
                browser.open("http://127.0.0.1:3917")
                browser.wait_for("document.querySelector('#heat td.d')")
                browser.picture(PICTURE)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
