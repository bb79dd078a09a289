"""Serves the universe over real HTTP from a process of its own: `python -m tests.vendors.fast_server PORT SIZE DELAY_MS`.

Fast enough not to be what a benchmark measures. Prints `ready <points>` when it listens. GET /-/count says how many
requests came, and when the first and last of them did.
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

    def __init__(self, universe: Universe, stamps: list[float], delay_s: float) -> None:
        self._universe, self._stamps, self._delay_s = universe, stamps, delay_s
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
            url = urlsplit(head.split(b" ", 2)[1].decode())
            if url.path == "/-/count":
                body = repr(self._stamps).encode()
                self._send(200, body)
                continue
            self._stamps.append(time.time())
            asyncio.get_running_loop().call_later(self._delay_s, self._answer, url.path, url.query)

    def _answer(self, path: str, query: str) -> None:
        status, body = answer(self._universe, path, dict(parse_qsl(query)))
        self._send(status, body)

    def _send(self, status: int, body: bytes) -> None:
        head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % (status, REASONS.get(status, b"Other"), len(body)) + body)


async def serve(port: int, size: float, delay_s: float) -> None:
    """Listen until the process is ended."""
    universe = Universe(datetime.now(UTC).date(), size)
    points = universe.warm()
    for path in ("/defillama/protocols", "/defillama/v2/chains"):
        answer(universe, path, {})
    stamps: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Handler(universe, stamps, delay_s), "127.0.0.1", port)
    bound = server.sockets[0].getsockname()[1]
    print(f"ready {bound} {points}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]) / 1000))
