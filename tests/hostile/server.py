"""A real HTTP server around a synthetic chain that misbehaves as told; every fault is counted."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import orjson
from tests.net.node import Node

# A fault is given the handler and the request body; it answers (or not) and returns True, or returns False to pass.
Fault = Callable[["_Handler", bytes], bool]


@dataclass
class Hostile:
    """Serves `node`; the faults are tried in order for each request, `times` limits how often one strikes."""

    node: Node
    faults: dict[str, tuple[Fault, int]] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    arrivals: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hostile = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v2/a-secret-key-in-the-path"

    def strike(self, handler: _Handler, body: bytes) -> bool:
        """Let the first fault that is not used up misbehave."""
        with self._lock:
            self.arrivals.append(time.monotonic())
        for name, (fault, times) in self.faults.items():
            with self._lock:
                if self.struck[name] >= times:
                    continue
                self.struck[name] += 1
            if fault(handler, body):
                return True
            with self._lock:
                self.struck[name] -= 1
        return False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    hostile: Hostile

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side hung up: expected here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.server.hostile.strike(self, body):
            self.send(200, self.server.hostile.node.answer(body))

    def send(self, status: int, body: bytes, **headers: str) -> bool:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer with an HTTP status."""
    return lambda handler, _: handler.send(code, body, **headers)


def garbled(change: Callable[[Any], Any], *, only_batches: bool = False, method: str = "") -> Fault:
    """Answer rightly, then change the decoded document; `method` limits it to requests of that method."""

    def fault(handler: _Handler, body: bytes) -> bool:
        question = orjson.loads(body)
        first = question[0] if isinstance(question, list) else question
        if (only_batches and not isinstance(question, list)) or (method and first["method"] != method):
            return False
        answer = orjson.loads(handler.server.hostile.node.answer(body))
        if isinstance(answer, dict) and "result" not in answer:
            return False  # a refusal is passed on as it is: the change is meant for answers
        return handler.send(200, orjson.dumps(change(answer)))

    return fault


def cut_short(handler: _Handler, body: bytes) -> bool:
    """Half of the JSON, with the length of the half."""
    answer = handler.server.hostile.node.answer(body)
    return handler.send(200, answer[: len(answer) // 2])


def lying_length(handler: _Handler, body: bytes) -> bool:
    """Half of the JSON, with the length of the whole, then the connection closes."""
    answer = handler.server.hostile.node.answer(body)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer[: len(answer) // 2])
    handler.wfile.flush()
    handler.close_connection = True
    return True


def reset(handler: _Handler, body: bytes) -> bool:
    """RST instead of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
    return True


def hang(handler: _Handler, body: bytes) -> bool:
    """Never answer, until the test is over."""
    handler.server.hostile.stopping.wait(30)
    handler.close_connection = True
    return True


def drip(handler: _Handler, body: bytes) -> bool:
    """A byte at a time, slower than the client's patience."""
    answer = handler.server.hostile.node.answer(body)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(answer)))
    handler.end_headers()
    for byte in answer:
        try:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
        except OSError:
            break
        if handler.server.hostile.stopping.wait(0.1):
            break
    handler.close_connection = True
    return True
