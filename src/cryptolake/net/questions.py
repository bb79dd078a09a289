"""What a JSON-RPC question is about: which blocks, and whether it could be asked in smaller pieces. Asks nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cryptolake.net.answers import quantity
from cryptolake.net.envelope import Json

Question = tuple[str, Sequence[Json]]
"""A method and its parameters."""


# Where the block stands among the parameters of what reads a chain's state.
_STATE = {"eth_call": 1, "eth_getBalance": 1, "eth_getCode": 1, "eth_getStorageAt": 2, "eth_getTransactionCount": 1}


def state_block(calls: Iterable[Question]) -> int | None:
    """The oldest block whose state is asked for, which decides who can answer; None when no state is asked for."""
    return min((block for call in calls if call[0] in _STATE and (block := _last(call)) is not None), default=None)


def newest_block(calls: Iterable[Question]) -> int | None:
    """The newest block whose state or logs are asked for; None when none is named."""
    return max((block for call in calls if (block := _last(call)) is not None), default=None)


def divisible(calls: Sequence[Question]) -> bool:
    """Whether it could be asked in smaller pieces: several calls, or logs of several blocks."""
    if len(calls) > 1:
        return True
    ((method, params),) = calls
    span = params[0] if method == "eth_getLogs" and params else None
    return isinstance(span, Mapping) and span.get("fromBlock") != span.get("toBlock")


def _last(call: Question) -> int | None:
    method, params = call
    if (place := _STATE.get(method)) is not None and len(params) > place:
        return quantity(params[place])
    if method == "eth_getLogs" and params and isinstance(params[0], Mapping):
        return quantity(params[0].get("toBlock"))
    return None
