"""A real HTTP server on loopback that answers by path and misbehaves as told: statuses, headers, cut and garbled bodies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from tests.loopback import LoopbackServer

Query = dict[str, str]


@dataclass
class Reply:
    """One answer; `cut` announces more bytes than it sends."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


Answering = Callable[[str, Query], Reply]


@dataclass
class Vendor:
    """The server while it lasts: its URL, what it was asked (path with query) and with which headers."""

    url: str
    answer: Answering
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def paths(self) -> list[str]:
        """What was asked, without queries."""
        return [urlsplit(one).path for one in self.asked]

    def queries(self) -> list[Query]:
        """The queries of what was asked."""
        return [dict(parse_qsl(urlsplit(one).query)) for one in self.asked]


def in_turn(*replies: Reply) -> Answering:
    """Answers these, one after the other; the last one repeats."""
    left = list(replies)
    lock = threading.Lock()

    def answer(_path: str, _query: Query) -> Reply:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


@contextmanager
def vendor(answer: Answering) -> Iterator[Vendor]:
    """A server that answers so; every handler runs in a thread of its own."""
    found = Vendor("", answer)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            with lock:
                found.asked.append(self.path)
                found.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = found.answer(url.path, dict(parse_qsl(url.query)))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + (1000 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.cut:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    server = LoopbackServer(Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    with ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
