"""The monitor's server over real HTTP: the documents, live updates, health, and who may read it."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.command import cryptolake
from tests.flow.scripted import day
from tests.monitor.serving import serving
from tests.waiting import PATIENCE_S

from cryptolake.contracts.entry import Entry
from cryptolake.state.ledger import Ledger


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitor")
    ledger = Ledger(folder / "ledger.sqlite")
    now = datetime.now(UTC)
    ledger.append_many(Entry(day(n, "aave_v3_ethereum"), "done", now) for n in range(10))
    ledger.append(Entry(day(10, "aave_v3_ethereum"), "failed", now, reason="no_archive", error="pruned"))
    ledger.close()
    return folder


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    with serving(data) as (found, _):
        yield found


def read(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urlopen(Request(url, headers=headers), timeout=PATIENCE_S) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_the_page_and_its_files_come_with_a_strict_policy(address: str) -> None:
    for path, words in (("/", b"<title>cryptolake"), ("/page.js", b"EventSource"), ("/page.css", b"--done")):
        status, headers, body = read(address + path)
        assert status == 200
        assert words in body
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_status_document(address: str) -> None:
    document = json.loads(read(f"{address}/api/status?days=11&last=2024-12-11")[2])
    assert document["markets"] == [
        {"market": "aave_v3_ethereum", "tvl": "dddddddddd" + "f", "liquidations": "." * 11, "chain": "ethereum"}
    ]
    (failure,) = document["failures"]
    assert "archive endpoint" in failure["remedy"]


@pytest.mark.parametrize(
    "query", ["days=0", "days=x", "days=401", "last=yesterday", "last=0001-01-01", "last=9999-12-31"]
)
def test_a_wrong_question_is_refused(address: str, query: str) -> None:
    status, _, body = read(f"{address}/api/status?{query}")
    assert status == 400
    assert json.loads(body)["error"]


def test_metrics_and_health(address: str) -> None:
    status, headers, body = read(address + "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert b'cryptolake_partitions{dataset="tvl",state="done"} 10' in body
    assert read(address + "/healthz")[0] == 200
    assert read(address + "/nothing")[0] == 404


def test_another_site_that_points_its_name_here_reads_nothing(address: str) -> None:
    assert read(address + "/api/status", Host="evil.example")[0] == 403
    assert read(address + "/api/status", Host="localhost:1")[0] == 200


def test_a_change_is_pushed_to_every_listener(address: str, data: Path) -> None:
    streams = [urlopen(f"{address}/api/events?days=3&last=2024-12-31", timeout=PATIENCE_S) for _ in range(2)]
    for stream in streams:
        first = json.loads(stream.readline().removeprefix(b"data: "))
        assert first["markets"][0]["tvl"] == "..."
        stream.readline()
    ledger = Ledger(data / "ledger.sqlite")
    ledger.append(Entry(day(29, "aave_v3_ethereum"), "done", datetime.now(UTC)))
    ledger.close()
    for stream in streams:
        assert json.loads(stream.readline().removeprefix(b"data: "))["markets"][0]["tvl"] == ".d."
        stream.close()


def test_a_ledger_that_breaks_is_told_by_health(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.sqlite").close()
    with serving(tmp_path) as (address, _):
        assert read(address + "/healthz")[0] == 200
        (tmp_path / "ledger.sqlite").write_bytes(b"\0" * 9000)
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"ledger.sqlite{suffix}").unlink(missing_ok=True)
        status, _, body = read(address + "/healthz")
        assert status == 503
        assert json.loads(body)["status"] == "failing"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_although_somebody_listens(data: Path, number: signal.Signals) -> None:
    with serving(data) as (address, process):
        stream = urlopen(f"{address}/api/events", timeout=PATIENCE_S)
        stream.readline()
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_taken_port_is_told_in_one_line(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cryptolake(data, "--data", str(data), "monitor", "--serve", "--port", str(port))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "--port" in result.stderr
