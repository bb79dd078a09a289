"""What a JSON-RPC question is about: which blocks, and whether it could be asked in smaller pieces.

And what a refusal means for the question asked. Asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cryptolake.errors import CryptolakeError
from cryptolake.net.answers import quantity
from cryptolake.net.bounds import Bound
from cryptolake.net.envelope import Json, Reply
from cryptolake.net.faults import Doubtful, Elsewhere, Overdue, TooBig
from cryptolake.net.state import AtHash, Several

Question = tuple[str, Sequence[Json]]
"""A method and its parameters."""


_SHARE = 1 / 4  # of a batch's calls, from which on it is too large when they are not answered

# Where the block stands among the parameters of what reads a chain's state.
_STATE = {"eth_call": 1, "eth_getBalance": 1, "eth_getCode": 1, "eth_getStorageAt": 2, "eth_getTransactionCount": 1}


def state_block(calls: Iterable[Question]) -> int | None:
    """The oldest block whose state is asked for, which decides who can answer; None when no state is asked for."""
    return min((block for call in calls if call[0] in _STATE and (block := _last(call)) is not None), default=None)


def newest_block(calls: Iterable[Question]) -> int | None:
    """The newest block whose state or logs are asked for; None when none is named."""
    return max((block for call in calls if (block := _last(call)) is not None), default=None)


def divisible(calls: Sequence[Question]) -> bool:
    """Whether it could be asked in smaller pieces: whatever of it an endpoint may limit is more than one."""
    return several(calls) or max(filters_of(calls[0])) > 1 or parts_of(calls[0]) > 1


def several(calls: Sequence[Question]) -> bool:
    """Whether several calls, or logs of several blocks, are asked for: what nobody has to wait for as a whole."""
    return len(calls) > 1 or blocks_of(calls[0]) > 1


def filters_of(call: Question) -> tuple[int, int]:
    """How many addresses and first topics a question for logs names; 1 for everything else."""
    method, params = call
    asked = params[0] if method == "eth_getLogs" and params else None
    if not isinstance(asked, Mapping):
        return 1, 1
    topics = asked.get("topics")
    first = topics[0] if isinstance(topics, list) and topics else None
    return _count(asked.get("address")), _count(first)


def _count(named: Json) -> int:
    return max(1, len(named)) if isinstance(named, list) else 1


def blocks_of(call: Question) -> int:
    """Of how many blocks the logs are asked for; 0 where they are not asked for by a range."""
    method, params = call
    span = params[0] if method == "eth_getLogs" and params else None
    if not isinstance(span, Mapping):
        return 0
    first, last = quantity(span.get("fromBlock")), quantity(span.get("toBlock"))
    return 0 if first is None or last is None else last - first + 1


def of_one(call: Question, error: TooBig | Doubtful) -> CryptolakeError:
    """What a refusal means for one call alone: only a call of a contract may hold several that can be asked apart."""
    method, _ = call
    if isinstance(error, Doubtful):
        if parts_of(call) > 1 and (error.spoken or isinstance(error.otherwise, Overdue)):
            return TooBig(of="gas")  # whatever it is, fewer may be answered
        return error.otherwise
    return (
        error if method == "eth_call" else Elsewhere(f"the endpoint refuses {method} as too big; set another endpoint")
    )


def parts_of(call: Question) -> int:
    """How many calls of contracts it holds that can be asked apart; 1 for everything else."""
    method, params = call
    return int(getattr(params[0], "parts", 1)) if method == "eth_call" and params else 1


def smallest(calls: Sequence[Question], *, newest: bool = False) -> list[Question]:
    """The smallest question of the same kind: one call of several, and of one for logs one block (`newest`: its last), one
    address and one topic; one of the calls that an aggregate holds.
    """
    (method, params), *_ = calls
    asked = params[0] if params else None
    if isinstance(asked, Several) and asked.parts > 1:
        return [(method, [asked.least, *params[1:]])]
    if method != "eth_getLogs" or not isinstance(asked, Mapping):
        return [(method, params)]
    block = asked.get("toBlock" if newest else "fromBlock")
    found: dict[str, Json] = {**asked, "fromBlock": block, "toBlock": block}
    if isinstance(address := asked.get("address"), list) and address:
        found["address"] = address[0]
    if isinstance(topics := asked.get("topics"), list) and topics and isinstance(topics[0], list):
        found["topics"] = [topics[0][:1], *topics[1:]]
    return [(method, [found])]


def _last(call: Question) -> int | None:
    method, params = call
    if (place := _STATE.get(method)) is not None and len(params) > place:
        named = params[place]
        return named.number if isinstance(named, AtHash) else quantity(named)
    if method == "eth_getLogs" and params and isinstance(params[0], Mapping):
        return quantity(params[0].get("toBlock"))
    return None


def learn_batch(bound: Bound, size: int, answers: Sequence[Json | Reply]) -> None:
    """Learn from what came for a batch. What a few calls are refused for by themselves says nothing of how many may be."""
    refusals = [one for one in answers if isinstance(one, CryptolakeError)]
    named = next((one for one in refusals if isinstance(one, TooBig) and one.of == "batch"), None)
    if named is not None:
        bound.refused(size, named.hint)
    elif len(refusals) > _SHARE * size:
        bound.answered_in_part(size)
    else:
        bound.answered(size)
