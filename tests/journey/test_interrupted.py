"""Ctrl-C ends a command at once whatever it waits for, and says what is left and how to go on. Real processes and HTTP."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import product
from pathlib import Path

import pytest
from tests.command import CLEAN, cryptolake
from tests.examples import representative
from tests.loopback import LoopbackServer
from tests.server_folder import server_folder
from tests.waiting import PATIENCE_S, until

from cryptolake.demo.replay import sandbox_registry
from cryptolake.state.ledger import Ledger

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
    pytest.mark.xdist_group("interrupted"),
]

# As from a terminal: a test may itself run where Ctrl-C is ignored, which is inherited.
HEARS = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); from cryptolake.cli import main; main()"
LATER = "100"  # seconds; longer than any client waits by itself, shorter than what it refuses to wait for
VENDORS = ("defillama", "defillama_stablecoins", "defillama_bridges", "defillama_coins", "coingecko")
DAYS = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-01", "--end-date", "2024-12-02")


@dataclass
class Trouble:
    """A server that has one way not to answer, and everything it was asked."""

    kind: str
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def trouble(kind: str) -> Iterator[Trouble]:
    """The server while it lasts. Kinds: hangs, drips, or a status that comes with `Retry-After`."""
    found, lock = Trouble(kind), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                found.asked[f"{self.path} {body.decode()}"] += 1
            if kind == "hangs":
                found.over.wait(PATIENCE_S)
            elif kind == "drips":
                self.send_response(200)
                self.send_header("content-length", "100000")
                self.end_headers()
                while not found.over.wait(0.2):
                    try:
                        self.wfile.write(b" ")
                        self.wfile.flush()
                    except OSError:
                        return
            else:
                self.send_response(int(kind))
                self.send_header("retry-after", LATER)
                self.send_header("content-length", "0")
                self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = LoopbackServer(Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def ready() -> Iterator[Path]:
    """A folder with a database, so that a command asks at once."""
    with server_folder("interrupted", "data") as folder:
        assert cryptolake(folder, "setup").returncode == 0
        yield folder


def interrupted(folder: Path, at: Trouble, *words: str, registry: Path | None = None) -> tuple[int, str, str]:
    """How a command ends that got Ctrl-C while it waited for this server: exit code, output, errors."""
    shutil.rmtree(folder / "data" / "limits", ignore_errors=True)  # a pause that the case before was asked for
    hosts = {f"CRYPTOLAKE_URL_{name.upper()}": f"{at.url}/{name}" for name in VENDORS}
    ours = {"CRYPTOLAKE_REGISTRY": str(registry or sandbox_registry()), "CRYPTOLAKE_RPC_SANDBOX": at.url, **hosts}
    process = subprocess.Popen(
        [sys.executable, "-c", HEARS, *words],
        cwd=folder,
        env={**CLEAN, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: at.asked or process.poll() is not None, "the first question")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


KINDS = ("hangs", "drips", "429", "503")


WAITS = {
    "pull": ("pull", "defillama", "--key", "aave"),
    "backfill": ("backfill", "defillama", "--key", "usd-coin"),
    "coins": ("coins", "refresh"),
    "collect": ("collect", *DAYS),
}


@pytest.mark.parametrize(("name", "kind"), representative(product(WAITS, KINDS)))
def test_ctrl_c_ends_every_wait(ready: Path, name: str, kind: str) -> None:
    words = WAITS[name]
    with trouble(kind) as at:
        code, out, err = interrupted(ready, at, *words)
    assert code == 130, (out, err)
    assert "Traceback" not in err
    assert max(at.asked.values()) == 1, "nothing was asked again after Ctrl-C"
    if words[0] == "collect":
        assert "run the same command again to go on" in err
    else:
        last = err.strip().splitlines()[-1]
        assert last.startswith("cryptolake: interrupted; what was answered is kept")
        assert last.endswith(f"go on with: cryptolake {' '.join(words)}")
    ledger = Ledger(ready / "data/ledger.sqlite")
    assert ledger.holders() == []
    assert "failed" not in {one.state for one in ledger.states().values()}, "who was not waited for has not failed"
    ledger.close()


@pytest.mark.parametrize(
    "kind", ["hangs", *(pytest.param(one, marks=pytest.mark.soak) for one in KINDS if one != "hangs")]
)
def test_prices_too(lake: Path, tmp_path: Path, kind: str) -> None:
    registry = tmp_path / "registry.yaml"  # with a name for the chain, or the vendor is not asked at all
    described = sandbox_registry().read_text("utf-8")
    assert described.count("defillama_name: null") == 1
    registry.write_text(described.replace("defillama_name: null", "defillama_name: ethereum"), "utf-8")
    with trouble(kind) as at:
        words = ("prices", "collect", "--source", "defillama", "--all")
        code, out, err = interrupted(lake, at, *words, registry=registry)
    assert code == 130, (out, err)
    assert max(at.asked.values()) == 1
    assert "go on with: cryptolake prices collect --source defillama --all" in err
