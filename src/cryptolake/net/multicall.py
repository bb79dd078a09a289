"""The lock-step driver: runs many I/O-free programs at one block and merges each round's calls into few requests.

A program is a generator that yields the calls it needs and is sent the answers. It knows no network; the same program is
re-run from stored answers by `replay`. What does not belong here: what any call means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cryptolake.errors import CryptolakeError, Narrow, Retry, Skip
from cryptolake.net import together
from cryptolake.net.abi import WORD, decode_aggregate3
from cryptolake.net.aggregate import Aggregate, NoMulticall, Plain, content_of
from cryptolake.net.answers import data
from cryptolake.net.block_identity import BlockIdentity, Unidentified
from cryptolake.net.calls import Call as Call
from cryptolake.net.calls import CallResult as CallResult
from cryptolake.net.endpoint import MOST_TOGETHER
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Elsewhere, Malformed, Overdue, RpcFault
from cryptolake.net.reverts import Reverts
from cryptolake.net.state import AtHash

T = TypeVar("T")

# Same address on almost every chain; source: mds1/multicall3 deployments.
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
_GAS = re.compile(r"out of gas|gas (?:required|limit|too low)|intrinsic gas|not enough gas")
MAX_CALLS = MOST_TOGETHER  # per aggregate3

_WORDLESS = CallResult(False, b"")
Program = Generator[Sequence[Call], Sequence[CallResult], T]
Transcript = list[list[tuple[Call, CallResult]]]


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


Second = Callable[[], Asks | None]
"""Gives whoever is another voice than the endpoint that answered this thread last; None where there is nobody."""


def _nobody() -> Asks | None:
    return None


def _untold(_other: Asks) -> None:
    """Nobody is told whose word was taken."""


@dataclass(frozen=True, slots=True)
class _Block:
    """The block that is read: its number, what its state must say of itself, and who is asked after a refusal."""

    number: int
    identity: BlockIdentity | None
    second: Second
    taken: Callable[[Asks], None]

    @property
    def tag(self) -> Json:
        """The block as named for an aggregate, which proves by itself where it was read."""
        return self.hashed if self.identity is not None and self.identity.by_hash else hex(self.number)

    @property
    def hashed(self) -> Json:
        """The block as named for a call that cannot prove where it was read."""
        return hex(self.number) if self.identity is None else AtHash(self.number, self.identity.hash)


def run(
    pool: Asks,
    programs: Mapping[str, Program[T]],
    block: int,
    *,
    multicall3: str | None = MULTICALL3,
    multicall3_since: int = 0,
    max_calls: int = MAX_CALLS,
    likely: Sequence[Call] = (),
    identity: BlockIdentity | None = None,
    second: Second = _nobody,
    taken: Callable[[Asks], None] = _untold,
    reverts: Reverts | None = None,
) -> dict[str, Finished[T] | Failed]:
    """Run all programs at `block` in lock-step. A failing program fails alone; transport errors (Retry, Stop) pass through.

    `likely` are calls the programs will probably make (what they asked at another block): all of them go in the first
    request, so that rounds whose calls are all known cost nothing. Should that request fail, it is as if nothing were known.
    `reverts` is what is known of this chain's calls that revert; it is added to.

    With an `identity` every answer proves that it was read at that very block, or is asked elsewhere; `second` gives who is
    asked after an endpoint that refused a single call, and `taken` is told of whom something was taken then: it has a part in
    what was read, and cannot bear it out.

    Before `multicall3_since`, or with `multicall3=None`, the calls go as a JSON-RPC batch instead.
    """
    here = _Block(block, identity, second, taken)
    outcomes: dict[str, Finished[T] | Failed] = {}
    transcripts: dict[str, Transcript] = {name: [] for name in programs}
    waiting: dict[str, Sequence[Call]] = {}

    def advance(name: str, answers: Sequence[CallResult] | None) -> None:
        try:
            program = programs[name]
            waiting[name] = next(program) if answers is None else program.send(answers)
        except StopIteration as stop:
            outcomes[name] = Finished(stop.value, transcripts[name])
        except CryptolakeError as error:
            outcomes[name] = Failed(error, transcripts[name])
        except Exception as error:  # noqa: BLE001  # a program only reads: what it stumbles over is its own market's answer
            words = f"{name}: its answers cannot be read ({type(error).__name__}); see cryptolake markets check"
            outcomes[name] = Failed(Skip(words, reason="layout"), transcripts[name])

    for name in programs:
        advance(name, None)
    use_multicall = multicall3 if multicall3 is not None and block >= multicall3_since else None
    answers: dict[Call, CallResult | Retry] = {}
    known = Reverts() if reverts is None else reverts

    def ask(calls: Sequence[Call]) -> dict[Call, CallResult | Retry]:
        return _ask(pool, calls, here, use_multicall, max_calls, known)

    first = list(dict.fromkeys([*likely, *(call for calls in waiting.values() for call in calls)]))
    if waiting and likely:
        with suppress(CryptolakeError):
            answers.update(ask(first))
    while waiting:
        round_calls, waiting = waiting, {}
        asked = dict.fromkeys(call for calls in round_calls.values() for call in calls)
        answers.update(ask([call for call in asked if call not in answers]))
        for name, calls in round_calls.items():
            given = [answers[call] for call in calls]
            if (refused := next((one for one in given if isinstance(one, Retry)), None)) is not None:
                outcomes[name] = Failed(refused, transcripts[name])
                continue
            told = [one for one in given if isinstance(one, CallResult)]
            transcripts[name].append(list(zip(calls, told, strict=True)))
            advance(name, told)
    return outcomes


def _ask(
    pool: Asks, calls: Sequence[Call], block: _Block, multicall3: str | None, max_calls: int, reverts: Reverts
) -> dict[Call, CallResult | Retry]:
    """The answers of calls that differ from each other."""
    if not calls:
        return {}
    if not multicall3 or (len(calls) < 2 and block.identity is None):
        return dict(zip(calls, _one_by_one(pool, calls, block), strict=True))
    # Those that will revert come first: what they fail for is not that others have taken the gas.
    ordered = sorted(calls, key=lambda call: not reverts.known(call))
    pieces = _pieces(ordered, together.most_together(pool, block.number, max_calls))
    results: dict[Call, CallResult | Retry] = {}
    believed: list[Call] = []
    try:
        answered = _aggregates(pool, pieces, block, multicall3)
    except NoMulticall:
        return dict(zip(calls, _one_by_one(pool, calls, block), strict=True))
    for piece, decoded in zip(pieces, answered, strict=True):
        believed += _known_to_revert(piece, decoded or [], reverts)
        found = decoded if decoded is not None else _halved(pool, piece, block, multicall3)
        results.update(zip(piece, found, strict=True))
    reverts.relied_on(believed)
    # The calls of an aggregate share its gas: one that failed without a word may have had none left, and says so alone.
    wordless = [call for call, one in results.items() if one == _WORDLESS and call not in believed]
    alone = _one_by_one(pool, wordless, block, sure=True) if wordless else []
    for call, answer in zip(wordless, alone, strict=True):
        results[call] = answer
        if answer == _WORDLESS:
            reverts.proved(call)
        else:
            reverts.refuted(call)
    return results


def _known_to_revert(calls: Sequence[Call], results: Sequence[CallResult], reverts: Reverts) -> list[Call]:
    """The calls of an aggregate that failed without a word, as they are known to do, while there was gas for others."""
    last = max((number for number, one in enumerate(results) if one.success), default=0)
    return [
        call
        for call, one in zip(calls[:last], results[:last], strict=False)
        if one == _WORDLESS and reverts.known(call)
    ]


def _aggregates(
    pool: Asks, pieces: Sequence[Sequence[Call]], block: _Block, multicall3: str
) -> list[list[CallResult] | None]:
    """One aggregate3 per piece, all in one request; None for a piece that failed as a whole.

    Raises Unidentified where nobody's answer proves that it is of this block.
    """
    identity, sizes = block.identity, [len(piece) for piece in pieces]
    asked = [
        Plain(multicall3, piece) if identity is None else Aggregate(multicall3, piece, identity) for piece in pieces
    ]
    try:
        answers = pool.batch([("eth_call", [one, block.tag]) for one in asked])
    except Unidentified:
        raise
    except (Narrow, Overdue, Malformed) as error:
        if not isinstance(error, Malformed):
            together.refused(pool, sizes)
        return [None] * len(pieces)
    together.refused(pool, [size for size, one in zip(sizes, answers, strict=True) if isinstance(one, RpcFault)])
    together.answered(pool, [size for size, one in zip(sizes, answers, strict=True) if not isinstance(one, RpcFault)])
    return [_results(one, answer, size) for one, answer, size in zip(asked, answers, sizes, strict=True)]


def _results(asked: Plain | Aggregate, answer: Json | RpcFault, count: int) -> list[CallResult] | None:
    if isinstance(asked, Plain):
        return _decoded(answer, count)
    return None if isinstance(answer, RpcFault) else asked.results


def _pieces(calls: Sequence[Call], size: int) -> list[Sequence[Call]]:
    return [calls[start : start + size] for start in range(0, len(calls), size)]


def _decoded(answer: Json | RpcFault, count: int) -> list[CallResult] | None:
    if isinstance(answer, RpcFault):
        return None
    try:
        decoded = decode_aggregate3(content_of(answer))
    except (Skip, Malformed):
        return None
    return [CallResult(ok, piece) for ok, piece in decoded] if len(decoded) == count else None


def _halved(pool: Asks, calls: Sequence[Call], block: _Block, multicall3: str) -> list[CallResult | Retry]:
    """Calls that were too much together, in halves or what the endpoint is found to take, down to plain calls."""
    if len(calls) == 1:
        return _one_by_one(pool, calls, block)
    pieces = _pieces(calls, min((len(calls) + 1) // 2, together.most_together(pool, block.number, len(calls))))
    results: list[CallResult | Retry] = []
    for piece, decoded in zip(pieces, _aggregates(pool, pieces, block, multicall3), strict=True):
        results += decoded if decoded is not None else _halved(pool, piece, block, multicall3)
    return results


def _one_by_one(pool: Asks, calls: Sequence[Call], block: _Block, *, sure: bool = False) -> list[CallResult | Retry]:
    """Plain calls in JSON-RPC batches. One that is refused by itself has no answer: it fails whoever asks it, nobody else.

    It is no revert: of that a reader may conclude that the contract has no such thing. Nor is one that ran out of gas; a
    member of a batch that failed without data is asked alone before it counts as reverted, unless it is `sure` to have had
    gas of its own.
    """
    asked: list[tuple[str, Sequence[Json]]] = [
        ("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, block.hashed]) for call in calls
    ]
    try:
        found = [(one, b"" if isinstance(one, RpcFault) else content_of(one)) for one in pool.batch(asked)]
    except Elsewhere:
        if not sure or block.identity is None:
            raise
        # Nobody takes a block by its hash; an aggregate of this round has proven which one the number means.
        return _one_by_one(pool, calls, _Block(block.number, None, block.second, block.taken), sure=sure)
    except (Narrow, Malformed) as error:
        if len(calls) == 1:
            return [
                error
                if isinstance(error, Malformed)
                else Retry("the endpoint refuses a single call as too big; set another endpoint, then run again")
            ]
        half = len(calls) // 2
        return [
            *_one_by_one(pool, calls[:half], block, sure=sure),
            *_one_by_one(pool, calls[half:], block, sure=sure),
        ]
    results: list[CallResult | Retry] = []
    doubted: list[int] = []
    for place, (call, (answer, content)) in enumerate(zip(calls, found, strict=True)):
        if not isinstance(answer, RpcFault):
            results.append(CallResult(True, content))
            if not content or len(content) % WORD:  # a contract answers in whole words
                doubted.append(place)
        elif len(calls) > 1 and not sure and answer.data in {None, "", "0x"}:
            results += _one_by_one(pool, [call], block)
        elif _GAS.search(answer.message.lower()):
            results.append(Retry("a single call ran out of the endpoint's gas; set another endpoint, then run again"))
        else:
            results.append(_WORDLESS)
            if answer.data in {None, "", "0x"} and "revert" not in answer.message.lower():
                doubted.append(place)  # no verdict of the contract in so many words
    for place, content in _elsewhere(block, [calls[place] for place in doubted], doubted).items():
        results[place] = CallResult(True, content)
    return results


def _elsewhere(block: _Block, calls: Sequence[Call], places: Sequence[int]) -> dict[int, bytes]:
    """What another voice has where one refused without a word, had nothing or something odd: by place, where it has more.

    Neither a refusal nor an absence is taken from one voice while there is another.
    """
    other = block.second() if calls else None
    if other is None:
        return {}
    asked: list[tuple[str, Sequence[Json]]] = [
        ("eth_call", [{"to": call.to, "data": "0x" + call.data.hex()}, block.hashed]) for call in calls
    ]
    try:
        answers = other.batch(asked)
    except CryptolakeError:
        return {}  # nobody else can say: what the first one said stands
    found = [(place, data(answer)) for place, answer in zip(places, answers, strict=True)]
    more = {place: content for place, content in found if content and len(content) % WORD == 0}
    if more:
        block.taken(other)
    return more


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
            (Call(str(to), bytes.fromhex(str(data))), CallResult(bool(ok), bytes.fromhex(str(answer))))
            for to, data, ok, answer in stored
        ]
        for stored in rounds
    ]
