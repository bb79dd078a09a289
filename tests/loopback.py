"""Real HTTP servers on free loopback ports: `LoopbackServer` for any handler, `serving` for a fake vendor's answers.

What is answered is the caller's.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Mapping[str, str], bytes]  # status, headers, body


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a free port; a busy machine drops no connection, and nobody waits for a conversation left open."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next conversation, in which no answer waits: a body sent after its headers would for the peer's delayed ack."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


@contextmanager
def serving(answer: Callable[[str, Mapping[str, str]], Answer]) -> Iterator[str]:
    """The server's URL; it ends with the block.

    `answer` is given each GET's target (path and query) and headers (lower case), one question at a time. A
    Content-Length of its own stands, also a false one.
    """
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                status, headers, body = answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    server = LoopbackServer(Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def target(path: str) -> tuple[str, dict[str, str]]:
    """A GET's target as its path and the first value of every query parameter."""
    parts = urlsplit(path)
    return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}
