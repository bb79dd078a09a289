"""`CountedHttp`: an HTTP client that keeps what was said and never sends more calls than it was allowed.

A call is what a provider bills: one request, or every member of a JSON-RPC batch. What does not belong here: who is asked what,
and taking secrets out of what is kept (its reader).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.errors import Stop
from cryptolake.net.http import DEADLINE_S, Answer, Http


class NoCallsLeft(Stop):
    """The next question would be more calls than were allowed; it was not sent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One question and its answer, as they were sent: secrets are still in both.

    `asked` is the path and query, or the methods of JSON-RPC; `body` the question's body, None for a GET.
    """

    asked: str
    body: bytes | None
    status: int
    answer: bytes


class CountedHttp(Http):
    """At most `ceiling` calls; raises NoCallsLeft instead of sending more. Thread-safe."""

    def __init__(self, ceiling: int, *, timeout_s: float = DEADLINE_S) -> None:
        super().__init__(timeout_s=timeout_s)
        self.ceiling, self.calls = ceiling, 0
        self.held_back = 0  # questions that were not sent
        self.exchanged: list[Heard] = []
        self._counting = threading.Lock()

    def count(self, calls: int = 1) -> None:
        """Take so many calls. Raises NoCallsLeft when they are not left."""
        with self._counting:
            if self.calls + calls > self.ceiling:
                left = self.ceiling - self.calls
                self.held_back += 1
                raise NoCallsLeft(
                    f"needs more than the {left} left of {counted(self.ceiling, 'call')}; it was not sent"
                )
            self.calls += calls

    def keep(self, url: str, status: int, answer: bytes) -> None:
        """Keep what somebody else's client was answered."""
        parts = urlsplit(url)
        self.exchanged.append(Heard(f"{parts.path}?{parts.query}".rstrip("?"), None, status, answer))

    def _send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        timeout_s: float | None = None,
    ) -> Answer:
        methods = _methods(body)
        self.count(max(1, len(methods)))
        answer = super()._send(method, url, params=params, body=body, headers=headers, timeout_s=timeout_s)
        parts = urlsplit(url)
        query = "&".join(one for one in (parts.query, urlencode(params or {})) if one)
        asked = " ".join(methods) if methods else f"{parts.path}?{query}".rstrip("?")
        self.exchanged.append(Heard(asked, body, answer.status, answer.body))
        return answer


def _methods(body: bytes | None) -> list[str]:
    """The JSON-RPC methods that a body asks, one for each billed call."""
    if body is None:
        return []
    document = orjson.loads(body)
    return [str(one.get("method")) for one in (document if isinstance(document, list) else [document])]
