"""The ledger commands as a user runs them, a damaged ledger file included."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.command import cryptolake, widest

pytestmark = pytest.mark.xdist_group("demo")


def test_a_damaged_ledger_is_put_aside_and_rebuilt(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    registry = {"CRYPTOLAKE_REGISTRY": str(demo[0] / "registry.yaml")}
    from cryptolake.demo.replay import sandbox_registry

    shutil.copy(sandbox_registry(), registry["CRYPTOLAKE_REGISTRY"])
    shutil.copytree(demo[0] / "sandbox" / "bronze", tmp_path / "data" / "bronze")
    (tmp_path / "data" / "ledger.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 100)
    refused = cryptolake(tmp_path, "monitor", **registry)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    repaired = json.loads(cryptolake(tmp_path, "ledger", "repair", "--json", **registry).stdout)
    assert repaired["adopted"] == 28
    assert repaired["put_aside"].endswith("ledger.damaged-1.sqlite")
    inspected = cryptolake(tmp_path, "ledger", "inspect", **registry)
    assert "sound" in inspected.stdout
    assert widest(inspected.stdout) <= 100
    one = cryptolake(tmp_path, "ledger", "inspect", "tvl/aave_v3_sandbox/2024-12-05", "--json", **registry)
    assert json.loads(one.stdout)["answer_is_whole"] is True
    exported = cryptolake(tmp_path, "ledger", "export", "--to", "out", **registry)
    assert exported.returncode == 0, exported.stderr
    (tmp_path / "out" / "tvl_progress.json").write_text('{"nobody": {"completed_dates": ["2024-12-01"]}}')
    files = ["out/tvl_progress.json", "out/checkpoint.json"]
    imported = cryptolake(tmp_path, "ledger", "import", *files, "--json", **registry)
    assert imported.returncode == 1, "a market that is not in the registry is told, not passed over"
    assert json.loads(imported.stdout)["unknown_markets"] == ["nobody"]
    assert json.loads(imported.stdout)["known"] == 28
