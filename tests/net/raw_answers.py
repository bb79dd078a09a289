"""A grammar of raw HTTP answers: status lines, headers and bodies as no library would write them. Seeded."""

from __future__ import annotations

import gzip
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BODY = b'{"jsonrpc":"2.0","id":0,"result":"0x1"}'
LINES = (
    *(b"HTTP/1.1 %d X" % status for status in (200, 201, 203, 206, 400, 401, 403, 404, 407, 413, 429, 451, 500, 503, 529, 599)),
    b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 099 X", b"HTTP/1.1 1000 X", b"HTTP/1.1 999 \xff\xfe", b"HTTP/1.1 200",
    b"HTTP/1.1 20 OK", b"HTTP/2 200 OK", b"http/1.1 200 ok", b"HTTP/1.1 200 Z\xfcrich", b"HTTP/1.1 204 None", b"HTTP/1.1 205 R",
    b"HTTP/1.1 304 Not", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switch", b"HTTP/1.1 103 Early", b"HTTP/1.1 301 M",
    b"HTTP/1.1 302 F", b"HTTP/1.1 303 S", b"HTTP/1.1 307 T", b"HTTP/1.1 308 P", b"", b"{}", b"SSH-2.0-x",
)  # fmt: skip
NAMES = (
    b"X-Served-By", b"Server", b"Content-Type", b"Retry-After", b"Set-Cookie", b"Location", b"Content-Encoding", b"Date",
    b"Via", b"Transfer-Encoding", b"Content-Length", b"WWW-Authenticate", b"Trailer", b"Connection", b"Upgrade", b"Alt-Svc",
    b"X\xe4", b"", b"X Y", b"\x00", b"A" * 5000,
)  # fmt: skip
VALUES = (
    b"", b"x", b"Z\xfcrich", b"\xff\xfe", b"\xc3\xa9", b"\x01", b"a\tb", b"\x00", b"\xe2\x80\x8b1", b"application/json",
    b"text/html; charset=\xe9", b"1", b"-1", b"\xb2", b"5", b"5, 6", b"0x10", b"1e9", b"9" * 23, b"9" * 5000, b"gzip", b"br",
    b"chunked", b"identity, chunked", b"close", b"h2c", b"/x", b"http://\xff/", b"://", b"ftp://x/", b"data:,x",
    b"javascript:1", b"http://[::1", b"//\xe4/", b"a=\xc3\xa9; Domain=\xff", b'Basic realm="\xe4"',
    b"Wed, 99 Foo 2024 00:00:00 GMT",
)  # fmt: skip
BODIES = (
    BODY, b"", gzip.compress(BODY), gzip.compress(BODY)[:-4], b"5\r\nhello\r\n0\r\n\r\n", b"ZZ\r\n", b"\xff" * 50, b"\r\n\r\n",
    b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\nX: \xff\r\n\r\n", b"ffffffffffffffffff\r\nx", b"HTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip


def raw_answer(lots: random.Random) -> bytes:
    """One answer, whole: most have a status line that can be read and an odd header or two."""
    body = lots.choice(BODIES) if lots.random() < 0.7 else BODY
    headers = [lots.choice(NAMES) + b": " + lots.choice(VALUES) for _ in range(lots.choice((0, 1, 1, 2, 4)))]
    if lots.random() < 0.7:
        headers.append(b"Content-Length: %d" % len(body))
    line = lots.choice(LINES) if lots.random() < 0.6 else LINES[0]
    return line + b"\r\n" + b"".join(one + b"\r\n" for one in headers) + b"\r\n" + body


class Raw:
    """Answers every request on a port of its own with the bytes of `answer`, then closes."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def raw_server() -> Iterator[Raw]:
    """A server whose answers are given byte by byte; it ends with the block."""
    server = Raw()
    try:
        yield server
    finally:
        server.close()
