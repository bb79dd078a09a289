"""Endpoints over a real node that answer over real HTTP, each with a lie of its own about logs; every request is counted."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from tests.loopback import LoopbackServer

Lie = Callable[[dict[str, Any], list[dict[str, Any]]], list[dict[str, Any]]]
"""Given the filter of an eth_getLogs and its honest logs; what is answered instead."""


Instead = Callable[[list[dict[str, Any]]], tuple[int, bytes | None] | None]
"""Given the questions of a request: status and body that are answered instead (no body: nothing until the end), or None."""
HeaderLie = Callable[[dict[str, Any]], dict[str, Any]]
"""What is answered instead of an honest header."""


def without_blooms(header: dict[str, Any]) -> dict[str, Any]:
    """A header whose bloom filter excludes everything, which does not hash to its hash, whatever its filter was before."""
    return {**header, "logsBloom": "0x" + "00" * 256, "extraData": "0x11e5"}


def honest(_asked: dict[str, Any], logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """No lie."""
    return logs


def nothing(_asked: dict[str, Any], _logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """There never was a log."""
    return []


def dropping(blocks: Sequence[int], *, by_hash: bool = True) -> Lie:
    """Leaves out the logs of some blocks; with `by_hash` false it admits them when it is asked for the block itself."""

    def lie(asked: dict[str, Any], logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if "blockHash" in asked and not by_hash:
            return logs
        return [one for one in logs if int(one["blockNumber"], 16) not in blocks]

    return lie


def by_transaction(_asked: dict[str, Any], logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers the logs of every transaction from 0."""
    count: Counter[str] = Counter()
    told = []
    for one in logs:
        told.append({**one, "logIndex": hex(count[one["transactionHash"]])})
        count[one["transactionHash"]] += 1
    return told


class Liar:
    """Passes every question on to the node at `url` and what comes of eth_getLogs through `lie`, headers through `headers`."""

    def __init__(
        self,
        url: str,
        lie: Lie,
        headers: HeaderLie = lambda header: header,
        instead: Instead = lambda _asked: None,
    ) -> None:
        self.ended = threading.Event()
        self.methods: Counter[str] = Counter()
        counting, ended = threading.Lock(), self.ended

        def answered(question: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
            with counting:
                self.methods[question["method"]] += 1
            if question["method"] == "eth_getLogs" and "result" in answer:
                return {**answer, "result": lie(question["params"][0], answer["result"])}
            if question["method"] == "eth_getBlockByNumber" and isinstance(answer.get("result"), dict):
                return {**answer, "result": headers(answer["result"])}
            return answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                if (other := instead(asked if isinstance(asked, list) else [asked])) is not None:
                    status, told = other
                    if told is None:
                        ended.wait()
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(told or b"")))
                    self.end_headers()
                    self.wfile.write(told or b"")
                    return
                with urlopen(Request(url, body, {"Content-Type": "application/json"})) as found:
                    document = json.loads(found.read())
                if isinstance(asked, list):
                    by_id = {one["id"]: one for one in asked}
                    document = [answered(by_id[one["id"]], one) for one in document]
                else:
                    document = answered(asked, document)
                told = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

        self._server = LoopbackServer(Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
