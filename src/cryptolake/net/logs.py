"""The log scanner: one union filter over an exact block range, in windows whose span is learned. Knows no event.

What does not belong here: decoding, and which contracts are worth asking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptolake.errors import Narrow, Retry, Stop
from cryptolake.net.abi import checksum
from cryptolake.net.blocks import BlockRange
from cryptolake.net.rpc import Json


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The events wanted of one emitter: its EIP-55 address and the set of first topics."""

    address: str
    topics0: frozenset[str]


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the node gave it; topics and hashes lower-case 0x hex, address EIP-55."""

    address: str
    topics: tuple[str, ...]
    data: bytes
    block: int
    block_hash: str
    tx: str
    index: int


@dataclass(frozen=True, slots=True)
class Window:
    """One answered question: blocks `[start, end)`, who answered, how many logs came."""

    start: int
    end: int
    endpoint: str
    logs: int


class Asks(Protocol):
    """The part of the pool the scanner uses."""

    chain: str
    last_endpoint: str

    def call(self, method: str, params: Sequence[Json]) -> Json: ...


def scan(
    pool: Asks,
    filters: Sequence[LogFilter],
    block_range: BlockRange,
    *,
    span: int = 2000,
    most: int = 50_000,
    on_window: Callable[[Window, list[Log]], None] = lambda _window, _logs: None,
) -> tuple[list[Log], list[Window]]:
    """Every wanted log of the range, sorted and each once, and the windows that together cover the range exactly once.

    The span grows on success up to `most` blocks and shrinks to what the endpoint says it accepts. Raises Retry when an
    answer holds logs that were not asked for, Stop when even one block is refused.
    """
    wanted = _union(filters)
    addresses = sorted(wanted)
    topics = sorted(set().union(*wanted.values())) if wanted else []
    found: dict[tuple[str, int], Log] = {}
    windows: list[Window] = []
    start, ceiling = block_range.start, most
    while start < block_range.end and addresses:
        end = min(start + span, block_range.end)
        question: dict[str, Json] = {
            "fromBlock": hex(start),
            "toBlock": hex(end - 1),
            "address": addresses[0] if len(addresses) == 1 else addresses,
            "topics": [topics],
        }
        try:
            answer = pool.call("eth_getLogs", [question])
        except Narrow as error:
            if end - start == 1:
                raise Stop(f"{pool.chain}: a single block of logs is refused; set another endpoint") from None
            span = ceiling = max(1, min(error.hint or (end - start) // 2, end - start - 1))
            continue
        logs = _logs(answer, start, end, set(addresses), set(topics), pool.chain)
        logs = [log for log in logs if log.topics[0] in wanted[log.address]]
        for log in logs:
            found[(log.block_hash, log.index)] = log
        window = Window(start, end, pool.last_endpoint, len(logs))
        windows.append(window)
        on_window(window, logs)
        start, span = end, min(span * 2, ceiling)
    return sorted(found.values(), key=lambda log: (log.block, log.index)), windows


def _union(filters: Iterable[LogFilter]) -> dict[str, frozenset[str]]:
    wanted: dict[str, frozenset[str]] = {}
    for one in filters:
        wanted[one.address] = wanted.get(one.address, frozenset()) | one.topics0
    return wanted


def _logs(answer: Json, start: int, end: int, addresses: set[str], topics: set[str], chain: str) -> list[Log]:
    if not isinstance(answer, list):
        raise Retry(f"{chain}: the endpoint answered a log question with something else; another endpoint is needed")
    logs = [parse_log(one) for one in answer if isinstance(one, Mapping) and not one.get("removed")]
    for log in logs:
        asked = start <= log.block < end and log.address in addresses and bool(log.topics) and log.topics[0] in topics
        if not asked:
            raise Retry(
                f"{chain}: the endpoint sent a log of block {log.block} that was not asked for; set another endpoint"
            )
    return logs


def parse_log(one: Mapping[str, Json]) -> Log:
    """A log object of JSON-RPC as a Log."""
    topics = one["topics"]
    assert isinstance(topics, Sequence)
    return Log(
        checksum(str(one["address"])),
        tuple(str(topic).lower() for topic in topics),
        bytes.fromhex(str(one["data"]).removeprefix("0x")),
        int(str(one["blockNumber"]), 16),
        str(one["blockHash"]).lower(),
        str(one["transactionHash"]).lower(),
        int(str(one["logIndex"]), 16),
    )


def log_to_json(log: Log) -> dict[str, Json]:
    """The stored form of a log, the same fields as JSON-RPC's."""
    return {
        "address": log.address,
        "topics": list(log.topics),
        "data": "0x" + log.data.hex(),
        "blockNumber": hex(log.block),
        "blockHash": log.block_hash,
        "transactionHash": log.tx,
        "logIndex": hex(log.index),
    }
