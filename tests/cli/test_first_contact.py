"""`first-contact` against the replay and servers that misbehave: every verdict is earned, nothing secret or stored moves."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.loopback import Answer, LoopbackServer, serving
from tests.write_protected import picture

from cryptolake.demo.replay import Replay, sandbox_registry

KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
Verdicts = dict[tuple[str, str], tuple[str, str]]


def _contact(folder: Path, *words: str, **variables: str) -> tuple[int, dict[str, object], Verdicts]:
    """Exit code, the document, and (kind of provider, check) -> verdict and words."""
    run = cryptolake(
        folder,
        "--registry",
        str(sandbox_registry()),
        "first-contact",
        "--json",
        *words,
        **{"CRYPTOLAKE_PUBLIC_RPC": "0", **variables},
    )
    assert run.stdout, run.stderr
    document = json.loads(run.stdout)
    found = {(one["kind"], one["check"]): (one["verdict"], one["says"]) for one in document["checks"]}
    return run.returncode, document, found


def _everything_written(folder: Path) -> str:
    texts = []
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        body = file.read_bytes()
        texts.append((gzip.decompress(body) if file.suffix == ".gz" else body).decode())
    return "\n".join(texts)


def test_the_replayed_chain_and_a_vendor_are_as_assumed_and_nothing_stored_changes(tmp_path: Path) -> None:
    cryptolake(tmp_path, "--data", "data", "ledger", "inspect")
    before = picture(tmp_path / "data")
    with Replay() as replay:
        urls = {f"CRYPTOLAKE_URL_{host.upper()}": url for host, url in replay.urls.items()}
        _, document, found = _contact(
            tmp_path,
            "--chain",
            "sandbox",
            "--vendor",
            "alternative_me",
            CRYPTOLAKE_RPC_SANDBOX=replay.rpc_url,
            **urls,
        )
    after = {name: what for name, what in picture(tmp_path / "data").items() if not name.startswith("limits")}
    assert after == before
    for check in (
        "chain id",
        "headers",
        "batch",
        "burst",
        "day tvl aave_v3_sandbox",
        "day liquidations aave_v3_sandbox",
    ):
        assert found["chain", check][0] == "as assumed", found["chain", check]
    assert found["chain", "log span"][0] == "not asked"  # the replayed chain is shorter than the span
    assert found["vendor", "fear_greed"][0] == "as assumed"
    assert found["vendor", "anchor"][0] == "different"  # invented, and not back to 2018
    assert json.loads((tmp_path / "first-contact" / "report.json").read_text())["checks"] == document["checks"]


def test_recordings_say_what_was_asked_when_and_can_be_read_as_recorded_answers_are(tmp_path: Path) -> None:
    with Replay() as replay:
        urls = {f"CRYPTOLAKE_URL_{host.upper()}": url for host, url in replay.urls.items()}
        _contact(tmp_path, "--vendor", "alternative_me", **urls)
    folder = tmp_path / "first-contact" / "recordings"
    body = gzip.decompress((folder / "alternative_me" / "fear_greed_1.json.gz").read_bytes())
    assert json.loads(body)["data"]
    index = (folder / "README.md").read_text()
    assert "| `alternative_me/fear_greed_1.json` | `" in index
    assert "/fng/?limit=0" in index


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ((200, {}, b'{"data": 5}'), "different"),
        ((200, {}, b'{"data": [{"value": "frightened", "timestamp": "1764374400"}]}'), "different"),
        ((200, {}, b"<html>hello</html>"), "different"),
        ((403, {}, b"no"), "refused"),
        ((404, {}, b"no"), "refused"),
        ((503, {}, b"later"), "not reachable"),
    ],
)
def test_a_vendor_that_misbehaves_gets_the_verdict_it_earns(tmp_path: Path, answer: Answer, verdict: str) -> None:
    with serving(lambda _path, _headers: answer) as url:
        code, _, found = _contact(tmp_path, "--vendor", "alternative_me", CRYPTOLAKE_URL_ALTERNATIVE_ME=url)
    assert found["vendor", "fear_greed"][0] == verdict, found["vendor", "fear_greed"]
    assert code == 1


def test_nobody_who_is_not_there_and_no_key_that_is_not_set_counts_as_asked(tmp_path: Path) -> None:
    code, _, found = _contact(tmp_path, "--vendor", "artemis")
    assert {verdict for verdict, _ in found.values()} == {"not asked"}
    assert code == 1  # nothing was found to be as assumed
    code, _, found = _contact(
        tmp_path,
        "--vendor",
        "none",
        "--chain",
        "sandbox",
        "--to",
        "again",
        CRYPTOLAKE_RPC_SANDBOX="http://127.0.0.1:9/",
    )
    assert found["chain", "chain id"][0] == "not reachable"
    assert code == 1


class _Rpc(LoopbackServer):
    """Answers JSON-RPC as `says` tells for one call, and counts the calls as a provider bills them."""

    def __init__(self, says: Callable[[str, str], object]) -> None:
        super().__init__(_RpcHandler)
        self.says, self.calls, self.lock = says, 0, threading.Lock()


class _RpcHandler(BaseHTTPRequestHandler):
    server: _Rpc

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls: Sequence[dict[str, object]] = asked if isinstance(asked, list) else [asked]
        with self.server.lock:
            self.server.calls += len(calls)
        told = [{"jsonrpc": "2.0", "id": one["id"], **self._told(str(one["method"]))} for one in calls]
        body = json.dumps(told if isinstance(asked, list) else told[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _told(self, method: str) -> dict[str, object]:
        said = self.server.says(method, self.path)
        return {"error": said} if isinstance(said, dict) and "code" in said else {"result": said}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


@contextmanager
def _rpc(says: Callable[[str, str], object]) -> Iterator[tuple[str, _Rpc]]:
    server = _Rpc(says)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v3/{KEY}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _echo(method: str, path: str) -> object:
    """A block and a chain id; everything else is refused in words that repeat the address it was asked at."""
    if method == "eth_chainId":
        return hex(31337)
    if method == "eth_getBlockByNumber":
        return {"number": "0x64", "hash": "0x" + "1" * 64, "parentHash": "0x" + "2" * 64, "timestamp": "0x67500000"}
    return {"code": -32000, "message": f"project {path} may not do this, see http://x{path}?key={KEY}"}


def test_a_key_in_an_address_is_in_nothing_that_is_said_or_written(tmp_path: Path) -> None:
    with _rpc(_echo) as (url, _server):
        run = cryptolake(
            tmp_path,
            "--registry",
            str(sandbox_registry()),
            "first-contact",
            "--chain",
            "sandbox",
            "--vendor",
            "none",
            CRYPTOLAKE_RPC_SANDBOX=url,
        )
    written = _everything_written(tmp_path / "first-contact")
    assert "may not do this" in written  # the answer that repeats it was recorded
    assert KEY not in written + run.stdout + run.stderr


@pytest.mark.parametrize("ceiling", [1, 7])
def test_no_more_calls_are_sent_than_the_ceiling_allows_and_the_rest_is_not_asked(tmp_path: Path, ceiling: int) -> None:
    with _rpc(_echo) as (url, server):
        _, document, found = _contact(
            tmp_path,
            "--vendor",
            "none",
            "--chain",
            "sandbox",
            "--max-calls",
            str(ceiling),
            CRYPTOLAKE_RPC_SANDBOX=url,
        )
    assert server.calls <= ceiling
    assert document["calls"] == {"sandbox-own-1": server.calls}
    assert any(verdict == "not asked" and "left" in says for verdict, says in found.values())


def test_a_folder_with_something_in_it_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "first-contact").mkdir()
    (tmp_path / "first-contact" / "mine.txt").write_text("mine")
    with _rpc(_echo) as (url, server):
        run = cryptolake(tmp_path, "first-contact", CRYPTOLAKE_RPC_ETHEREUM=url)
    assert run.returncode == 2
    assert server.calls == 0
