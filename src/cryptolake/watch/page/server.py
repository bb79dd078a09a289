"""Serves the page, its live updates, `/metrics` and `/healthz`. Read-only, on the local machine unless told otherwise.

/                    the page                     /api/status?days=62&last=2024-12-31    one picture, JSON
/api/events?...      the same pushed on change (server-sent events)
/metrics             Prometheus text              /healthz                               200 or 503
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from urllib.parse import parse_qs, urlsplit

import orjson

from cryptolake.errors import BadInput, CryptolakeError, Stop
from cryptolake.watch.coverage import WINDOW_DAYS
from cryptolake.watch.metrics import CONTENT_TYPE

EVERY_S = 1.0  # how often the ledger is asked whether anything changed
_STILL_HERE_S = 15.0  # a line without content keeps an idle connection open, and tells when the other side is gone
_MOST_LISTENERS = 32
_MOST_DAYS = 400
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"

Picture = Callable[[date | None, int], dict[str, object]]


class Page:
    """The server. `picture(last, days)` gives the status, `mark` changes whenever something happened, `metrics` is scraped.

    `port` 0 takes a free one. Raises Stop when the port is taken.
    """

    def __init__(
        self, host: str, port: int, *, picture: Picture, mark: Callable[[], object], metrics: Callable[[], str]
    ) -> None:
        self.picture, self.mark, self.metrics = picture, mark, metrics
        self.ended = threading.Event()
        self.listeners = threading.BoundedSemaphore(_MOST_LISTENERS)
        self.is_local = _is_local(host)
        try:
            self._server = _Server((host, port), self)
        except OSError as error:
            raise Stop(
                f"cannot listen on {host}:{port} ({error.strerror or error}); give another one with --port"
            ) from None
        self.address = f"http://{host}:{self._server.server_address[1]}"

    def serve(self) -> None:
        """Answer until `end` is called."""
        self._server.serve_forever(poll_interval=0.2)

    def end(self) -> None:
        """Stop serving; open update streams end too."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], page: Page) -> None:
        super().__init__(address, _Handler)
        self.page = page


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Answer one question."""
        page, asked = self.server.page, urlsplit(self.path)
        # A page of another site may point its own name at this machine; only our own names are answered then.
        if page.is_local and not _is_local((urlsplit(f"//{self.headers.get('host', '')}").hostname) or ""):
            self._send(403, "text/plain; charset=utf-8", b"only for this machine\n")
            return
        try:
            match asked.path:
                case path if path in _FILES:
                    name, kind = _FILES[path]
                    self._send(200, kind, resources.files("cryptolake.watch.page").joinpath(name).read_bytes())
                case "/api/status":
                    self._send(200, "application/json", orjson.dumps(page.picture(*_window(asked.query))))
                case "/api/events":
                    self._stream(*_window(asked.query))
                case "/metrics":
                    self._send(200, CONTENT_TYPE, page.metrics().encode())
                case "/healthz":
                    page.mark()
                    self._send(200, "application/json", b'{"status":"ok"}')
                case _:
                    self._send(404, "text/plain; charset=utf-8", b"not here\n")
        except BadInput as error:
            self._send(400, "application/json", orjson.dumps({"error": str(error)}))
        except CryptolakeError as error:
            self._send(503, "application/json", orjson.dumps({"status": "failing", "error": str(error)}))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the reader went away

    def _stream(self, last: date | None, days: int) -> None:
        """Push a picture whenever something changed, until the reader goes away."""
        page = self.server.page
        if not page.listeners.acquire(blocking=False):
            self._send(503, "text/plain; charset=utf-8", b"too many listeners\n")
            return
        try:
            self.close_connection = True
            self.send_response(200)
            self._headers("text/event-stream")
            self.end_headers()
            known: object = None
            said = 0.0
            while not page.ended.is_set():
                found = page.mark()
                if found != known:
                    known, said = found, time.monotonic()
                    self.wfile.write(b"data: " + orjson.dumps(page.picture(last, days)) + b"\n\n")
                    self.wfile.flush()
                elif time.monotonic() - said > _STILL_HERE_S:
                    said = time.monotonic()
                    self.wfile.write(b": still here\n\n")
                    self.wfile.flush()
                page.ended.wait(EVERY_S)
        finally:
            page.listeners.release()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self._headers(kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _headers(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")

    def log_message(self, *_: object) -> None:
        """Nothing: requests are no news."""


def _window(query: str) -> tuple[date | None, int]:
    """The days asked for. Raises BadInput."""
    asked = parse_qs(query)
    try:
        last = date.fromisoformat(asked["last"][0]) if "last" in asked else None
        days = int(asked.get("days", [str(WINDOW_DAYS)])[0])
    except ValueError as error:
        raise BadInput(f"{error}; write last=2024-12-31 and days as a number") from None
    if not 1 <= days <= _MOST_DAYS or (last is not None and not date(2009, 1, 3) <= last <= _tomorrow()):
        raise BadInput(f"days must be 1 to {_MOST_DAYS}, last a day that has been")
    return last, days


def _tomorrow() -> date:
    return date.fromordinal(datetime.now(UTC).date().toordinal() + 1)
