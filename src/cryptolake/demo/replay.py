"""`Replay`: the bundled sandbox served over real HTTP on loopback, so that the same client code runs as against live.

What was recorded and what it answers belongs to `recording` and the files beside it, what is made up to `invented`; nothing
here knows a protocol.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptolake.contracts.counting import counted
from cryptolake.demo import invented
from cryptolake.demo.recording import BAD_PARAMS, ChainRecording, Json, RecordedFault

Lie: TypeAlias = Callable[[ChainRecording, str, list[Json]], Json]
"""What is answered to a method and its parameters instead of `ChainRecording.answer`, which it may ask and whose faults it may
raise.
"""
VendorLie: TypeAlias = Callable[[str, dict[str, str], bytes], bytes]
"""Given the path and query of an invented vendor's question and the honest body; the body that is sent instead."""

RECORDINGS = Path(__file__).parent / "recordings"
RPC_PATH = "/rpc"
MAX_REQUEST_BYTES = 16 * 1024 * 1024
MAX_BATCH = 1_000
_INVALID_REQUEST, _PARSE_ERROR = -32600, -32700

# (path, query) -> file under recordings/: the vendor answers we may ship; see the README.md beside them.
VENDOR_FILES: dict[tuple[str, frozenset[tuple[str, str]]], str] = {
    ("/stablecoincharts/all", frozenset({("stablecoin", number)})): f"defillama/stablecoincharts_all_{name}.json.gz"
    for number, name in (("1", "stablecoin1_USDT"), ("2", "stablecoin2_USDC"))
} | {("/stablecoins", frozenset({("includePrices", "true")})): "defillama/stablecoins_USDT_USDC.json.gz"}
# The same whatever is asked beside the path: recorded for 90 days, which is all there is.
HISTORY_FILES = {"/invented/coingecko/coins/bitcoin/market_chart": "coingecko/market_chart_bitcoin_90_days.json.gz"}


def sandbox_registry() -> Path:
    """The registry file that describes the sandbox's chain and market, in the shape of a user's `--registry FILE`."""
    return RECORDINGS / "registry.yaml"


class Replay:
    """A context manager: a server on 127.0.0.1 and a free port while it lasts, from several threads at once.

    `rpc_url` answers JSON-RPC (single and batch), `vendor_url` is the base of the recorded stablecoins' GET paths, `urls` the
    base of every vendor's host, under the names that the settings have for them. `lie` and `vendor_lie` make it a replay that
    lies (`lying`); without them it is honest.
    """

    def __init__(
        self,
        recording: Path | ChainRecording = RECORDINGS / "chain.json.gz",
        *,
        lie: Lie = ChainRecording.answer,
        vendor_lie: VendorLie = lambda _path, _query, body: body,
    ) -> None:
        chain = ChainRecording.load(recording) if isinstance(recording, Path) else recording
        self._server = _Server(chain, lie, vendor_lie)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        port = self._server.server_address[1]
        self.vendor_url = f"http://127.0.0.1:{port}"
        self.rpc_url = self.vendor_url + RPC_PATH
        self.urls = {host: f"{self.vendor_url}{invented.PREFIX}{host}" for host in invented.TELLERS} | {
            "defillama_stablecoins": self.vendor_url
        }

    def correct(self) -> None:
        """From now on the invented vendors tell what they told wrongly at first as it should have been."""
        self._server.corrected = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client's idle keep-alive connection must not hold up the end of the demo
    request_queue_size = 128

    def __init__(self, chain: ChainRecording, lie: Lie, vendor_lie: VendorLie) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.chain, self.lie, self.vendor_lie = chain, lie, vendor_lie
        self.vendor: dict[str, bytes] = {}
        self.corrected = False

    def vendor_body(self, name: str) -> bytes:
        """The recorded body, unpacked once."""
        if name not in self.vendor:
            self.vendor[name] = gzip.decompress((RECORDINGS / name).read_bytes())
        return self.vendor[name]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for headers and body, else small answers wait for the peer's delayed ack
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), parse_qsl(url.query)
        name = VENDOR_FILES.get((path, frozenset(query))) or HISTORY_FILES.get(path)
        if name is not None:
            self._send_bytes(200, self.server.vendor_body(name))
        elif path.startswith(invented.PREFIX):
            self._invent(path, dict(query))
        else:
            self._send(404, {"error": "not recorded in the sandbox", "path": url.path})

    def _invent(self, path: str, query: dict[str, str]) -> None:
        try:
            body = invented.answer(path, query, datetime.now(UTC), corrected=self.server.corrected)
        except (KeyError, ValueError):  # a question without what the vendor wants to know
            self._send(400, {"error": "the sandbox's invented vendor does not understand this question", "path": path})
            return
        if body is None:
            self._send(404, {"error": "not found: the sandbox's invented vendors have no data on this", "path": path})
        else:
            told = json.dumps(body, separators=(",", ":")).encode()
            self._send_bytes(200, self.server.vendor_lie(path, query, told), source="invented")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._send(413, {"error": "request too large"})
            return
        body = self.rfile.read(length)
        if urlsplit(self.path).path != RPC_PATH:
            self._send(404, {"error": "not recorded in the sandbox", "path": urlsplit(self.path).path})
            return
        try:
            request: Json = json.loads(body)
        except ValueError:
            self._send(200, _error(None, _PARSE_ERROR, "parse error"))
            return
        if not isinstance(request, list):
            self._send(200, self._answer(request))
        elif not request or len(request) > MAX_BATCH:
            self._send(200, _error(None, _INVALID_REQUEST, f"a batch holds 1 to {counted(MAX_BATCH, 'request')}"))
        else:
            self._send(200, [self._answer(one) for one in request])

    def _answer(self, request: Json) -> Json:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, _INVALID_REQUEST, "invalid request")
        call_id, params = request.get("id"), request.get("params", [])
        if not isinstance(params, list):
            return _error(call_id, BAD_PARAMS, "params must be a list")
        try:
            result = self.server.lie(self.server.chain, str(request["method"]), params)
        except RecordedFault as fault:
            return _error(call_id, fault.code, str(fault), fault.data)
        return {"jsonrpc": "2.0", "id": call_id, "result": result}

    def _send(self, status: int, body: Json) -> None:
        self._send_bytes(status, json.dumps(body, separators=(",", ":")).encode())

    def _send_bytes(self, status: int, body: bytes, *, source: str = "recorded") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Cryptolake-Sandbox", source)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "cryptolake-sandbox-replay"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Stay quiet: the demo prints its own table."""


def _error(call_id: Json, code: int, message: str, data: str | None = None) -> Json:
    error: dict[str, Json] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": call_id, "error": error}
