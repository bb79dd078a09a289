"""The ledger equals a fold over its entries, lets one worker at a time have a partition, and survives kill -9."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.state.checkpoints import write_checkpoints
from cryptolake.state.ledger import Ledger

AT = datetime(2025, 1, 1, tzinfo=UTC)
PARTITIONS = [
    Partition(dataset, key, Period.of_day(date(2024, 12, day)))
    for dataset in ("tvl", "liquidations")
    for key in ("a", "b")
    for day in (1, 2)
]
entry = st.builds(
    Entry, st.sampled_from(PARTITIONS), st.sampled_from(get_args(State)), st.just(AT), rows=st.none() | st.just(3)
)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(entries=st.lists(entry, max_size=20))
def test_the_latest_entry_of_each_partition_counts(tmp_path_factory, entries: list[Entry]) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.append_many(entries)
    model = {one.partition: one for one in entries}
    assert ledger.states() == model
    assert ledger.states("tvl") == {p: e for p, e in model.items() if p.dataset == "tvl"}
    assert sum(ledger.counts().values()) == len(model)
    ledger.close()
    assert Ledger(path).states() == model


def test_a_claim_is_given_once_until_it_expires_or_is_released(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "l"), Ledger(tmp_path / "l")
    assert first.claim(PARTITIONS, "one", 3600) == set(PARTITIONS)
    assert second.claim(PARTITIONS, "two", 3600) == set()
    first.append(Entry(PARTITIONS[0], "done", AT))
    assert second.claim(PARTITIONS, "two", 3600) == {PARTITIONS[0]}
    first.release("one")
    assert second.claim(PARTITIONS, "two", -1) == set(PARTITIONS)
    assert first.claim(PARTITIONS, "one", 3600) == set(PARTITIONS), "an expired lease is free again"


def test_concurrent_claims_never_overlap(tmp_path: Path) -> None:
    taken: list[Partition] = []

    def claim(worker: str) -> None:
        ledger = Ledger(tmp_path / "l")
        for partition in PARTITIONS:
            taken.extend(ledger.claim([partition], worker, 3600))

    threads = [threading.Thread(target=claim, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(PARTITIONS)


WRITER = """
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition, Period
from cryptolake.state.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(100000):
    day = Period.of_day(date(2000, 1, 1) + timedelta(days=number % 9000))
    ledger.append(Entry(Partition("tvl", "a", day), "done", datetime.now(UTC), rows=number))
    print(number, flush=True)
"""


def test_every_acknowledged_entry_survives_kill_9(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "l")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = -1
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged == 200:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    states = Ledger(tmp_path / "l").states()
    assert len(states) >= acknowledged + 1
    assert all(one.state == "done" for one in states.values())


def test_checkpoints_have_the_documented_shape(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    states: list[State] = ["done", "failed", "empty", "gone"]
    ledger.append_many([Entry(p, s, AT) for p, s in zip(PARTITIONS[:4], states, strict=True)])
    write_checkpoints(ledger, tmp_path)
    assert json.loads((tmp_path / "tvl_progress.json").read_text()) == {
        "a": {
            "completed_dates": ["2024-12-01"],
            "failed_dates": ["2024-12-02"],
            "last_updated": "2025-01-01T00:00:00Z",
        },
        "b": {
            "completed_dates": ["2024-12-01", "2024-12-02"],
            "failed_dates": [],
            "last_updated": "2025-01-01T00:00:00Z",
        },
    }
