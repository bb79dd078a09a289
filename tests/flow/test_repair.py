"""Ledger and bronze made to agree again, and checkpoints taken over only as far as they can be proven."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.flow.scripted import Scripted, day, raw

from cryptolake.contracts.entry import Entry
from cryptolake.errors import BadInput
from cryptolake.flow.collect import collect
from cryptolake.flow.resume import compare, damaged, wish_for
from cryptolake.lake.bronze import Bronze
from cryptolake.state.checkpoints import read_checkpoint, write_checkpoints, write_tasks
from cryptolake.state.ledger import Ledger
from cryptolake.work.repair import import_claims, repair

WANTED = [day(number, dataset=dataset) for dataset in ("tvl", "liquidations") for number in range(4)]


@pytest.fixture
def lake(tmp_path: Path) -> tuple[Bronze, Ledger]:
    """Eight settled days of market `a`."""
    bronze, ledger = Bronze(tmp_path), Ledger(tmp_path / "ledger.sqlite")
    collect(Scripted(), WANTED, bronze=bronze, ledger=ledger)
    return bronze, ledger


def test_a_truncated_answer_is_found_and_collected_again(lake: tuple[Bronze, Ledger]) -> None:
    bronze, ledger = lake
    path = bronze.raw_path(WANTED[2], "onchain")
    path.write_bytes(path.read_bytes()[:40])
    bronze.raw_path(WANTED[5], "onchain").unlink()
    assert damaged(compare(wish_for(WANTED), ledger), bronze.intact) == [WANTED[2], WANTED[5]]
    found = repair(ledger, bronze, Scripted(), known=lambda _: True)
    assert found.damaged == tuple(sorted([WANTED[2], WANTED[5]]))
    left = compare(wish_for(WANTED), ledger, only_failed=True)
    assert left.missing == [WANTED[2], WANTED[5]]
    source = Scripted()
    collect(source, left.missing, bronze=bronze, ledger=ledger)
    assert set(source.order) == {WANTED[2], WANTED[5]}
    assert repair(ledger, bronze, Scripted(), known=lambda _: True).damaged == ()


def test_another_answer_under_the_same_name_is_not_the_recorded_one(lake: tuple[Bronze, Ledger]) -> None:
    """Whole by its own digest, but not what the ledger recorded: skipping is by content, not by existence."""
    bronze, ledger = lake
    other = raw(WANTED[0])
    bronze.land(type(other)(**{**{n: getattr(other, n) for n in other.__slots__}, "payload": b"other"}))
    assert bronze.intact(WANTED[0])
    assert damaged(compare(wish_for(WANTED), ledger), bronze.intact) == [WANTED[0]]


def test_a_lost_ledger_is_rebuilt_from_bronze(lake: tuple[Bronze, Ledger], tmp_path: Path) -> None:
    bronze, ledger = lake
    fresh = Ledger(tmp_path / "fresh.sqlite")
    found = repair(fresh, bronze, Scripted(), known=lambda _: True)
    assert found.adopted == len(WANTED)
    assert {p: (e.state, e.digest) for p, e in fresh.states().items()} == {
        p: (e.state, e.digest) for p, e in ledger.states().items()
    }


def test_latest_entries_are_folded_again(lake: tuple[Bronze, Ledger]) -> None:
    _, ledger = lake
    with ledger._transaction() as connection:
        connection.execute("UPDATE latest SET state = 'failed' WHERE partition = ?", (str(WANTED[0]),))
        connection.execute("DELETE FROM tally")
    assert ledger.counts() == {}
    assert ledger.rebuild_latest() == 1
    assert ledger.counts() == {"done": 8}
    assert ledger.rebuild_latest() == 0


def test_both_checkpoint_shapes_go_round(lake: tuple[Bronze, Ledger], tmp_path: Path) -> None:
    bronze, ledger = lake
    ledger.append(Entry(day(9), "failed", datetime(2025, 1, 1, tzinfo=UTC), reason="rpc", error="RPC timeout"))
    files = [*write_checkpoints(ledger, tmp_path / "c"), write_tasks(ledger, tmp_path / "c" / "checkpoint.json")]
    tasks = json.loads(files[2].read_text())
    assert tasks["completed_tasks"][0] == {"csu": "a", "date": "2024-12-01", "tvl": True, "liquidations": True}
    assert tasks["failed_tasks"] == [{"csu": "a", "date": "2024-12-10", "error": "tvl: RPC timeout"}]
    for file in files:
        fresh = Ledger(tmp_path / f"{file.stem}.sqlite")
        found = import_claims(read_checkpoint(file), fresh, bronze, Scripted())
        dataset = file.name.partition("_")[0]
        settled = {p for p, e in fresh.states().items() if e.state == "done"}
        assert settled == {p for p in WANTED if dataset in (p.dataset, "checkpoint.json")}
        assert found.unanswered == 0


def test_a_completed_day_without_its_answer_stays_to_be_asked(tmp_path: Path) -> None:
    """The plan's own example, word for word."""
    path = tmp_path / "checkpoint.json"
    path.write_text(
        json.dumps(
            {
                "last_updated": "2025-01-07T18:00:00Z",
                "completed_tasks": [
                    {"csu": "aave_v3_ethereum", "date": "2024-12-01", "tvl": True, "liquidations": True},
                    {"csu": "aave_v3_ethereum", "date": "2024-12-02", "tvl": True, "liquidations": False},
                ],
                "failed_tasks": [{"csu": "kinetic_flare", "date": "2024-12-15", "error": "RPC timeout"}],
            }
        )
    )
    ledger = Ledger(tmp_path / "ledger.sqlite")
    claims = read_checkpoint(path)
    found = import_claims(claims, ledger, Bronze(tmp_path), Scripted())
    assert (found.unanswered, found.failures, found.adopted) == (3, 2, 0)
    assert ledger.counts() == {"failed": 2}
    assert {e.error for e in ledger.states().values()} == {"RPC timeout"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"a": {"completed_dates": "x"}}', "no list 'completed_dates'"),
        ('{"completed_tasks": [{"csu": "a"}]}', "csu and date"),
        ('{"a": {"completed_dates": ["yesterday"]}}', "no period"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "tvl_progress.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_checkpoint(path)
