"""A program lets other machines ask by the same words as a command."""

from __future__ import annotations

import sys

import pytest
from tests.cluster.machines import lab_machines
from tests.hostile.test_killed_anywhere import outcome
from tests.server_folder import server_folder

import cryptolake as cl
from cryptolake.demo.replay import Replay, sandbox_registry

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the lab machines of this test are POSIX"),
    pytest.mark.xdist_group("cluster"),
]


def test_a_program_collects_on_a_cluster_what_it_collects_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    asked = {"csu": "aave_v3_sandbox", "start": "2024-12-01", "end": "2024-12-03"}
    with server_folder("program", "data") as folder, Replay() as replay, lab_machines(folder, 1, open_ssh=False) as lab:
        monkeypatch.setenv("HOME", str(lab.home))
        settings = {"registry": sandbox_registry(), "rpc": {"sandbox": [replay.rpc_url]}}
        for name, cluster in (("alone", None), ("data", lab.address)):
            with cl.open(folder / name, **settings) as lake:
                collected = lake.collect(**asked, workers=2, cluster=cluster)  # type: ignore[arg-type]
                assert (collected.failed, collected.done + collected.empty) == (0, 6)
        assert (folder / "data" / "workers.json").exists()
        assert not (folder / "alone" / "workers.json").exists()
        wanted, found = outcome(folder / "alone"), outcome(folder / "data")
    assert found["answers"] == wanted["answers"]
    assert found["states"] == wanted["states"]
