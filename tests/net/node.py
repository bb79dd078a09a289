"""A chain that answers JSON-RPC from a function of block number to time, with a provider's limits. Synthetic data.

Stands for providers that cannot be asked here. `Node.post` is given to the real pool in place of the HTTP client where
thousands of questions are asked; tests/hostile serves the same node over real HTTP.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from cryptolake.net.abi import checksum, keccak
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.rpc import Pool

EMITTER, TOPIC = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2", "0x" + "ab" * 32
CHAIN_ID = 424242


def linear(start: int, per_block: float) -> Callable[[int], int]:
    """Block times on a straight line."""
    return lambda number: start + int(number * per_block)


TWELVE_SECONDS = linear(1_700_000_000, 12)


def every_seventh(number: int) -> list[int]:
    """Log indexes of a block: one in every seventh block."""
    return [0] if number % 7 == 0 else []


def block_named(tag: str | Mapping[str, str]) -> int:
    """The block that an eth_call names, by number or by hash (which is its number here)."""
    return int(tag["blockHash"] if isinstance(tag, Mapping) else tag, 16)


@dataclass
class Node:
    """A chain behind one endpoint.

    `limit` is the largest span of eth_getLogs, `wording` how a larger one is refused (with `{limit}`, `{start}`,
    `{until}`), `most_logs` the largest number of logs in an answer, `most_addresses` the longest address list.
    `hidden` are blocks whose logs this endpoint leaves out; `pruned_below` the oldest block it has logs and state of.
    """

    time: Callable[[int], int] = TWELVE_SECONDS
    head: int = 1_000_000
    limit: int = 10**9
    wording: str = "eth_getLogs is limited to a {limit} range"
    most_logs: int | None = None
    most_addresses: int = 10**9
    logs_of: Callable[[int], Sequence[int]] = every_seventh
    hidden: frozenset[int] = frozenset()
    pruned_below: int = 0
    chain_id: int = CHAIN_ID
    call: Callable[[str, str, int], str] = lambda _to, _data, _block: "0x"
    code: Callable[[str, int], str] | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)
    methods: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    refusals: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        """An HTTP answer without HTTP."""
        return Answer(200, {}, self.answer(body), 0.0)

    def answer(self, body: bytes) -> bytes:
        """The JSON-RPC answer to a request body, single or batch."""
        document = orjson.loads(body)
        with self.lock:
            self.requests += 1
            self.methods.update(one["method"] for one in (document if isinstance(document, list) else [document]))
        if isinstance(document, list):
            return orjson.dumps([self._one(one) for one in document])
        return orjson.dumps(self._one(document))

    def _one(self, question: Mapping[str, Any]) -> dict[str, object]:
        head: dict[str, object] = {"jsonrpc": "2.0", "id": question["id"]}
        params = question["params"]
        match question["method"]:
            case "eth_chainId":
                return head | {"result": hex(self.chain_id)}
            case "eth_blockNumber":
                return head | {"result": hex(self.head)}
            case "eth_getBlockByNumber":
                number = self.head if params[0] in {"finalized", "latest"} else int(params[0], 16)
                return head | {"result": self.header(number) if number <= self.head else None}
            case (
                "eth_call" | "eth_getCode" | "eth_getBalance" | "eth_getStorageAt" | "eth_getTransactionCount" as method
            ):
                block = min(
                    block_named(params[-1]), self.head
                )  # beyond its head it answers with what it has, as some do
                if block < self.pruned_below:
                    return head | {"error": {"code": -32000, "message": "missing trie node 00 (path )"}}
                if method == "eth_getCode" and self.code is not None:
                    return head | {"result": self.code(params[0], block)}
                read = params[0] if method == "eth_call" else {"to": params[0], "data": method}
                return head | {"result": self.call(read["to"], read["data"], block)}
            case "eth_getLogs":
                return head | self._logs(params[0])
        return head | {"error": {"code": -32601, "message": "the method does not exist"}}

    def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
        if "blockHash" in asked:
            first = last = int(asked["blockHash"], 16)
        else:
            first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        addresses = asked["address"] if isinstance(asked["address"], list) else [asked["address"]]
        if last - first + 1 > self.limit:
            with self.lock:
                self.refusals += 1
            until = hex(first + self.limit - 1)
            text = self.wording.format(limit=self.limit, start=hex(first), until=until)
            return {"error": {"code": -32000, "message": text}}
        if len(addresses) > self.most_addresses:
            return {"error": {"code": -32602, "message": "query exceeds limit: too many addresses"}}
        if first < self.pruned_below:
            return {"error": {"code": -32000, "message": "history has been pruned for this block"}}
        found = [
            self.log(number, index)
            for number in range(first, min(last, self.head) + 1)
            for index in self.logs_of(number)
            if number not in self.hidden and EMITTER in addresses and TOPIC in asked["topics"][0]
        ]
        if self.most_logs is not None and len(found) > self.most_logs:
            return {"error": {"code": -32005, "message": f"query returned more than {self.most_logs} results"}}
        with self.lock:
            self.asked.append((first, last))
        return {"result": found}

    def log(self, number: int, index: int) -> dict[str, object]:
        """The event of a block."""
        return {
            "address": EMITTER.lower(),
            "topics": [TOPIC],
            "data": "0x",
            "blockNumber": hex(number),
            "blockHash": self.hash(number),
            "transactionHash": f"0x{number * 1000 + index:064x}",
            "logIndex": hex(index),
        }

    def header(self, number: int) -> dict[str, object]:
        """A header whose bloom filter holds the block's events."""
        bits = 0
        if self.logs_of(number):
            for text in (EMITTER, TOPIC):
                digest = keccak(bytes.fromhex(text[2:]))
                for place in (0, 2, 4):
                    bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") & 2047)
        # Every block has other events too, so that no bloom is empty.
        bits |= 1 << (number % 2048)
        return {
            "number": hex(number),
            "timestamp": hex(self.time(number)),
            "parentHash": self.hash(max(0, number - 1)),
            "hash": self.hash(number),
            "logsBloom": "0x" + bits.to_bytes(256, "big").hex(),
        }

    def hash(self, number: int) -> str:
        """The hash of a block."""
        return f"0x{number:064x}"


def pool_of(*nodes: Node, span: int = 2000, operators: Sequence[str] | None = None, **more: Any) -> Pool:
    """The real pool over nodes without HTTP, unlimited, never really sleeping; by default each of an operator of its own."""
    names = operators or [f"operator-{number}" for number, _ in enumerate(nodes)]
    endpoints = [
        Endpoint(
            f"node-{number}",
            SecretUrl(str(number)),
            Limits(rate=1e9, log_span=span, max_batch=100),
            operator=names[number],
        )
        for number, _ in enumerate(nodes)
    ]

    class ByNumber(Http):
        def __init__(self) -> None:
            pass

        def post(
            self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
        ) -> Answer:
            return nodes[int(url)].post(url, body, headers=headers)

    return Pool("test", CHAIN_ID, endpoints, ByNumber(), sleep=lambda _: None, **more)


ADDRESSES = [checksum(f"0x{number:040x}") for number in range(1, 40)]
