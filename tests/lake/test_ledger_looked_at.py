"""The ledger where nothing may be written: whole while its owner has it open, closed, or was killed at it; never changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from tests.command import CLEAN
from tests.waiting import PATIENCE_S
from tests.write_protected import plain_rights, rights_can_hold, write_protected

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition, Period
from cryptolake.state.ledger import Ledger

pytestmark = pytest.mark.skipif(not rights_can_hold(), reason="file permissions cannot be made to hold here")
_LOOK = """
import json, sys
from pathlib import Path
from cryptolake.contracts.partition import Partition
from cryptolake.errors import Stop
from cryptolake.state.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
try:
    ledger.claim([Partition.parse("tvl/a/2024-12-01")], "me", 60)
    refused = ""
except Stop as error:
    refused = str(error)
print(json.dumps([ledger.counts(), ledger.fault(), refused]))
"""


def _look(path: Path) -> tuple[dict[str, int], str | None, str]:
    run = subprocess.run(
        [sys.executable, "-c", _LOOK, str(path)],
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=plain_rights(),
        check=False,
    )
    assert run.returncode == 0, run.stderr
    counts, fault, refused = json.loads(run.stdout)
    return counts, fault, refused


def _done(day: int) -> Entry:
    partition = Partition("tvl", "a", Period.of_day(date(2024, 12, day)))
    return Entry(partition, "done", datetime.now(UTC), "w", 1, rows=1, digest="d")


def test_what_its_owner_just_wrote_is_seen_and_nothing_can_be_written(tmp_path: Path) -> None:
    path, killed = tmp_path / "data" / "ledger.sqlite", tmp_path / "killed"
    ledger = Ledger(path)
    ledger.append(_done(1))
    with write_protected(path.parent):
        counts, fault, refused = _look(path)
    assert (counts, fault) == ({"done": 1}, None)
    assert "cannot be written" in refused

    ledger.append(_done(2))
    shutil.copytree(path.parent, killed)  # the log beside the file is still there, as after kill -9
    ledger.close()
    for folder in (path.parent, killed):
        with write_protected(folder):
            assert _look(folder / path.name)[:2] == ({"done": 2}, None)


def test_where_there_is_no_ledger_it_is_empty_and_none_is_made(tmp_path: Path) -> None:
    with write_protected(tmp_path):
        assert _look(tmp_path / "ledger.sqlite")[:2] == ({}, None)
    assert list(tmp_path.iterdir()) == []
