"""A fake SQD Portal over a synthetic chain or the local node, as its documentation describes it, with faults as told.

Stands for the public one, which cannot be asked here. It streams finalized blocks only, as JSON lines: those with wanted logs,
and always the first and the last that a stream covers; a stream may end before the last block that was asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import orjson
from tests.loopback import LoopbackServer

Answer = tuple[int, Mapping[str, str], bytes]
Rpc = Callable[[str, list[Any]], Any]
"""A node's result to a method and its parameters."""


@dataclass
class Archive:
    """A data set of that name over a node.

    `part` is how many blocks one stream covers at most. `fault` is given every request's path, question and honest answer and
    gives what is answered instead.
    """

    rpc: Rpc
    name: str = "testnet"
    aliases: tuple[str, ...] = ()
    part: int = 10**9
    fault: Callable[[str, dict[str, Any], Answer], Answer] = lambda _path, _asked, honest: honest
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def head(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", ["finalized", False])["number"], 16)

    def answer(self, path: str, asked: dict[str, Any]) -> Answer:
        self.asked.append((path, asked))
        return self.fault(path, asked, self._honest(path, asked))

    def _honest(self, path: str, asked: dict[str, Any]) -> Answer:
        _, _, name, what = path.split("/")
        if name not in (self.name, *self.aliases):
            error = {"type": "invalid_request_error", "code": "unknown_dataset", "message": f"{name} is unknown"}
            return 404, {}, orjson.dumps({"error": error})
        match what:
            case "metadata":
                return (
                    200,
                    {},
                    orjson.dumps({"dataset": self.name, "aliases": self.aliases, "real_time": False, "start_block": 0}),
                )
            case "finalized-head":
                return 200, {}, orjson.dumps({"number": self.head, "hash": self._header(self.head)["hash"]})
            case "finalized-stream":
                return self._stream(asked)
        return 404, {}, b""

    def _stream(self, asked: dict[str, Any]) -> Answer:
        first = asked["fromBlock"]
        last = min(asked["toBlock"], self.head, first + self.part - 1)
        if first > self.head:
            return 204, {}, b""
        parent = self._header(first)["parentHash"]
        if asked.get("parentBlockHash", parent) != parent:
            before = {"number": first - 1, "hash": parent}
            error = {"type": "invalid_request_error", "code": "base_block_mismatch", "message": "Base block mismatch"}
            return 409, {}, orjson.dumps({"error": error, "previousBlocks": [before]})
        (wanted,) = asked["logs"]
        question = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": wanted["address"],
            "topics": [wanted["topic0"]],
        }
        logs: dict[int, list[dict[str, Any]]] = {first: [], last: []}
        for log in self.rpc("eth_getLogs", [question]):
            logs.setdefault(int(log["blockNumber"], 16), []).append(log)
        return 200, {}, b"".join(orjson.dumps(self._line(number, logs[number])) + b"\n" for number in sorted(logs))

    def _line(self, number: int, logs: list[dict[str, Any]]) -> dict[str, Any]:
        header = self._header(number)
        named = ("address", "topics", "data", "transactionHash")
        found = [{name: log[name] for name in named} | {"logIndex": int(log["logIndex"], 16)} for log in logs]
        line = {"header": {"number": number, "hash": header["hash"], "parentHash": header["parentHash"]}}
        return line | ({"logs": found} if found else {})

    def _header(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.rpc("eth_getBlockByNumber", [hex(number), False])
        return found


@contextmanager
def portal(archive: Archive) -> Iterator[str]:
    """The portal's address for settings and endpoints; it ends with the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(archive.answer(self.path, {}))

        def do_POST(self) -> None:
            self._say(archive.answer(self.path, orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _say(self, answer: Answer) -> None:
            status, headers, body = answer
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    server = LoopbackServer(Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/datasets"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
