"""Stands between the reader and a real node over real HTTP: passes every question on, and changes what it is told to."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

# Given a question and whom to ask for its true reply; None passes the question on.
Change = Callable[[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]], dict[str, Any] | None]


def honest(_question: dict[str, Any], _ask: object) -> None:
    """Change nothing."""


class Middleman:
    """What `Hostile` serves in place of a synthetic chain: a real node's answers, changed by `change`."""

    def __init__(self, url: str, change: Change = honest) -> None:
        self.url, self.change = url, change
        self.methods: Counter[str] = Counter()

    def answer(self, body: bytes) -> bytes:
        """The JSON-RPC answer to a request body, single or batch."""
        document = orjson.loads(body)
        some = document if isinstance(document, list) else [document]
        self.methods.update(one["method"] for one in some)
        replies = [self.change(one, self.ask) or self.ask(one) for one in some]
        return orjson.dumps(replies if isinstance(document, list) else replies[0])

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The true reply."""
        request = urllib.request.Request(  # the loopback node
            self.url, orjson.dumps(question), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = orjson.loads(answer.read())
            return found


def result(question: dict[str, Any], value: object) -> dict[str, Any]:
    """A reply with this result."""
    return {"jsonrpc": "2.0", "id": question["id"], "result": value}


def refusal(question: dict[str, Any], code: int, message: str) -> dict[str, Any]:
    """A reply with an error object."""
    return {"jsonrpc": "2.0", "id": question["id"], "error": {"code": code, "message": message}}
