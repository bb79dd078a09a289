"""A provider on loopback with latency and a log limit, which counts arrivals. Run as its own process; synthetic data.

Usage: python -m benchmarks.provider LATENCY_S SPAN; prints its port. GET / gives the arrivals since the last GET.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson

from benchmarks.connection import Connection

TOPIC = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"


class Provider(Connection):
    """One connection; answers every request after the latency."""

    arrivals: list[float] = []  # noqa: RUF012  # shared by all connections of this process
    latency, span = 0.08, 10

    def looked_at(self, path: str) -> None:
        """The arrivals since the last look."""
        self.send(orjson.dumps(Provider.arrivals))
        Provider.arrivals = []

    def asked(self, body: bytes) -> None:
        """Note when it came, answer after the latency."""
        Provider.arrivals.append(time.monotonic())
        answer = self.answer(orjson.loads(body))
        asyncio.get_running_loop().call_later(self.latency, self.send, orjson.dumps(answer))

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
