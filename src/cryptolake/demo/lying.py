"""Lies for a `Replay`: what a node or a vendor answers that is wrong, broken or not all there. Each is a function of its own.

What does not belong here: serving them (`replay`), and who has to notice them (`faults`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from cryptolake.demo import aggregate3
from cryptolake.demo.recording import ChainRecording, Json, RecordedFault
from cryptolake.demo.replay import Lie, VendorLie

honest: Lie = ChainRecording.answer


def _of_logs(lie: Callable[[dict[str, Json], list[dict[str, Json]]], list[dict[str, Json]]]) -> Lie:
    """A lie about logs alone, given the filter and the logs that are true."""

    def told(chain: ChainRecording, method: str, params: list[Json]) -> Json:
        true = chain.answer(method, params)
        if method != "eth_getLogs":
            return true
        asked, logs = params[0], [one for one in true if isinstance(one, dict)] if isinstance(true, list) else []
        return list(lie(asked if isinstance(asked, dict) else {}, logs))

    return told


def dropping(block: int, *, admits: bool = False) -> Lie:
    """Leaves out the logs of a block; one that `admits` gives them when it is asked for that block by its hash."""

    def lie(asked: dict[str, Json], logs: list[dict[str, Json]]) -> list[dict[str, Json]]:
        return logs if admits and "blockHash" in asked else [one for one in logs if one["blockNumber"] != hex(block)]

    return _of_logs(lie)


def inventing(block: int) -> Lie:
    """Tells the last log of a block a second time, at a place where there was none."""

    def lie(_asked: dict[str, Json], logs: list[dict[str, Json]]) -> list[dict[str, Json]]:
        there = [one for one in logs if one["blockNumber"] == hex(block)]
        return logs + [{**one, "logIndex": hex(1_000)} for one in there[-1:]]

    return _of_logs(lie)


def repeating_places(block: int) -> Lie:
    """Puts all logs of a block at one and the same place."""

    def lie(_asked: dict[str, Json], logs: list[dict[str, Json]]) -> list[dict[str, Json]]:
        return [{**one, "logIndex": "0x0"} if one["blockNumber"] == hex(block) else one for one in logs]

    return _of_logs(lie)


def stale(*, forging: bool = False) -> Lie:
    """Answers calls with the state of the snapshot before; one that is `forging` says of its block what the right one would."""

    def told(chain: ChainRecording, method: str, params: list[Json]) -> Json:
        if method != "eth_call":
            return chain.answer(method, params)
        call, asked = params[0], chain.block_of(params[1])
        old = _before(chain, call, asked)
        if not forging or not isinstance(call, dict) or not isinstance(old, str):
            return old
        calls = aggregate3.decode_calls(str(call["data"]))
        true = aggregate3.decode_results(str(chain.answer(method, params)))
        both = zip(calls, true, aggregate3.decode_results(old), strict=True)
        return aggregate3.encode_results(
            [now if one.to == chain.multicall3.lower() else before for one, now, before in both]
        )

    return told


def _before(chain: ChainRecording, call: Json, block: int) -> Json:
    """What a call gave at the last block before this one at which it was asked; at this one, where it never was."""
    for number in sorted({one[0] for one in chain.calls if one[0] < block}, reverse=True):
        with suppress(RecordedFault):
            return chain.answer("eth_call", [call, hex(number)])
    return chain.answer("eth_call", [call, hex(block)])


def empty_calls(chain: ChainRecording, method: str, params: list[Json]) -> Json:
    """Answers every call with `0x`, as a node does for an address where there is no contract."""
    return "0x" if method == "eth_call" else chain.answer(method, params)


def with_sibling(contract: str, sibling: str) -> Lie:
    """No lie of the node's: a chain on which another contract of the same kind stands, which gives the same figures."""
    contract, sibling = contract.lower(), sibling.lower()
    beside: list[ChainRecording] = []

    def told(chain: ChainRecording, method: str, params: list[Json]) -> Json:
        if not beside:
            alike = {(n, sibling, data): said for (n, to, data), said in chain.calls.items() if to == contract}
            beside.append(replace(chain, calls={**chain.calls, **alike}))
        return beside[0].answer(method, params)

    return told


def _of_page(page: int, lie: Callable[[bytes], bytes]) -> VendorLie:
    """A lie about one page of the list of coins."""

    def told(path: str, query: dict[str, str], body: bytes) -> bytes:
        return lie(body) if path.endswith("/coins/markets") and query.get("page") == str(page) else body

    return told


def short_page(page: int) -> VendorLie:
    """Half of a page is missing, and the rest is in order."""
    return _of_page(page, lambda body: json.dumps((coins := json.loads(body))[: len(coins) // 2]).encode())


def cut_page(page: int) -> VendorLie:
    """A page ends in the middle of a coin."""
    return _of_page(page, lambda body: body[: len(body) // 2])
