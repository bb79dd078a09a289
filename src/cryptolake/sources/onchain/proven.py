"""Runs markets' programs with proof of who was asked: the block proves itself, and so does each market.

Every program is run together with its market's lasting anchors, so that a row that names another contract gives no number. A
market is taken to be absent only as `presence` settles it. What does not belong here: which getters prove a market (the
families) and what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.besides import among, another_endpoint
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Malformed, RpcFault
from cryptolake.net.multicall import Asks, Call, CallResult, Failed, Finished, Program, run
from cryptolake.net.reverts import Reverts
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import by_voice
from cryptolake.registry.anchors import NOTHING, Finding, Identity, identity, interchangeable
from cryptolake.registry.chains import Chain
from cryptolake.registry.family import FamilyFacts
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.presence import settled_absence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Proven(Generic[T]):
    """A program's value and the anchors that said nothing yet at its block: a young market's, or a wrong contract's."""

    value: T
    silent: tuple[Finding, ...]


class _Hearing:
    """The pool, and the names of all endpoints that answered a conversation."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.names: set[str] = set()

    def elsewhere(self) -> _Hearing | None:
        """Another endpoint than who answered last; who it is, is not heard until something is `taken` of it."""
        other = another_endpoint(self._pool, self._pool.last_endpoints)
        return None if other is None else _Hearing(other)

    def taken(self, other: Asks) -> None:
        """Something that another one said is a part of the conversation."""
        assert isinstance(other, _Hearing)
        self.names |= other.names

    def call(self, method: str, params: Sequence[Json]) -> Json:
        """As the pool's."""
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, RpcFault):
            raise Skip(f"{method} was answered with an error by the contract", reason="revert")
        return answer

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        """As the pool's."""
        answers = self._pool.batch(calls)
        self.names |= self._pool.last_endpoints
        return answers


def run_programs(
    pool: Pool,
    programs: Mapping[str, Program[T]],
    block: BlockIdentity,
    chain: Chain,
    likely: Sequence[Call] = (),
    heard: set[str] | None = None,
    reverts: Reverts | None = None,
) -> dict[str, Finished[T] | Failed]:
    """Run programs at a block that proves itself in every answer, through Multicall3 where the chain has it by then.

    The names of the endpoints that answered are added to `heard`.
    """
    hearing = _Hearing(pool)
    try:
        return _run(hearing, programs, block, chain, likely, reverts)
    finally:
        if heard is not None:
            heard |= hearing.names


def _run(
    hearing: _Hearing,
    programs: Mapping[str, Program[T]],
    block: BlockIdentity,
    chain: Chain,
    likely: Sequence[Call],
    reverts: Reverts | None,
) -> dict[str, Finished[T] | Failed]:
    return run(
        hearing,
        programs,
        block.number,
        multicall3=chain.multicall3_address,
        multicall3_since=chain.multicall3_block or 0,
        likely=likely,
        reverts=reverts,
        identity=block,
        second=hearing.elsewhere,
        taken=hearing.taken,
    )


def run_proven(
    pool: Pool,
    blocks: Blocks,
    chain: Chain,
    markets: Mapping[str, Csu],
    program: Callable[[Csu], Program[T]],
    header: Header,
    likely: Sequence[Call] = (),
    *,
    alive_at: Mapping[str, int] | None = None,
    heard: set[str] | None = None,
    reverts: Reverts | None = None,
) -> dict[str, Finished[T] | Failed]:
    """Run the program of each market at a block, each with its anchors, and settle who is not there.

    A market fails with `identity` where its contracts are not those of the row; with `not_deployed` only when that is settled.
    `alive_at` are blocks at which markets did answer: later ones cannot lack them. Who answered is added to `heard`.
    """
    facts = declared()
    block = blocks.identity(header, chain.known_block)
    asked = {name: _with_anchors(csu, facts[csu.family], program(csu)) for name, csu in markets.items()}
    outcomes = run_programs(pool, asked, block, chain, likely, heard, reverts)
    silent = [name for name, outcome in outcomes.items() if isinstance(outcome, Finished) and outcome.value.silent]
    strangers = _strangers(pool, blocks, chain, [markets[name] for name in silent]) if silent else {}
    found: dict[str, Finished[T] | Failed] = {}
    for name, outcome in outcomes.items():
        if isinstance(outcome, Failed):
            error = outcome.error
            if isinstance(error, Skip) and error.reason == "not_deployed":
                csu = markets[name]
                alive = (alive_at or {}).get(name)
                error = settled_absence(pool, chain, csu, facts[csu.family], block, error, alive)
            found[name] = Failed(error, outcome.transcript)
        elif name in strangers:
            found[name] = Failed(strangers[name], outcome.transcript)
        else:
            found[name] = Finished(outcome.value.value, outcome.transcript)
    return found


