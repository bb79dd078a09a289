"""A real chain with events on it, and endpoints over it that answer honestly or lie as told. Needs the local node."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from tests.chain.anvil import CHAIN_ID, Anvil, Tx

from cryptolake.net.abi import checksum
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.rpc import Pool

EMITTERS = [checksum("0x" + digit * 40) for digit in "123"]
TOPICS = ["0x" + digit * 64 for digit in "abc"]
# Copies 32 bytes of call data to memory and emits them as a log's data, with themselves as its only topic.
_EMITS = "0x6020600060003760003560206000a100"
_TYPES: tuple[dict[str, Any], ...] = (
    {"gasPrice": "0x0"},
    {"gasPrice": "0x0", "accessList": []},
    {"maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0"},
)
Lie = Callable[[str, list[Any], Any], Any]
"""Given method, parameters and the honest result; what is answered instead. None: the method is not known here."""


def honest(_method: str, _params: list[Any], result: Any) -> Any:
    """No lie."""
    return result


def emit(node: Anvil, counts: list[int]) -> list[int]:
    """Mine a block for each count with so many events, by three emitters, in transactions of every type; the block numbers."""
    for emitter in EMITTERS:
        node.rpc("anvil_setCode", emitter, _EMITS)
    numbers = []
    for count in counts:
        head = node.number()
        for place in range(count):
            tx = Tx(node.accounts[place % 3], EMITTERS[place % 3], TOPICS[place // 3 % 3])
            node.rpc("eth_sendTransaction", tx.fields() | _TYPES[place % 3])
        node.rpc("evm_setNextBlockTimestamp", node.timestamp() + 12)
        node.rpc("evm_mine")
        numbers.append(head + 1)
    return numbers


@dataclass
class Telling:
    """One endpoint over the node: what it is asked goes to the node, what comes back through `lie`."""

    lie: Lie = honest
    operator: str = ""
    asked: list[str] = field(default_factory=list)


def telling(node: Anvil, *endpoints: Telling) -> Pool:
    """The real pool over endpoints of one node, without limits and without sleeping."""

    class Through(Http):
        def __init__(self) -> None:
            pass

        def post(
            self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
        ) -> Answer:
            endpoint = endpoints[int(url)]
            document = orjson.loads(body)
            many = document if isinstance(document, list) else [document]
            answers = [one for question in many for one in _answer(node, endpoint, question)]
            return Answer(200, {}, orjson.dumps(answers if isinstance(document, list) else answers[0]), 0.0)

    found = [
        Endpoint(
            f"voice-{number}", SecretUrl(str(number)), Limits(rate=1e9), operator=one.operator or f"operator-{number}"
        )
        for number, one in enumerate(endpoints)
    ]
    return Pool("test", CHAIN_ID, found, Through(), sleep=lambda _: None, attempts=2)


def _answer(node: Anvil, endpoint: Telling, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    method, params = question["method"], question["params"]
    endpoint.asked.append(method)
    told = endpoint.lie(method, params, copy.deepcopy(node.rpc(method, *params)))
    unknown = {"error": {"code": -32601, "message": "the method does not exist"}}
    yield {"jsonrpc": "2.0", "id": question["id"], **(unknown if told is None else {"result": told})}
