"""What the ledger says of an answer lifts nothing above what lies in the answer: panel and verification say the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import orjson
import pytest
from benchmarks.simulated_ethereum import Simulated
from tests.flow.test_beside import POOL, collect, lake
from tests.flow.test_price_evidence import ORACLE, TVL, figures

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import GRADES, at_least, grade_of
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.lake.bronze import Bronze
from cryptolake.work.grading import certified_states

AT = datetime(2024, 12, 2, tzinfo=UTC)


def test_no_entry_stands_above_its_certificate(tmp_path: Path) -> None:
    """Every grade that a ledger may claim, doubted or not; as read anew and as remembered by the next process."""
    states = {}
    for number, (grade, doubted) in enumerate(product(GRADES, (False, True))):
        one = Partition.parse(f"tvl/market/2024-12-{number + 1:02}")
        doubt = (
            {"contradicted": "somebody says otherwise", "verdict": "suspect"} if doubted else {"verdict": "complete"}
        )
        given = {
            "first": [],
            "second": "",
            "voices": {},
            "asked_again": 0,
            "calls": 0,
            "grade": grade,
            "block": 1,
            "block_hash": "0x1",
        }
        payload = {"block": 1, "block_hash": "0x1", "number": number, "certificate": given | doubt}
        raw = Raw(one, "onchain", AT, AT, orjson.dumps(payload))
        Bronze(tmp_path).land(raw)
        states[one] = Entry(one, "done", AT, digest=raw.digest, grade=grade)
    for _ in range(2):
        bronze = Bronze(tmp_path)
        found = certified_states(states, bronze)
        bronze.keep_whole()
        for number, one in enumerate(sorted(states)):
            assert grade_of(found[one].grade) == "one_voice", "a word in a certificate that nothing in it bears out"
            assert at_least(grade_of(states[one].grade), grade_of(found[one].grade))
            assert (found[one].reason == "suspect") == bool(number % 2)


def test_an_answer_that_proves_more_than_the_ledger_says_lifts_nothing(tmp_path: Path) -> None:
    one = Partition.parse("tvl/market/2024-12-01")
    lost = Entry(one, "done", AT, digest="0" * 64, grade="two_voices")
    failed = Entry(one, "failed", AT, digest="0" * 64, grade="two_voices")
    for entry in (lost, failed):
        states = {one: entry}
        assert certified_states(states, Bronze(tmp_path)) is states


@pytest.mark.parametrize("edited", [TVL, ORACLE])
def test_a_grade_that_was_written_into_the_ledger_is_not_in_the_panel(tmp_path: Path, edited: Partition) -> None:
    with lake(tmp_path, grade="one_voice", nodes=[Simulated]) as (app, _):
        assert collect(app, POOL, last=1).failed == 0
        assert figures(app) == [("ok", None, "one_voice")]
        for partition in (edited, TVL, ORACLE):
            entry = app.ledger.state(partition)
            assert entry is not None
            app.ledger.append(replace(entry, grade="receipts_root"))
            assert figures(app) == [("ok", None, "one_voice")]
