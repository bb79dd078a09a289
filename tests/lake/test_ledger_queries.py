"""The quick answers of the ledger equal what its entries say, whatever was appended; an older file is brought up to date."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.entry import SETTLED, Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.state.ledger import Ledger

AT = datetime(2025, 1, 1, tzinfo=UTC)
PERIODS = [Period.parse(text) for text in ("2024-12-01", "2024-12-02", "2024-12-02T05", "2024-12-03@ny")]
# Names that end in digits and dashes, or begin like another: a series must not run into its neighbour.
PARTITIONS = [
    Partition(d, k, p) for d in ("tvl", "liquidations") for k in ("a", "a-2024", "ab", "T-9@x"[:3]) for p in PERIODS
]
entries = st.lists(
    st.builds(
        Entry,
        st.sampled_from(PARTITIONS),
        st.sampled_from(get_args(State)),
        st.just(AT),
        attempt=st.integers(1, 9),
        reason=st.sampled_from([None, "rpc", "suspect"]),
    ),
    max_size=30,
)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(entries=entries)
def test_tally_and_series_equal_the_fold(tmp_path_factory, entries: list[Entry]) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    ledger.append_many(entries)
    latest = {one.partition: one for one in entries}
    assert ledger.counts() == Counter(one.state for one in latest.values())
    for series in {(p.dataset, p.key) for p in PARTITIONS}:
        mine = {p: e for p, e in latest.items() if (p.dataset, p.key) == series}
        assert ledger.tally().get(series, {}) == Counter(e.state for e in mine.values())
        assert set(ledger.settled(*series)) == {str(p.period) for p, e in mine.items() if e.state in SETTLED}
        assert {e.partition for e in ledger.series(*series)} == set(mine)
        assert {e.partition for e in ledger.series(*series, "2024-12-02", "2024-12-02")} == {
            p for p in mine if p.period.day == date(2024, 12, 2)
        }
        assert ledger.settled_periods(*series) == {str(p.period) for p, e in mine.items() if e.settled}
        edge = [e.partition for e in ledger.edge(*series)]
        assert set(edge) == {p for p, e in mine.items() if e.state in SETTLED}
        assert edge == list(reversed([e.partition for e in ledger.edge(*series, newest=False)]))
    assert {e.partition for e in ledger.unsettled()} == {p for p, e in latest.items() if not e.settled}
    assert ledger.of(PARTITIONS) == latest
    assert ledger.rebuild_latest() == 0, "the trigger and a fold over everything agree"


def test_a_file_of_the_first_layout_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.append_many([Entry(PARTITIONS[0], "done", AT), Entry(PARTITIONS[1], "failed", AT)])
    ledger.close()
    old = sqlite3.connect(path)
    old.executescript("DROP TABLE tally; DROP INDEX unsettled; DROP TRIGGER fold; PRAGMA user_version = 0;")
    old.executescript("ALTER TABLE entries DROP COLUMN grade; ALTER TABLE latest DROP COLUMN grade;")
    old.executescript(
        "CREATE TRIGGER fold AFTER INSERT ON entries BEGIN INSERT OR REPLACE INTO latest SELECT NEW.partition, NEW.state,"
        " NEW.at, NEW.worker, NEW.attempt, NEW.rows, NEW.digest, NEW.block, NEW.cursor, NEW.reason, NEW.error; END;"
    )
    old.close()
    ledger = Ledger(path)
    assert ledger.counts() == {"done": 1, "failed": 1}
    ledger.append(Entry(PARTITIONS[1], "done", AT, grade="two_voices"))
    assert ledger.counts() == {"done": 2}
    assert {one.partition: one.grade for one in ledger.states().values()} == {
        PARTITIONS[0]: None,
        PARTITIONS[1]: "two_voices",
    }


def test_what_is_said_more_of_an_answer_never_overrules_a_newer_one(tmp_path: Path) -> None:
    """Another process may record a partition anew between reading the ledger and saying more of what it read."""
    at = datetime(2025, 1, 1, 3, 4, 5, 678901, tzinfo=UTC)
    first, second, third = (Entry(one, "done", at, digest=str(one), rows=3) for one in PARTITIONS[:3])
    again = replace(second, at=at + timedelta(microseconds=1), state="failed", digest=None, reason="damaged")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.append_many([first, second])
    ledger.append(again)
    ledger.amend(replace(one, grade="two_voices") for one in (first, second, third))
    assert ledger.states() == {PARTITIONS[0]: replace(first, grade="two_voices"), PARTITIONS[1]: again}
    assert ledger.rebuild_latest() == 0
