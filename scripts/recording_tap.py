"""`Tap`: an HTTP proxy in front of a node that writes every `eth_call` and its answer into a recording.

Calls inside Multicall3 `aggregate3` are kept one by one, so that a replay can answer them in any grouping.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptolake.demo import aggregate3
from cryptolake.demo.recording import REVERTED, CallAnswer, ChainRecording


class Tap:
    """A context manager; `url` stands in for the node at `upstream`, `asked` counts the distinct calls that passed."""

    def __init__(self, upstream: str, recording: ChainRecording) -> None:
        self._upstream, self._recording = upstream, recording
        self._lock = threading.Lock()
        self._seen: set[tuple[int, str, str]] = set()
        tap = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = tap.pass_on(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def asked(self) -> int:
        """How many distinct (block, contract, calldata) questions passed."""
        return len(self._seen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pass_on(self, body: bytes) -> bytes:
        """Ask the node, record its answers, return them unchanged."""
        request = urllib.request.Request(self._upstream, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: bytes = response.read()
        asked, answered = json.loads(body), json.loads(answer)
        if isinstance(asked, dict):
            asked, answered = [asked], [answered]
        by_id = {item["id"]: item for item in answered}
        for item in asked:
            if item["method"] == "eth_call":
                self._keep(item["params"], by_id[item["id"]])
        return answer

    def _keep(self, params: list[Any], answer: dict[str, Any]) -> None:
        call, tag = params[0], params[1]
        block = int(tag, 16)  # a collection that asks at a moving tag is a bug; fail here
        to, data = call["to"].lower(), (call.get("data") or call["input"]).lower()
        if to == self._recording.multicall3.lower() and data.startswith(aggregate3.SELECTOR):
            if "result" in answer:
                inner = aggregate3.decode_calls(data)
                for one, (success, result) in zip(inner, aggregate3.decode_results(answer["result"]), strict=True):
                    self._note(block, one.to, one.data, CallAnswer(success, result))
        elif "result" in answer:
            self._note(block, to, data, CallAnswer(True, answer["result"]))
        elif answer["error"].get("code") == REVERTED:
            self._note(block, to, data, CallAnswer(False, answer["error"].get("data") or "0x"))

    def _note(self, block: int, to: str, data: str, answer: CallAnswer) -> None:
        with self._lock:
            self._seen.add((block, to, data))
            self._recording.calls[block, to, data] = answer