def _with_anchors(csu: Csu, family: FamilyFacts, program: Program[T]) -> Program[_Proven[T]]:
    """The program and its market's lasting anchors in lock-step, as one program.

    Raises Skip(reason="identity") for an anchor that contradicts the row, Skip(reason="not_deployed") where the contracts of
    the market's beginning answer with nothing, and else whatever the program raised.
    """
    anchors = identity(csu, family, lasting=True)
    theirs, ours = _Step[Identity](anchors), _Step[T](program)
    while theirs.calls or ours.calls:
        mine = list(theirs.calls)
        answers = yield [*mine, *ours.calls]
        wanted = len(ours.calls)
        theirs.send(answers[: len(mine)])
        ours.send(answers[len(mine) : len(mine) + wanted])
    findings = theirs.value.findings if theirs.value is not None else ()
    odd = [one for one in findings if one.verdict == "wrong"]
    if all(_nothing_at(findings, role) for role in family.began_as(csu.entry)):
        raise Skip(f"{csu.name}: no contract at this block", reason="not_deployed")
    # What the program says of itself is loud already, but for an absence.
    if ours.error is not None and not (isinstance(ours.error, Skip) and ours.error.reason == "not_deployed"):
        raise ours.error
    for one in odd:
        if one.found not in NOTHING:
            raise stranger(csu, one)
    for error in (theirs.error, ours.error):
        if error is not None:
            raise error
    assert ours.done
    return _Proven(ours.value, tuple(odd))  # type: ignore[arg-type]  # done: the value is the program's


def told_apart(csu: Csu) -> dict[str, str]:
    """What an answer's provenance says of its market's identity: the roles at which a sibling would have passed, if any."""
    alike = interchangeable(csu, declared()[csu.family])
    return {"interchangeable": " ".join(alike)} if alike else {}


def _nothing_at(findings: Sequence[Finding], role: str) -> bool:
    """Whether every getter of the role's contracts was answered with nothing."""
    said = [one.found for one in findings if one.field.startswith(f"{role}.")]
    return bool(said) and all(one == "no answer" for one in said)


class _Step(Generic[T]):
    """A program advanced by hand: the calls it waits for, then its value or its error."""

    def __init__(self, program: Program[T]) -> None:
        self._program = program
        self.calls: Sequence[Call] = ()
        self.value: T | None = None
        self.error: CryptolakeError | None = None
        self.done = False
        self._begun = False
        self.send(())

    def send(self, answers: Sequence[CallResult]) -> None:
        """Give it the answers to its calls; it goes on to its next calls, past rounds without any."""
        if self.done or self.error is not None:
            return
        try:
            self.calls = next(self._program) if not self._begun else self._program.send(answers)
            self._begun = True
            while not self.calls:
                self.calls = self._program.send([])
        except StopIteration as stop:
            self.calls, self.value, self.done = (), stop.value, True
        except CryptolakeError as error:
            self.calls, self.error = (), error


def stranger(csu: Csu, finding: Finding) -> Skip:
    """The error for a market whose contracts are not those of its row."""
    words = f"{csu.name}: {finding.field} says {finding.found}, {finding.stated or 'an answer'} expected"
    return Skip(f"{words}; correct the row (cryptolake markets check) or set another endpoint", reason="identity")


def _strangers(pool: Pool, blocks: Blocks, chain: Chain, csus: Sequence[Csu]) -> dict[str, CryptolakeError]:
    """Of markets whose anchors said nothing at a block, those that say nothing right at the newest final block either.

    A row is wrong where whoever else answers says so too; one operator's word against two others' counts for nothing.
    """
    head = blocks.identity(blocks.header(pool.finalized()), chain.known_block)
    found = _strange(pool, chain, csus, head)
    if not found:
        return found
    doubted = [one for one in csus if one.name in found]
    said: list[dict[str, CryptolakeError]] = []
    for group in by_voice([one for one in pool.everybody if one.stopped is None], lambda one: one.endpoint):
        try:
            said.append(_strange(among(pool, group), chain, doubted, head))
        except CryptolakeError:
            continue  # it cannot say
        if len(said) == _JUDGES:
            break
    return {name: error for name, own in found.items() if (error := _judged(name, own, said)) is not None}


_JUDGES = 3  # operators, each asked alone


def _judged(name: str, error: CryptolakeError, said: Sequence[Mapping[str, CryptolakeError]]) -> CryptolakeError | None:
    """What becomes of the error of a market that is strange as one of these says; None where two others outvote it."""
    right = sum(name not in one for one in said)
    if not right:
        return error
    if right >= _JUDGES - 1:
        return None
    words = str(error).partition(";")[0]  # without the remedy, which is for who is sure of it
    return Malformed(f"{words}, as one operator says and another does not; set a third operator's endpoint to decide")


def _strange(pool: Pool, chain: Chain, csus: Sequence[Csu], head: BlockIdentity) -> dict[str, CryptolakeError]:
    """Why the anchors of these markets are not those of their rows at this block, by market; those that are, are left out."""
    facts = declared()
    programs = {csu.name: identity(csu, facts[csu.family], lasting=True) for csu in csus}
    found: dict[str, CryptolakeError] = {}
    for csu, outcome in zip(csus, run_programs(pool, programs, head, chain).values(), strict=True):
        if isinstance(outcome, Failed):
            found[csu.name] = outcome.error
        else:
            odd = next((one for one in outcome.value.findings if one.verdict == "wrong"), None)
            if odd is not None:
                found[csu.name] = stranger(csu, odd)
    return found
