"""Asked to stop by a signal in the middle of a request, a collection ends cleanly, and the next one does the rest once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.command import CLEAN
from tests.loopback import LoopbackServer
from tests.waiting import PATIENCE_S

from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.state.ledger import Ledger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

COLLECT = ["--csu", "aave_v3_sandbox", "--start-date", "2024-12-01", "--end-date", "2024-12-14", "--workers", "1"]


class Gate:
    """Passes JSON-RPC on to the sandbox; holds back the n-th request until it is opened."""

    def __init__(self, behind: str, hold: int) -> None:
        self.held, self.opened, self.seen, self.members = threading.Event(), threading.Event(), 0, 0
        gate, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    gate.seen += 1
                    gate.members += body.count(b'"method"')
                    mine = gate.seen == hold
                if mine:
                    gate.held.set()
                    gate.opened.wait(PATIENCE_S)
                with urlopen(Request(behind, body, {"content-type": "application/json"})) as answer:
                    content = answer.read()
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Silent."""

        self._server = LoopbackServer(Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Let everybody through and end."""
        self.opened.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def sandbox() -> Iterator[Replay]:
    with Replay() as replay:
        yield replay


def start(data: Path, url: str) -> subprocess.Popen[str]:
    """A collection of the sandbox's fortnight."""
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()", "collect", *COLLECT]
    variables = {
        "CRYPTOLAKE_RPC_SANDBOX": url,
        "CRYPTOLAKE_REGISTRY": str(sandbox_registry()),
        "CRYPTOLAKE_DATA": str(data),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**CLEAN, **variables}, **pipes)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(("number", "hold"), [(signal.SIGTERM, 9), (signal.SIGINT, 30)])
def test_a_signal_ends_a_collection_cleanly(tmp_path: Path, sandbox: Replay, number: signal.Signals, hold: int) -> None:
    gate = Gate(sandbox.rpc_url, hold)
    try:
        process = start(tmp_path, gate.url)
        assert gate.held.wait(PATIENCE_S)
        process.send_signal(number)
        assert process.stderr is not None
        while "stopping at the next safe point" not in process.stderr.readline():
            assert process.poll() is None
        gate.opened.set()
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 128 + number
        assert "Traceback" not in err
        assert "run the same command again" in err
        assert "given back" in out
        ledger = Ledger(tmp_path / "ledger.sqlite")
        kept = {str(p): e.at for p, e in ledger.states().items() if e.state in {"done", "empty"}}
        assert ledger.holders() == []
        assert len(kept) < 28
        again = start(tmp_path, gate.url)
        again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0
        states = ledger.states()
        assert {e.state for e in states.values()} <= {"done", "empty"}
        assert len(states) == 28
        assert {name: at for name, at in kept.items() if states_at(ledger)[name] != at} == {}, "nothing was done twice"
    finally:
        gate.close()


def states_at(ledger: Ledger) -> dict[str, object]:
    """When every partition got its latest entry."""
    return {str(partition): entry.at for partition, entry in ledger.states().items()}


def test_a_second_signal_ends_it_at_once(tmp_path: Path, sandbox: Replay) -> None:
    gate = Gate(sandbox.rpc_url, 9)
    try:
        process = start(tmp_path, gate.url)
        assert gate.held.wait(PATIENCE_S)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while "stopping" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143, "although its request is still unanswered"
        process.communicate()
    finally:
        gate.close()
