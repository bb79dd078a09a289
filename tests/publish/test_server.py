"""The embedded server: shared, tied to no process, whole after kill -9, its password nowhere to be seen."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.waiting import PATIENCE_S

from cryptolake.errors import BadInput, Stop
from cryptolake.publish.place import home_of
from cryptolake.publish.server import ensure_running, stop_embedded
from cryptolake.publish.warehouse import Warehouse

OPEN = (
    "import sys; from pathlib import Path; from cryptolake.publish.server import ensure_running; "
    "print(ensure_running(Path(sys.argv[1])))"
)


def started_at(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str(connection.execute("select pg_postmaster_start_time()").fetchone())


def test_processes_that_start_together_share_one_server(pg_data: Path) -> None:
    stop_embedded(pg_data)
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(pg_data)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    urls = {process.communicate(timeout=PATIENCE_S)[0].strip() for process in processes}
    assert len(urls) == 1
    assert started_at(urls.pop()) == started_at(ensure_running(pg_data))


def test_it_survives_the_death_of_its_owner(pg_data: Path) -> None:
    stop_embedded(pg_data)
    code = OPEN + "; sys.stdout.flush(); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    process = subprocess.run(
        [sys.executable, "-c", code, str(pg_data)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert process.returncode == -signal.SIGKILL
    assert started_at(process.stdout.strip()) == started_at(ensure_running(pg_data))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_committed_rows_survive_kill_9_of_the_server(pg_data: Path) -> None:
    url = ensure_running(pg_data)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists survivors (n int)")
        connection.execute("insert into survivors values (1)")
        (before,) = connection.execute("select count(*) from survivors").fetchone() or (0,)
    pid = int((home_of(pg_data) / "cluster" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    with psycopg.connect(ensure_running(pg_data)) as connection:
        assert connection.execute("select count(*) from survivors").fetchone() == (before,)


def test_an_interrupted_initialisation_is_never_used(tmp_path_factory: pytest.TempPathFactory, pg_data: Path) -> None:
    home = home_of(pg_data)
    half = home / "half-1"
    half.mkdir(exist_ok=True)
    (half / "PG_VERSION").write_text("18")
    with Warehouse.open(pg_data, None) as warehouse:
        assert warehouse.query("select 1 as one").rows() == [(1,)]


def test_the_password_is_private_and_in_no_process_list(pg_data: Path) -> None:
    url = ensure_running(pg_data)
    file = home_of(pg_data) / "password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text()
    assert password in url
    with Warehouse.open(pg_data, None) as warehouse:
        assert password not in warehouse.url
    for name in ("commands.log", "server.log"):
        assert password not in (home_of(pg_data) / name).read_text()


def test_a_folder_no_other_user_may_enter_works_too(tmp_path: Path) -> None:
    data = tmp_path / "private"  # pytest's folders are 0700, so this is a root user's home in small
    data.mkdir(mode=0o700)
    try:
        with Warehouse.open(data, None) as warehouse:
            assert warehouse.query("select 1 as one").rows() == [(1,)]
    finally:
        stop_embedded(data)


@pytest.mark.parametrize(
    ("url", "kind"),
    [("postgresql://me:hunter2secret@127.0.0.1:9/x", Stop), ("not a url at all", BadInput), ("mysql://x", BadInput)],
)
def test_a_wrong_database_url_is_one_line_without_the_password(tmp_path: Path, url: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="DATABASE_URL") as caught:
        Warehouse.open(tmp_path, url)
    assert "hunter2secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_on_a_running_server(pg_data: Path) -> None:
    url = ensure_running(pg_data)
    password = (home_of(pg_data) / "password").read_text()
    with pytest.raises(Stop, match="DATABASE_URL") as caught:
        Warehouse.open(pg_data, url.replace(password, "wrongwrong"))
    assert "wrongwrong" not in str(caught.value)
