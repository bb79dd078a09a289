"""Providers that enforce a limit, each in its own way: the rules as plain functions of time, and a server around one.

The rules are what providers describe of themselves, at limits given here; used by the tests with simulated clocks, by
`benchmarks.rates` over real HTTP. What does not belong here: who asks. Synthetic: no provider's own code.

Usage: python -m benchmarks.enforcing KIND LATENCY_S SPAN; prints its port. GET / gives what was let through and refused.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from benchmarks.connection import Connection

CALLS = 50.0  # calls a second that every kind allows, whatever it counts
WEIGHTS: Mapping[str, float] = {"eth_chainId": 0, "eth_getBlockByNumber": 20, "eth_call": 26, "eth_getLogs": 60}
UNITS = CALLS * WEIGHTS["eth_getLogs"]  # compute units a second
MONTH = 1000.0  # calls a month, of the kind that counts months
EXHAUSTED = "Monthly capacity limit exceeded. Visit the billing page to upgrade your scaling policy."


class Rule(Protocol):
    """Whether a request of `cost` that arrives at `now` is let through; the request is counted when it is."""

    def admits(self, now: float, cost: float) -> bool:
        """Judge one request; arrivals come in the order of time."""
        ...


@dataclass(slots=True)
class Sliding:
    """At most `limit` in any window of `seconds`. `strict`: what is refused counts too."""

    limit: float
    seconds: float = 1.0
    strict: bool = False
    seen: deque[tuple[float, float]] = field(default_factory=deque)
    total: float = 0.0

    def admits(self, now: float, cost: float) -> bool:
        """As the protocol says."""
        while self.seen and self.seen[0][0] <= now - self.seconds:
            self.total -= self.seen.popleft()[1]
        admitted = self.total + cost <= self.limit
        if admitted or self.strict:
            self.seen.append((now, cost))
            self.total += cost
        return admitted


@dataclass(slots=True)
class Bucket:
    """A bucket of `capacity` tokens, filled with `rate` a second."""

    rate: float
    capacity: float
    tokens: float = field(default=-1.0)
    at: float = 0.0

    def admits(self, now: float, cost: float) -> bool:
        """As the protocol says."""
        full = self.capacity if self.tokens < 0 else min(self.capacity, self.tokens + (now - self.at) * self.rate)
        admitted = full >= cost
        self.tokens, self.at = full - cost * admitted, now
        return admitted


@dataclass(slots=True)
class Fixed:
    """At most `limit` in every period of `seconds` by the clock, which begins again at once."""

    limit: float
    seconds: float
    period: float = -1.0
    total: float = 0.0

    def admits(self, now: float, cost: float) -> bool:
        """As the protocol says."""
        if now // self.seconds != self.period:
            self.period, self.total = now // self.seconds, 0.0
        admitted = self.total + cost <= self.limit
        self.total += cost * admitted
        return admitted


@dataclass(slots=True)
class LockedOut:
    """At most `limit` in any second; who breaks it is refused for `seconds`, anew by each refusal if `renewed`."""

    limit: float
    seconds: float
    renewed: bool = False
    rule: Sliding = field(init=False)
    until: float = float("-inf")

    def __post_init__(self) -> None:
        self.rule = Sliding(self.limit)

    def admits(self, now: float, cost: float) -> bool:
        """As the protocol says."""
        locked = now < self.until
        admitted = not locked and self.rule.admits(now, cost)
        if not admitted and (self.renewed or not locked):
            self.until = now + self.seconds
        return admitted


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to enforce: the rule, what a call costs, and whether each member of a batch is judged by itself."""

    rule: Callable[[], Rule]
    allowed: float  # units a second in the long run
    weights: Mapping[str, float] = field(default_factory=dict)
    by_member: bool = False
    lasting: bool = False  # refuses with a text that no waiting helps against


