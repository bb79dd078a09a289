"""Serves the universe from a process of its own: `python -m tests.vendors.fast_server SIZE DELAY_MS KBYTES_PER_S`.

Fast enough not to be what a benchmark measures; an answer takes the delay plus its size over the rate (0: at once). Prints
`ready <port> <Artemis points>` when it listens. GET /-/stamps gives the seconds at which requests came.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from tests.vendors.universe import Universe, answer

REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 500: b"Internal Server Error"}


class Handler(asyncio.Protocol):
    """One connection: requests one after the other, kept alive."""

    def __init__(self, universe: Universe, stamps: list[float], delay_s: float, bytes_per_s: float) -> None:
        self._universe, self._stamps, self._delay_s, self._bytes_per_s = universe, stamps, delay_s, bytes_per_s
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
            url = urlsplit(head.split(b" ", 2)[1].decode())
            if url.path == "/-/stamps":
                body = repr(self._stamps).encode()
                self._send(200, body)
                continue
            self._stamps.append(time.time())
            status, body = answer(self._universe, url.path, dict(parse_qsl(url.query)))
            wait = self._delay_s + (len(body) / self._bytes_per_s if self._bytes_per_s else 0.0)
            if wait:
                asyncio.get_running_loop().call_later(wait, self._send, status, body)
            else:
                self._send(status, body)

    def _send(self, status: int, body: bytes) -> None:
        head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % (status, REASONS.get(status, b"Other"), len(body)) + body)


async def serve(size: float, delay_s: float, bytes_per_s: float) -> None:
    """Listen until the process is ended."""
    universe = Universe(datetime.now(UTC).date(), size)
    points = universe.warm()
    for path in ("/defillama/protocols", "/defillama/v2/chains"):
        answer(universe, path, {})
    stamps: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Handler(universe, stamps, delay_s, bytes_per_s), "127.0.0.1", 0)
    bound = server.sockets[0].getsockname()[1]
    print(f"ready {bound} {points}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2]) / 1000, float(sys.argv[3]) * 1000))
