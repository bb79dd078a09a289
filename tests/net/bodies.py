"""A grammar of JSON-RPC answers gone wrong: true answers with one or more parts replaced, cut, doubled or misspelt. Seeded."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson
from tests.net.specimens import SPECIMENS

from cryptolake.errors import BadInput, Narrow, Retry
from cryptolake.net.http import Answer

STATUSES = (200, 200, 200, 200, 400, 401, 402, 403, 404, 408, 413, 415, 429, 500, 502, 503, 504, 520, 524, 599)
HEADERS = (
    {},
    {},
    {"retry-after": "1"},
    {"retry-after": "soon"},
    {"retry-after": "-5"},
    {"retry-after": "1e999"},
    {"retry-after": "Wed, 99 Foo 2024 00:00:00 GMT"},
    {"content-type": "text/html"},
    {"content-type": "application/json; charset=utf-16"},
)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 1.5, 1e300, 2**63, "", "0", "0x", "0x0", "0x00", "0x1", "0x123", "0xzz", "0X1F", "0x 1",
    "0x1_0", "-0x1", "0x-1", " 0x1", "0x" + "f" * 64, "0x" + "f" * 65, "0x" + "0" * 600, "latest", "null", "NaN", "é" * 40,
    "\u0000", "\ud7ff", "0x" + "é" * 10, [], {}, [None], [[]], {"": ""}, ["0x1"], {"message": None},
    {"code": "x", "message": []},
    {"code": 1e99, "message": {"a": [1, {"b": None}]}, "data": ["0x", {}]}, "x" * 5000, "(((((", "%s%n{}{limit}",
)  # fmt: skip
RAW = (
    b"", b" ", b"null", b"undefined", b"0", b'"text"', b"[]", b"{}", b"[[]]", b"[null]", b"[1,2,3]", b"\xff\xfe\x00",
    b"\x1f\x8b\x08",
    b"\xef\xbb\xbf", b"<html><body>403 Forbidden</body></html>", b"<!DOCTYPE html><title>Just a moment...</title>", b"OK",
    b"upstream request timeout", b"error code: 1015", b"{" * 3000, b"[" * 100_000, b'{"jsonrpc":"2.0","id":0}',
    b'{"id":0,"result":',
    b'{"jsonrpc":"2.0","id":1e400,"result":"0x1"}', b'{"id":0,"result":"0x1","result":"0x2"}',
    b'{"error":"over quota this month"}',
    b'{"id":99999999999999999999999999,"result":"0x1"}', b"HTTP/1.1 200 OK\r\n\r\n", b'{"jsonrpc":"2.0","id":0,"error":{}}',
)  # fmt: skip
CODES = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
    -32000,
    -32005,
    -32001,
    -32010,
    -32701,
    3,
    30,
    31,
    35,
    0,
    429,
    403,
    None,
    "x",
)
KEYS = (
    "id",
    "result",
    "error",
    "jsonrpc",
    "number",
    "timestamp",
    "hash",
    "logsBloom",
    "data",
    "topics",
    "address",
    "removed",
)


class Grammar:
    """Bodies by a seed: the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def answer(self, truth: bytes) -> Answer:
        """The true answer changed, or something else in its place; raises what a transport raises."""
        chance = self.random.random()
        if chance < 0.02:
            raise self.random.choice([Retry("the connection failed (read)"), Narrow("an answer of 300 MB was refused")])
        if chance < 0.023:
            raise BadInput("an address to ask is no URL; look at CRYPTOLAKE_RPC_*")
        return Answer(self.random.choice(STATUSES), self.random.choice(HEADERS), self.body(truth), 0.01)

    def body(self, truth: bytes) -> bytes:
        """A body: a document with parts changed, bytes changed, or none of it."""
        chance = self.random.random()
        if chance < 0.12:
            return self.random.choice(RAW)
        document = orjson.loads(truth)
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            document = self.changed(document)
        try:
            body = orjson.dumps(document)
        except (TypeError, orjson.JSONEncodeError):
            body = repr(document).encode("utf-8", "replace")
        return self.bent(body) if chance < 0.3 else body

    def changed(self, document: Any) -> Any:
        """One part of a document replaced, taken out, doubled, or made an error."""
        choices: list[Callable[[Any], Any]] = [self._odd_part] * 6
        choices += [self._refused, self._refused, self._without, self._doubled, self._wrapped, self._renumbered]
        return self.random.choice(choices)(document)

    def bent(self, body: bytes) -> bytes:
        """The same with bytes cut, put before, or spoiled."""
        place = self.random.randrange(len(body) + 1)
        choices = (
            body[:place],
            b"\xef\xbb\xbf" + body,
            b"\n\t " + body + b"\n",
            body[:place] + b"\xff" + body[place:],
            body[:place] + b"\x00" + body[place:],
            body + body,
            body.upper(),
            body.replace(b'"0x', b'"0X'),
            body.decode("utf-8", "replace").encode("utf-16"),
        )
        return self.random.choice(choices)

    def _places(self, document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        found = [path]
        if isinstance(document, dict):
            for key, value in document.items():
                found += self._places(value, (*path, key))
        elif isinstance(document, list):
            for number, value in enumerate(document[:20]):
                found += self._places(value, (*path, number))
        return found

    def _with(self, document: Any, path: tuple[Any, ...], value: Any) -> Any:
        if not path:
            return value
        copy = dict(document) if isinstance(document, dict) else list(document)
        copy[path[0]] = self._with(copy[path[0]], path[1:], value)
        return copy

    def _odd_part(self, document: Any) -> Any:
        return self._with(document, self.random.choice(self._places(document)), self.random.choice(ODD))

    def _without(self, document: Any) -> Any:
        path = self.random.choice(self._places(document))
        if not path:
            return document
        holder = document
        for step in path[:-1]:
            holder = holder[step]
        copy = dict(holder) if isinstance(holder, dict) else list(holder)
        del copy[path[-1]]
        return self._with(document, path[:-1], copy)

    def _doubled(self, document: Any) -> Any:
        if isinstance(document, list) and document:
            return [*document, self.random.choice(document)]
        return (
            {**document, self.random.choice(KEYS): self.random.choice(ODD)}
            if isinstance(document, dict)
            else [document] * 2
        )

    def _wrapped(self, document: Any) -> Any:
        first = document[0] if isinstance(document, list) and document else []
        return self.random.choice(([document], {"result": document}, {"data": document}, first))

    def _renumbered(self, document: Any) -> Any:
        def other(one: Any) -> Any:
            ids = (str(one.get("id")), 0.0, None, -1, 7, "a", [1], True) if isinstance(one, dict) else ()
            return {**one, "id": self.random.choice(ids)} if ids else one

        return [other(one) for one in document] if isinstance(document, list) else other(document)

    def _refused(self, document: Any) -> Any:
        def refusal(one: Any) -> Any:
            words = self.random.choice(SPECIMENS).words.replace("{", "").replace("}", "")
            number = str(self.random.choice((0, 1, 7, 500, 10_000, 10**12)))
            error = {"code": self.random.choice(CODES), "message": words.replace("limit", number, 1)}
            number_of = one.get("id") if isinstance(one, dict) and not isinstance(one.get("id"), list | dict) else None
            return {"jsonrpc": "2.0", "id": number_of, "error": error}

        if isinstance(document, list) and document and self.random.random() < 0.7:
            place = self.random.randrange(len(document))
            return [refusal(one) if number == place else one for number, one in enumerate(document)]
        return refusal(document)