KINDS: Mapping[str, Kind] = {
    "sliding second": Kind(lambda: Sliding(CALLS), CALLS),
    "token bucket": Kind(lambda: Bucket(CALLS, CALLS), CALLS),
    "by member": Kind(lambda: Sliding(CALLS), CALLS, by_member=True),
    "compute units": Kind(lambda: Sliding(UNITS), UNITS, WEIGHTS),
    "fixed minute": Kind(lambda: Fixed(60 * CALLS, 60.0), CALLS),
    "month": Kind(lambda: Fixed(MONTH, 1e12), CALLS, lasting=True),
}


class Provider(Connection):
    """One connection; answers every request after the latency, as the kind allows."""

    kind: Kind
    rule: Rule
    latency, span = 0.08, 10
    counts: dict[str, float] = {}  # noqa: RUF012  # shared by all connections of this process

    def looked_at(self, path: str) -> None:
        """What was counted."""
        self.send(orjson.dumps(Provider.counts))

    def asked(self, body: bytes) -> None:
        """Judge it now, answer after the latency."""
        status, answer = self.judge(orjson.loads(body))
        asyncio.get_running_loop().call_later(self.latency, self.send, orjson.dumps(answer), f"{status} X")

    def judge(self, asked: Mapping[str, object] | Sequence[Mapping[str, object]]) -> tuple[int, object]:
        """The HTTP status and body for a single call or a batch."""
        kind, now = self.kind, time.monotonic()
        calls = [asked] if isinstance(asked, Mapping) else list(asked)
        costs = [kind.weights.get(str(one["method"]), 1.0) for one in calls]
        self.count(requests=1, members=len(calls))
        if kind.by_member:
            found = [
                self.answer(one) if self.admitted(now, cost, 1) else self.refusal(one)
                for one, cost in zip(calls, costs, strict=True)
            ]
        elif self.admitted(now, sum(costs), len(calls)):
            found = [self.answer(one) for one in calls]
        else:
            return 429, self.refusal(calls[0])
        return 200, found[0] if isinstance(asked, Mapping) else found

    def admitted(self, now: float, cost: float, calls: int) -> bool:
        """Judge and count."""
        admitted = self.rule.admits(now, cost)
        self.count(units=cost * admitted, refused=calls * (not admitted), refusals=not admitted)
        return admitted

    def count(self, **more: float) -> None:
        """Add to the counts."""
        for name, value in more.items():
            Provider.counts[name] = Provider.counts.get(name, 0.0) + value

    def refusal(self, question: Mapping[str, object]) -> dict[str, object]:
        """What a refused call is told."""
        text = EXHAUSTED if self.kind.lasting else "Too many requests"
        return {"jsonrpc": "2.0", "id": question["id"], "error": {"code": 429, "message": text}}

    def answer(self, question: Mapping[str, object]) -> dict[str, object]:
        """The JSON-RPC answer to a call."""
        given: dict[str, object] = {"jsonrpc": "2.0", "id": question["id"]}
        params = question["params"]
        match question["method"]:
            case "eth_chainId":
                return given | {"result": "0x1"}
            case "eth_blockNumber":
                return given | {"result": hex(10**9)}
            case "eth_getBlockByNumber":
                number = int(params[0], 16)  # type: ignore[index]
                block = {"number": hex(number), "timestamp": hex(12 * number), "hash": f"0x{number:064x}"}
                return given | {"result": block | {"logsBloom": "0x" + "0" * 512}}
            case "eth_getLogs":
                first, last = (int(params[0][key], 16) for key in ("fromBlock", "toBlock"))  # type: ignore[index]
                if last - first >= self.span:
                    return given | {"error": {"code": -32600, "message": f"up to a {self.span} block range"}}
                return given | {"result": []}
        return given | {"result": "0x0"}


async def serve(kind: str, latency: float, span: int) -> None:
    """Serve until killed."""
    Provider.kind, Provider.latency, Provider.span = KINDS[kind], latency, span
    Provider.rule = Provider.kind.rule()
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
