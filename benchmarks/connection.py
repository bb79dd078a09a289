"""HTTP as the benchmarks' providers on loopback speak it: whole requests come in, answers go out. Knows no question.

What does not belong here: what is answered, counted or refused (each provider).
"""

from __future__ import annotations

import asyncio


class Connection(asyncio.Protocol):
    """One connection that stays open. A provider says what becomes of a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Take whole requests off the buffer."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            if head.startswith(b"get"):
                self.looked_at(head.split(b" ")[1].decode())
            else:
                self.asked(body)

    def send(self, body: bytes, status: str = "200 OK") -> None:
        """Write one HTTP answer, unless the other side has gone."""
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body)  # type: ignore[attr-defined]

    def looked_at(self, path: str) -> None:
        """A GET: tell what was counted."""
        raise NotImplementedError

    def asked(self, body: bytes) -> None:
        """A POST: answer it, at once or later."""
        raise NotImplementedError
