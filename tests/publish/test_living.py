"""A living server is never harmed: full, paused, moved, copied, its folder deleted; and a dead one is always told from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import psycopg
import pytest
from tests.command import cryptolake
from tests.server_folder import server_folder
from tests.waiting import until

from cryptolake.errors import Stop
from cryptolake.publish import postmaster, server
from cryptolake.publish.place import home_of, own
from cryptolake.publish.postmaster import Answer, Postmaster
from cryptolake.publish.server import ensure_running, is_running, stop_embedded
from cryptolake.publish.warehouse import Warehouse

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
SHORT_S = 0.1


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder of the test's own."""
    with server_folder("living", "data") as folder:
        yield folder / "data"


def pid_file(data: Path) -> Path:
    return home_of(data) / "cluster" / "postmaster.pid"


def serving(data: Path) -> Postmaster:
    found = postmaster.read(home_of(data) / "cluster")
    assert found is not None
    return found


def lives(session: psycopg.Connection) -> bool:
    return session.execute("select 1").fetchone() == (1,)


def test_a_full_server_is_left_alone_and_told(pg_data: Path) -> None:
    url = ensure_running(pg_data)
    before = pid_file(pg_data).read_bytes()
    with contextlib.ExitStack() as sessions:
        opened = [sessions.enter_context(psycopg.connect(url, autocommit=True))]
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                opened.append(sessions.enter_context(psycopg.connect(url, autocommit=True)))
        for command in (["query", "--sql", "select 1"], ["setup"]):
            refused = cryptolake(pg_data, "--data", str(pg_data), *command)
            assert refused.returncode == 1
            (line,) = refused.stderr.splitlines()
            assert "is full" in line
            assert "end idle sessions" in line
        with pytest.raises(Stop, match=r"too many clients.*end idle sessions"):
            Warehouse.open(pg_data, url)
        assert pid_file(pg_data).read_bytes() == before
        assert all(map(lives, opened)), "every session goes on"
        assert is_running(pg_data)
        opened.pop().close()
        assert ensure_running(pg_data) == url, "one session fewer is room enough"
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                sessions.enter_context(psycopg.connect(url))
        assert stop_embedded(pg_data), "stopping needs no session"
    assert not is_running(pg_data)


def test_a_paused_server_is_left_alone_and_told(pg_data: Path) -> None:
    url = ensure_running(pg_data)
    before, named = pid_file(pg_data).read_bytes(), serving(pg_data)
    with psycopg.connect(url, autocommit=True) as session:
        os.kill(named.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Stop, match=f"left alone.*kill -CONT {named.pid}"):
                ensure_running(pg_data, patience_s=SHORT_S)
            assert is_running(pg_data)
            assert pid_file(pg_data).read_bytes() == before
        finally:
            os.kill(named.pid, signal.SIGCONT)
        assert lives(session)
    assert ensure_running(pg_data) == url
    assert serving(pg_data) == named


def test_a_paused_server_that_is_told_to_stop_is_not_called_stopped(pg_data: Path) -> None:
    ensure_running(pg_data)
    named = serving(pg_data)
    os.kill(named.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Stop, match="has not ended"):
            stop_embedded(pg_data, timeout_s=SHORT_S)
        assert is_running(pg_data)
    finally:
        os.kill(named.pid, signal.SIGCONT)
    assert postmaster.await_end(home_of(pg_data) / "cluster", named, 60)
    assert not is_running(pg_data)


