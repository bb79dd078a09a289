"""A provider on loopback with latency and a log limit, which counts arrivals. Run as its own process; synthetic data.

Usage: python -m benchmarks.provider LATENCY_S SPAN; prints its port. GET / gives the arrivals since the last GET.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson

TOPIC = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"


class Provider(asyncio.Protocol):
    """One connection; answers every request after the latency."""

    arrivals: list[float] = []  # noqa: RUF012  # shared by all connections of this process
    latency, span = 0.08, 10

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
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"get"):
                self.send(orjson.dumps(Provider.arrivals))
                Provider.arrivals = []
            else:
                Provider.arrivals.append(time.monotonic())
                answer = self.answer(orjson.loads(body))
                asyncio.get_running_loop().call_later(self.latency, self.send, orjson.dumps(answer))

    def send(self, body: bytes) -> None:
        """Write one HTTP answer."""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)  # type: ignore[attr-defined]

    def answer(self, question: dict[str, object]) -> dict[str, object]:
        """The JSON-RPC answer to a single call."""
        given: dict[str, object] = {"jsonrpc": "2.0", "id": question["id"]}
        if question["method"] == "eth_chainId":
            return given | {"result": "0x1"}
        if question["method"] == "eth_blockNumber":
            return given | {"result": hex(10**9)}
        if question["method"] != "eth_getLogs":
            return given | {"result": "0x0"}
        asked = question["params"][0]  # type: ignore[index]
        first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        if last - first >= self.span:
            return given | {"error": {"code": -32600, "message": f"up to a {self.span} block range"}}
        return given | {"result": []}


async def serve(latency: float, span: int) -> None:
    """Serve until killed."""
    Provider.latency, Provider.span = latency, span
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2])))
