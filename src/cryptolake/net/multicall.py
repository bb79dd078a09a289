"""The lock-step driver: runs many I/O-free programs at one block and merges each round's calls into few requests.

A program is a generator that yields the calls it needs and is sent the answers. It knows no network; the same program is
re-run from stored answers by `replay`. What does not belong here: what any call means.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cryptolake.errors import CryptolakeError, Narrow, Skip
from cryptolake.net.abi import decode_aggregate3, encode_aggregate3
from cryptolake.net.faults import RpcFault
from cryptolake.net.rpc import Json

T = TypeVar("T")

# Same address on almost every chain; source: mds1/multicall3 deployments.
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
MAX_CALLS = 500  # per aggregate3; about 100 kB of call data, accepted by every provider listed


@dataclass(frozen=True, slots=True)
class Call:
    """A read of contract `to` (EIP-55) with ABI-encoded `data`."""

    to: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave: `success` is False for a revert. Empty data on success means "no contract here", never zero."""

    success: bool
    data: bytes

    @property
    def empty(self) -> bool:
        """Whether nothing came back: there is no contract at that address at that block."""
        return not self.data

    def need(self, what: str) -> bytes:
        """The data, or Skip: `not_deployed` when empty, `revert` when reverted; `what` names the read in the message."""
        if not self.success:
            raise Skip(f"{what} reverted", reason="revert")
        if self.empty:
            raise Skip(f"{what}: no contract at this block", reason="not_deployed")
        return self.data


Program = Generator[Sequence[Call], Sequence[Result], T]
Transcript = list[list[tuple[Call, Result]]]


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """A program's value and every round of calls and answers that led to it."""

    value: T
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Failed:
    """A program that raised, with the rounds it got through."""

    error: CryptolakeError
    transcript: Transcript


class Asks(Protocol):
    """The part of the pool the driver uses."""

    def call(self, method: str, params: Sequence[Json]) -> Json: ...
    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]: ...


def run(
    pool: Asks,
    programs: Mapping[str, Program[T]],
    block: int,
    *,
    multicall3: str | None = MULTICALL3,
    multicall3_since: int = 0,
    max_calls: int = MAX_CALLS,
) -> dict[str, Finished[T] | Failed]:
    """Run all programs at `block` in lock-step. A failing program fails alone; transport errors (Retry, Stop) pass through.

    Before `multicall3_since`, or with `multicall3=None`, the calls go as a JSON-RPC batch instead.
    """
    outcomes: dict[str, Finished[T] | Failed] = {}
    transcripts: dict[str, Transcript] = {name: [] for name in programs}
    waiting: dict[str, Sequence[Call]] = {}

    def advance(name: str, answers: Sequence[Result] | None) -> None:
        try:
            program = programs[name]
            waiting[name] = next(program) if answers is None else program.send(answers)
        except StopIteration as stop:
            outcomes[name] = Finished(stop.value, transcripts[name])
        except CryptolakeError as error:
            outcomes[name] = Failed(error, transcripts[name])

    for name in programs:
        advance(name, None)
    while waiting:
        round_calls, waiting = waiting, {}
        unique = list(dict.fromkeys(call for calls in round_calls.values() for call in calls))
        use_multicall = multicall3 if multicall3 is not None and block >= multicall3_since else None
        answers = dict(zip(unique, _ask(pool, unique, block, use_multicall, max_calls), strict=True))
        for name, calls in round_calls.items():
            given = [answers[call] for call in calls]
            transcripts[name].append(list(zip(calls, given, strict=True)))
            advance(name, given)
    return outcomes


def _ask(pool: Asks, calls: Sequence[Call], block: int, multicall3: str | None, max_calls: int) -> list[Result]:
    results: list[Result] = []
    for start in range(0, len(calls), max_calls):
        piece = calls[start : start + max_calls]
        results += _aggregate(pool, piece, block, multicall3) if multicall3 else _one_by_one(pool, piece, block)
    return results


def _aggregate(pool: Asks, calls: Sequence[Call], block: int, multicall3: str) -> list[Result]:
    """One aggregate3; halved when it is too big or fails as a whole, down to a plain call."""
    if len(calls) == 1:
        return _one_by_one(pool, calls, block)
    data = "0x" + encode_aggregate3([(call.to, call.data) for call in calls]).hex()
    try:
        answer = pool.call("eth_call", [{"to": multicall3, "data": data}, hex(block)])
        decoded = decode_aggregate3(_bytes(answer))
        if len(decoded) != len(calls):
            raise Narrow("the multicall answered another number of calls than asked")
    except (Narrow, Skip):
        half = len(calls) // 2
        return _aggregate(pool, calls[:half], block, multicall3) + _aggregate(pool, calls[half:], block, multicall3)
    return [Result(ok, piece) for ok, piece in decoded]


def _one_by_one(pool: Asks, calls: Sequence[Call], block: int) -> list[Result]:
    asked: list[tuple[str, Sequence[Json]]] = [
        ("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, hex(block)]) for call in calls
    ]
    answers = pool.batch(asked)
    return [Result(False, b"") if isinstance(a, RpcFault) else Result(True, _bytes(a)) for a in answers]


def _bytes(answer: Json) -> bytes:
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise Skip("an eth_call answered something that is not hex data", reason="layout")
    return bytes.fromhex(answer[2:])


def replay(program: Program[T], transcript: Transcript) -> T:
    """Run a program again from stored answers. Raises Skip when it asks for something that was not recorded."""
    known = {call: result for stored in transcript for call, result in stored}
    try:
        calls = next(program)
        while True:
            try:
                answers = [known[call] for call in calls]
            except KeyError as missing:
                address = getattr(missing.args[0], "to", "?")
                raise Skip(f"a call to {address} was not recorded; collect again", reason="unrecorded") from None
            calls = program.send(answers)
    except StopIteration as stop:
        value: T = stop.value
        return value


def transcript_to_json(transcript: Transcript) -> list[list[list[str | bool]]]:
    """Rounds of `[to, call data, success, answer]`, data as hex without 0x."""
    return [[[c.to, c.data.hex(), r.success, r.data.hex()] for c, r in stored] for stored in transcript]


def transcript_from_json(rounds: Sequence[Sequence[Sequence[str | bool]]]) -> Transcript:
    """The inverse of `transcript_to_json`."""
    return [
        [
            (Call(str(to), bytes.fromhex(str(data))), Result(bool(ok), bytes.fromhex(str(answer))))
            for to, data, ok, answer in stored
        ]
        for stored in rounds
    ]
