"""A real HTTP endpoint whose limits are real and whose words for them are given: nothing else tells what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from tests.hostile.server import Fault, Hostile
from tests.net.node import Node
from tests.net.specimens import Specimen

# How a refusal is sent: given handler, the questions, the error object. Returns whether it was.
Shape = Callable[[Any, Any, Mapping[str, object]], bool]


@dataclass(frozen=True)
class Takes:
    """How much an endpoint takes in one question."""

    blocks: int = 10**9
    results: int = 10**9
    addresses: int = 10**9
    topics: int = 10**9
    batch: int = 10**9


def endpoint(node: Node, takes: Takes, specimen: Specimen, shape: Shape) -> Hostile:
    """An endpoint that serves `node`, refuses what is more than it `takes`, and says so like the specimen."""
    return Hostile(node, {"refused": (_refusal(node, takes, specimen, shape), 10**9)})


def _refusal(node: Node, takes: Takes, specimen: Specimen, shape: Shape) -> Fault:
    def fault(handler: Any, body: bytes) -> bool:
        questions = orjson.loads(body)
        limit: int = getattr(takes, specimen.of)
        asked, first = _asked(node, specimen.of, questions)
        if asked <= limit:
            return False
        fitting = limit if specimen.of != "results" else _fitting(node, first, limit)
        fields = {
            "limit": f"{limit:,}", "asked": str(asked), "first": str(first), "last": str(first + fitting - 1),
            "start": hex(first), "until": hex(first + fitting - 1),
        }  # fmt: skip
        return shape(handler, questions, {"code": specimen.code, "message": specimen.words.format(**fields)})

    return fault


def _asked(node: Node, of: str, questions: Any) -> tuple[int, int]:
    """How much is asked for, and from which block on."""
    if isinstance(questions, list):
        return (len(questions), 0) if of == "batch" else (0, 0)
    if questions["method"] != "eth_getLogs":
        return 0, 0
    (asked,) = questions["params"]
    first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
    addresses, topics = asked["address"], asked["topics"][0]
    match of:
        case "blocks":
            return last - first + 1, first
        case "results":
            return sum(len(node.logs_of(number)) for number in range(first, last + 1)), first
        case "addresses":
            return len(addresses) if isinstance(addresses, list) else 1, first
        case "topics":
            return len(topics), first
    return 0, first


def _fitting(node: Node, first: int, limit: int) -> int:
    found = blocks = 0
    while found + len(node.logs_of(first + blocks)) <= limit:
        found += len(node.logs_of(first + blocks))
        blocks += 1
    return max(1, blocks)


def in_band(status: int) -> Shape:
    """A JSON-RPC error; for a batch one error for all of it, as most do."""

    def send(handler: Any, questions: Any, error: Mapping[str, object]) -> bool:
        number = None if isinstance(questions, list) else questions["id"]
        return bool(handler.send(status, orjson.dumps({"jsonrpc": "2.0", "id": number, "error": error})))

    return send


def each(status: int) -> Shape:
    """A JSON-RPC error for every member of the batch."""

    def send(handler: Any, questions: Any, error: Mapping[str, object]) -> bool:
        all_of_them = questions if isinstance(questions, list) else [questions]
        found = [{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in all_of_them]
        return bool(handler.send(status, orjson.dumps(found if isinstance(questions, list) else found[0])))

    return send


def in_data(status: int) -> Shape:
    """The words stand in the error's data, as some gateways wrap what their node said."""

    def send(handler: Any, questions: Any, error: Mapping[str, object]) -> bool:
        wrapped = {"code": error["code"], "message": "invalid request", "data": {"payload": error["message"]}}
        return in_band(status)(handler, questions, wrapped)

    return send


def as_text(status: int) -> Shape:
    """The words alone, without JSON."""
    return lambda handler, _, error: bool(handler.send(status, str(error["message"]).encode()))


def as_json(status: int) -> Shape:
    """The words in a JSON object that is no JSON-RPC."""

    def send(handler: Any, questions: Any, error: Mapping[str, object]) -> bool:
        return bool(handler.send(status, orjson.dumps({"status": status, "message": error["message"]})))

    return send


def bare(status: int) -> Shape:
    """The status alone."""
    return lambda handler, _, __: bool(handler.send(status, b""))


SHAPES: dict[str, Shape] = {
    "in band, 200": in_band(200),
    "in band, 400": in_band(400),
    "in band, 403": in_band(403),
    "in band, 413": in_band(413),
    "in band, 500": in_band(500),
    "each, 200": each(200),
    "each, 500": each(500),
    "in data, 200": in_data(200),
    "text, 400": as_text(400),
    "text, 500": as_text(500),
    "JSON, 400": as_json(400),
    "JSON, 503": as_json(503),
    "bare 400": bare(400),
    "bare 413": bare(413),
    "bare 500": bare(500),
    "bare 504": bare(504),
}
