"""Multicall3 `aggregate3` seen from the contract's side: calldata in, answer out.

Only what a replaying node needs; asking through Multicall3 belongs to `net.multicall`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SELECTOR = "0x82ad56cb"


@dataclass(frozen=True, slots=True)
class Inner:
    """One call inside an aggregate: target and data as lower-case 0x text, and whether it may fail alone."""

    to: str
    data: str
    may_fail: bool


def decode_calls(calldata: str) -> list[Inner]:
    """The inner calls of `aggregate3((address target, bool allowFailure, bytes callData)[])`, in order.

    Raises ValueError when `calldata` is not such a call.
    """
    if not calldata.lower().startswith(SELECTOR):
        raise ValueError("not an aggregate3 call")
    body = bytes.fromhex(calldata[10:])
    at = _word(body, 0)
    count = _word(body, at)
    base = at + 32
    calls = []
    for index in range(count):
        item = base + _word(body, base + 32 * index)
        data_at = item + _word(body, item + 64)
        length = _word(body, data_at)
        data = body[data_at + 32 : data_at + 32 + length]
        if len(data) != length:
            raise ValueError("aggregate3 calldata is cut short")
        calls.append(Inner(f"0x{_word(body, item):040x}", "0x" + data.hex(), bool(_word(body, item + 32))))
    return calls


def encode_results(results: Sequence[tuple[bool, str]]) -> str:
    """The answer `(bool success, bytes returnData)[]` as 0x text."""
    heads, tails = b"", b""
    for success, data in results:
        raw = bytes.fromhex(data[2:])
        heads += _pad(32 * len(results) + len(tails))
        tails += _pad(success) + _pad(64) + _pad(len(raw)) + raw + bytes(-len(raw) % 32)
    return "0x" + (_pad(32) + _pad(len(results)) + heads + tails).hex()


def decode_results(answer: str) -> list[tuple[bool, str]]:
    """The inverse of `encode_results`. Raises ValueError when `answer` is cut short."""
    body = bytes.fromhex(answer[2:])
    base = _word(body, 0) + 32
    results = []
    for index in range(_word(body, base - 32)):
        item = base + _word(body, base + 32 * index)
        data_at = item + _word(body, item + 32)
        data = body[data_at + 32 : data_at + 32 + _word(body, data_at)]
        results.append((bool(_word(body, item)), "0x" + data.hex()))
    return results


def _word(body: bytes, at: int) -> int:
    if at + 32 > len(body):
        raise ValueError("aggregate3 data is cut short")
    return int.from_bytes(body[at : at + 32], "big")


def _pad(value: int) -> bytes:
    return int(value).to_bytes(32, "big")
