"""A run that reaches its ceiling ends with a word, a remedy and an exit code, never with a day that is half answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.journey.test_stopped import Gate

from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.state.ledger import Ledger

SPAN = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-01", "--end-date", "2024-12-14")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--max-calls", "40"), " of 40 calls"),
        (("--max-usd", "0.00004"), "of this run: "),
        ((), "of local in this month"),
    ],
)
def test_a_ceiling_ends_a_run_and_the_next_one_goes_on(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    toml = "[rpc_prices]\nlocal = 1.0\n" + ("" if flags else "[ceilings.local]\nunits = 40\n")
    (tmp_path / "cryptolake.toml").write_text(toml)
    with Replay() as replay:
        gate = Gate(replay.rpc_url, hold=0)
        try:
            variables = {
                "CRYPTOLAKE_RPC_SANDBOX": gate.url,
                "CRYPTOLAKE_REGISTRY": str(sandbox_registry()),
                "CRYPTOLAKE_DATA": str(tmp_path / "data"),
            }
            ended = cryptolake(tmp_path, "run", *SPAN, *flags, **variables)
            assert ended.returncode not in (0, None)
            assert "ceiling reached" in ended.stderr
            assert words in ended.stderr
            assert "Traceback" not in ended.stderr
            assert gate.members <= 40
            ledger = Ledger(tmp_path / "data" / "ledger.sqlite")
            kept = {partition: entry.at for partition, entry in ledger.states().items() if entry.state == "done"}
            assert len(kept) < 28
            assert ledger.holders() == []
            (tmp_path / "cryptolake.toml").unlink()
            assert cryptolake(tmp_path, "collect", *SPAN, **variables).returncode == 0
            after = ledger.states()
            assert {entry.state for entry in after.values()} <= {"done", "empty"}
            assert len(after) == 28
            assert all(after[partition].at == at for partition, at in kept.items()), "nothing was asked twice"
        finally:
            gate.close()