@pytest.mark.parametrize("number", ["of a living process", "of a dead child", "of nobody", "none"])
def test_a_pid_file_that_a_crash_left_does_not_hinder_the_start(pg_data: Path, number: str) -> None:
    ensure_running(pg_data)
    left = pid_file(pg_data).read_text().splitlines(keepends=True)
    stop_embedded(pg_data)
    user = "nobody" if os.geteuid() == 0 else None  # the server's own: only such a process can be taken for one
    stranger = subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=user)
    if number in ("of a dead child", "of nobody"):
        stranger.kill()
        os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet taken notice of
    if number == "of nobody":
        stranger.wait()
    text = "" if number == "none" else "".join([f"{stranger.pid}\n", *left[1:]])
    pid_file(pg_data).write_text(text)
    pid_file(pg_data).chmod(0o600)
    own(pid_file(pg_data))
    try:
        assert not is_running(pg_data)
        assert not stop_embedded(pg_data), "nobody is told to stop in the server's place"
        with psycopg.connect(ensure_running(pg_data)) as session:
            assert lives(session)
        if number == "of a living process":
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_is_left_of_a_killed_server_is_waited_for(pg_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = ensure_running(pg_data)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("create table if not exists kept (n int)")
        session.execute("insert into kept values (1)")
        (before,) = session.execute("select count(*) from kept").fetchone() or (0,)
    busy = psycopg.connect(url)
    backend = busy.info.backend_pid

    def work() -> None:
        with contextlib.suppress(psycopg.Error):
            busy.execute("do $$ begin loop end loop; end $$")

    worker = threading.Thread(target=work)
    worker.start()
    with psycopg.connect(url, autocommit=True) as session:
        while (
            session.execute("select 1 from pg_stat_activity where pid = %s and state = 'active'", (backend,)).rowcount
            < 1
        ):
            pass
    os.kill(serving(pg_data).pid, signal.SIGKILL)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(server, "_START_S", SHORT_S)
            with pytest.raises(Stop, match="still uses"):
                ensure_running(pg_data)
    finally:
        os.kill(backend, signal.SIGKILL)
        worker.join()
        busy.close()
    with psycopg.connect(ensure_running(pg_data)) as session:
        assert session.execute("select count(*) from kept").fetchone() == (before,)


def test_a_folder_moved_while_its_server_lives_keeps_working(data: Path) -> None:
    with psycopg.connect(ensure_running(data), autocommit=True) as session:
        session.execute("create table moved (n int)")
        named = serving(data)
        moved = data.rename(data.with_name("moved"))
        try:
            with Warehouse.open(moved, None) as warehouse:
                assert warehouse.query("select count(*) as n from moved").rows() == [(0,)]
            assert serving(moved) == named
            assert lives(session)
        finally:
            assert stop_embedded(moved)
    with psycopg.connect(ensure_running(moved)) as session:
        assert session.execute("select count(*) from moved").fetchone() == (0,)
    assert stop_embedded(moved)


def test_a_copy_never_touches_the_original(data: Path) -> None:
    copy = data.with_name("copy")
    with psycopg.connect(ensure_running(data), autocommit=True) as session:
        before = pid_file(data).read_bytes()
        subprocess.run(["cp", "-a", str(data), str(copy)], check=False)  # files come and go while a server works
        assert (copy / "postgres" / "cluster" / "postmaster.pid").read_bytes() == before
        with pytest.raises(Stop, match=f"was copied while.*delete {copy / 'postgres'}"):
            ensure_running(copy)
        assert not is_running(copy)
        assert not stop_embedded(copy)
        assert lives(session)
        assert pid_file(data).read_bytes() == before
        torn = postmaster.read(data / "postgres" / "cluster")
        assert torn is not None
        os.kill(torn.pid, signal.SIGKILL)
    until(lambda: postmaster.standing(data / "postgres" / "cluster", torn) != "ours", "the server is dead")
    with pytest.raises(Stop, match="was copied while"):
        ensure_running(copy)  # its death does not make the copy whole
    with psycopg.connect(ensure_running(data)) as session:
        assert lives(session)
    shutil.rmtree(copy)
    stop_embedded(data)
    subprocess.run(["cp", "-a", str(data), str(copy)], check=True)
    try:
        assert ensure_running(copy) != ensure_running(data), "copied at rest it is a database of its own"
    finally:
        stop_embedded(copy)


def test_a_folder_deleted_while_its_server_lives_gets_a_new_one(data: Path) -> None:
    ensure_running(data)
    old = serving(data)
    try:
        shutil.rmtree(data)
        with Warehouse.open(data, None) as warehouse:
            assert warehouse.query("select 1 as one").rows() == [(1,)]
        assert serving(data) != old
    finally:
        os.kill(old.pid, signal.SIGQUIT)


def test_a_database_that_lost_its_version_file_is_kept(data: Path) -> None:
    with psycopg.connect(ensure_running(data)):
        pass
    stop_embedded(data)
    home = home_of(data)
    (home / "cluster" / "PG_VERSION").unlink()
    ensure_running(data)
    assert (home / "cluster.damaged-1" / "postgresql.conf").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's databases lie away from a folder nobody else may enter")
def test_a_private_folder_moved_keeps_its_database_and_a_copy_does_not_get_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    try:
        url = ensure_running(data)
        moved = data.rename(tmp_path / "moved")
        assert ensure_running(moved) == url
        copy = tmp_path / "copy"
        shutil.copytree(moved, copy)
        with pytest.raises(Stop, match=f"is a copy.*delete {copy / 'postgres.location'}"):
            ensure_running(copy)
        with pytest.raises(Stop, match="is a copy"):
            stop_embedded(copy)
        assert is_running(moved)
        (copy / "postgres.location").unlink()
        assert ensure_running(copy) != url
        assert stop_embedded(copy)
    finally:
        stop_embedded(tmp_path / "moved")


def test_a_lost_password_is_told_and_the_server_left_alone(pg_data: Path) -> None:
    url = ensure_running(pg_data)
    file, named = home_of(pg_data) / "password", serving(pg_data)
    password = file.read_text()
    try:
        file.write_text("another")
        with pytest.raises(Stop, match="refuses the password") as caught:
            ensure_running(pg_data)
        assert "another" not in str(caught.value).replace("another PostgreSQL", "")
    finally:
        file.write_text(password)
    assert ensure_running(pg_data) == url
    assert serving(pg_data) == named


def test_another_server_on_the_port_is_not_taken_for_ours(data: Path, pg_data: Path) -> None:
    theirs, ours = ensure_running(data), ensure_running(pg_data)
    assert postmaster.ask(ours, serving(pg_data), home_of(pg_data) / "cluster", 10) == "ready"
    assert postmaster.ask(theirs, serving(pg_data), None, 10) == "strange"
    assert postmaster.ask(ours, serving(pg_data), home_of(data) / "cluster", 10) == "strange"


@pytest.mark.parametrize(
    ("code", "text", "answer"),
    [
        ("57P03", "the database system is starting up", "starting"),
        ("57P03", "the database system is not yet accepting connections", "starting"),
        ("57P03", "the database system is in recovery mode", "starting"),
        ("57P03", "the database system is shutting down", "stopping"),
        ("53300", "sorry, too many clients already", "full"),
        ("53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute", "full"),
        ("XX000", "something nobody has heard of", "slow"),
    ],
)
def test_a_refusal_is_told_by_what_the_server_says(code: str, text: str, answer: Answer) -> None:
    """The words are PostgreSQL's own; a listener says them because the states themselves pass too quickly to be met."""
    fields = b"".join(
        kind + value.encode() + b"\0" for kind, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", text))
    )
    message = b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def say() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while (asked := connection.recv(1024))[:8] in (
                            b"\0\0\0\x08\x04\xd2\x16/",
                            b"\0\0\0\x08\x04\xd2\x160",
                        ):
                            connection.sendall(b"N")  # neither encryption
                        if asked:
                            connection.sendall(message)

        speaker = threading.Thread(target=say)
        speaker.start()
        port = listener.getsockname()[1]
        named = Postmaster(1, "/nowhere", 0, port)
        try:
            assert postmaster.ask(f"postgresql://me:secret@127.0.0.1:{port}/postgres", named, None, 10) == answer
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the speaker
            speaker.join()
    assert postmaster.ask(f"postgresql://me:secret@127.0.0.1:{port}/postgres", named, None, 10) == "closed"


@pytest.mark.parametrize("answer", get_args(Answer))
def test_every_answer_has_one_line(tmp_path: Path, answer: Answer) -> None:
    line = server._refusal(tmp_path, Postmaster(77, "/somewhere", 0, 5), answer)
    assert "\n" not in line
    assert "77" in line
