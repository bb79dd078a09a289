"""What goes to the workers: no secret without encryption, none in anything printed, the registry along with it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from cryptolake.cluster import worker
from cryptolake.cluster.worker_list import WorkerList, read_workers
from cryptolake.demo.replay import sandbox_registry
from cryptolake.errors import Stop
from cryptolake.settings import Settings

KEY, PASSWORD, VENDOR = "alchemy-key-1", "database-password", "vendor-key-1"
URL = f"postgresql://ann:{PASSWORD}@db:5432/lake"


def settings(**more: object) -> Settings:
    given = {
        "rpc": {"sandbox": [f"http://node/{KEY}"]},
        "alchemy_keys": [KEY],
        "DATABASE_URL": URL,
        "variables": {"DEFILLAMA_API_KEY": VENDOR},
        **more,
    }
    return Settings(_env_file=None, **given)  # type: ignore[call-arg,arg-type]


def test_an_open_way_carries_no_secret() -> None:
    job = worker.make_job("1", settings(), ["a"], database_url=None)
    sent = pickle.dumps(job)
    assert job.own_secrets
    assert VENDOR.encode() not in sent
    assert KEY.encode() not in sent
    assert PASSWORD.encode() not in sent


def test_an_encrypted_way_carries_them_and_nothing_prints_them() -> None:
    job = pickle.loads(pickle.dumps(worker.make_job("1", settings(), ["a"], database_url=URL)))
    assert job.settings.rpc["sandbox"][0].get_secret_value().endswith(KEY)
    assert job.settings.database_url.get_secret_value() == URL
    assert VENDOR.encode() not in pickle.dumps(job)  # workers ask chains, no vendor
    assert job.settings.budgets == "database"
    assert KEY not in repr(job)
    assert PASSWORD not in repr(job)


def test_a_worker_of_another_version_refuses() -> None:
    job = worker.ClusterRun("1", "0.0.0", settings(), None, (), own_secrets=False)
    with pytest.raises(Stop, match="install the same version everywhere"):
        worker.report(job)


def test_a_worker_without_a_database_says_whose_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("CRYPTOLAKE_DATABASE_URL", raising=False)
    job = worker.make_job("2", settings(registry=sandbox_registry()), ["aave_v3_sandbox"], database_url=None)
    assert job.registry == sandbox_registry().read_text()
    with pytest.raises(Stop, match="no DATABASE_URL"):
        worker.report(job)


def test_discovered_files_only_grow(tmp_path: Path) -> None:
    worker.unpack(tmp_path, {"base-1.jsonl": b"long text", "../evil.jsonl": b"stays inside"})
    worker.unpack(tmp_path, {"base-1.jsonl": b"short"})
    assert worker.pack(tmp_path, "base") == {"base-1.jsonl": b"long text"}
    assert (tmp_path / "evil.jsonl").exists()
    assert worker.pack(tmp_path, "mainnet") == {}


def test_the_roll_adds_up_and_is_read_back(tmp_path: Path) -> None:
    assert read_workers(tmp_path) == []
    listed = WorkerList(tmp_path)
    listed.answered("lab1:7", partitions=3, failed=False, seconds=1.5, requests=4)
    listed.answered("lab1:7", partitions=1, failed=True, seconds=0.5, requests=9)
    listed.answered("lab2:8", partitions=2, failed=False, seconds=1.0, requests=2)
    listed.close()
    first, second = read_workers(tmp_path)
    assert (first.name, first.trips, first.partitions, first.failed_trips, first.busy_s) == ("lab1:7", 2, 4, 1, 2.0)
    assert (first.requests, second.requests) == (9, 2)
    assert [first, second] == listed.workers()
    assert listed.line().startswith("2 workers, ")
