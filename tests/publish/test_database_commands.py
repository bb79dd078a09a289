"""`cryptolake db`: what is said of it, its address without the password, and a stop that harms nobody. Real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.command import cryptolake
from tests.server_folder import server_folder

from cryptolake.files.lock import held
from cryptolake.publish.server import ensure_running, stop_embedded
from cryptolake.publish.session import without_password
from cryptolake.state.folder import DataFolder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with server_folder("db", "data") as made:
        yield made


def told(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def untouched() -> Iterator[Path]:
    with server_folder("db", "data") as made:
        yield made


def test_a_database_is_seen_reached_and_stopped(untouched: Path) -> None:
    folder = untouched
    before = told(cryptolake(folder, "db", "status", "--json"))
    assert (before["state"], before["pid"]) == ("never made", None)
    assert "was not running" in cryptolake(folder, "db", "stop").stdout
    asked_at = datetime.now(UTC).replace(microsecond=0)
    address = told(cryptolake(folder, "db", "url", "--json"))
    secret = Path(str(address["password_file"])).read_text().strip()
    plain = cryptolake(folder, "db", "url")
    assert plain.stdout.strip() == address["url"]
    assert secret not in json.dumps(address) + plain.stdout + plain.stderr
    with psycopg.connect(str(address["url"]), password=secret) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        refused = cryptolake(folder, "db", "stop")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "used by 1 open session" in refused.stderr
    running = told(cryptolake(folder, "db", "status", "--json"))
    assert running["state"] == "running"
    assert running["port"] == int(str(address["url"]).rpartition(":")[2].partition("/")[0])
    assert isinstance(running["size_bytes"], int)
    assert running["size_bytes"] > 0
    assert datetime.fromisoformat(str(running["since"])) >= asked_at
    assert told(cryptolake(folder, "db", "stop", "--json")) == {"stopped": True}
    assert told(cryptolake(folder, "db", "status", "--json"))["state"] == "stopped"


@contextmanager
def scheduler_at_work(folder: Path) -> Iterator[None]:
    with held(DataFolder(folder / "data").scheduler_lock) as mine:
        assert mine
        yield


def test_a_database_in_use_is_stopped_only_by_force(folder: Path) -> None:
    ensure_running(folder / "data")
    with scheduler_at_work(folder):
        refused = cryptolake(folder, "db", "stop")
        assert refused.returncode == 1
        assert "used by scheduler" in refused.stderr
        assert told(cryptolake(folder, "db", "status", "--json"))["used_by"] != []
        assert told(cryptolake(folder, "db", "stop", "--force", "--json")) == {"stopped": True}


def test_what_is_connected_uses_the_database(folder: Path) -> None:
    with psycopg.connect(ensure_running(folder / "data")):
        assert told(cryptolake(folder, "db", "status", "--json"))["used_by"] == ["1 open session"]
        refused = cryptolake(folder, "db", "stop")
        assert (refused.returncode, "used by 1 open session" in refused.stderr) == (1, True)
    assert told(cryptolake(folder, "db", "stop", "--json")) == {"stopped": True}


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only a copy made by root belongs to nobody else"
)
def test_a_copy_made_by_root_can_be_started(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    ensure_running(folder / "data")
    assert told(cryptolake(folder, "db", "stop", "--json")) == {"stopped": True}
    shutil.copytree(folder / "data", folder / "copy", copy_function=shutil.copyfile)
    for one in (folder / "copy" / "postgres").rglob("*"):
        one.chmod(0o700 if one.is_dir() else 0o600)
        os.chown(one, 0, 0)
    try:
        with psycopg.connect(ensure_running(folder / "copy")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        stop_embedded(folder / "copy")


def test_the_user_s_own_server_is_not_stopped(folder: Path) -> None:
    url = "postgresql://me:top%20secret@db.example:5433/prices?sslmode=require&sslpassword=hidden"
    shown = cryptolake(folder, "db", "url", DATABASE_URL=url)
    assert shown.stdout.strip() == "postgresql://me@db.example:5433/prices?sslmode=require"
    assert "secret" not in shown.stdout + shown.stderr
    refused = cryptolake(folder, "db", "stop", DATABASE_URL=url)
    assert refused.returncode == 2
    assert "your own server" in refused.stderr
    assert told(cryptolake(folder, "db", "status", "--json", DATABASE_URL=url))["state"] == "your own server"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://a:b@h/d", "postgresql://a@h/d"),
        ("host=h password=b user=a dbname=d", "postgresql://a@h/d"),
        ("postgresql://a:b@[::1]:5432/d", "postgresql://a@[::1]:5432/d"),
        ("postgresql:///d?host=/run/pg&password=b", "postgresql://%2Frun%2Fpg/d"),
    ],
)
def test_no_address_shows_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
