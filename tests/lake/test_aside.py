"""A ledger is put aside only when it is damaged and nobody works with it; a failed look proves neither."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cryptolake.contracts.partition import Partition
from cryptolake.errors import Stop
from cryptolake.lake.set_aside import move_damaged
from cryptolake.state.ledger import Ledger

DAY = Partition.parse("tvl/aave_v3_ethereum/2024-12-31")
HOLD = (
    "import sys; from pathlib import Path; from cryptolake.state.ledger import Ledger; "
    "ledger = Ledger(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
)


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no database any more")


def test_a_busy_ledger_is_no_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert move_damaged(path) is None
    finally:
        other.close()
    assert list(tmp_path.glob("ledger.damaged-*")) == []


@pytest.mark.parametrize("hinder", [lambda path: path.unlink(), lambda path: (path.unlink(), path.mkdir())])
def test_a_ledger_that_cannot_be_opened_is_no_damaged_one(tmp_path: Path, hinder: Callable[[Path], object]) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    hinder(path)
    assert move_damaged(path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved there")
def test_a_damaged_ledger_somebody_works_with_stays(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with closing(sqlite3.connect(path)) as connection:  # else the log would mend the file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(path)
    try:
        with pytest.raises(Stop, match="at work with"):
            move_damaged(path)
        assert path.exists()
    finally:
        holder.kill()
        holder.wait()
    assert move_damaged(path) == tmp_path / "ledger.damaged-1.sqlite"
    assert not path.exists()


def test_what_the_write_ahead_log_holds_goes_along(tmp_path: Path) -> None:
    first, path = tmp_path / "first", tmp_path / "ledger.sqlite"
    first.mkdir()
    Ledger(first / "ledger.sqlite").close()
    ledger = Ledger(first / "ledger.sqlite")
    ledger.claim([DAY], "nobody", 1)
    for suffix in ("", "-wal"):  # as a kill would leave it: the log is not folded in
        shutil.copy(first / f"ledger.sqlite{suffix}", f"{path}{suffix}")
    ledger.close()
    log = Path(f"{path}-wal").read_bytes()
    assert log
    damage(path)
    aside = move_damaged(path)
    assert aside is not None
    assert Path(f"{aside}-wal").read_bytes() == log
