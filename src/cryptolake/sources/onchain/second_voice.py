"""A second voice for what was read at a block: a lot of the calls, or all of them, asked again at another operator.

The lot depends on chain and block only. Where two voices differ a third says which reading is kept, and no vote makes it
sound: it stays contradicted while one of the user's own endpoints reads something else. Who is only asked besides outvotes none
of these. What does not belong here: the first reading (proven), and what a grade is called elsewhere (grades).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from cryptolake.contracts.grades import Grade
from cryptolake.errors import CryptolakeError
from cryptolake.net.besides import among, another_voice, why_none
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.faults import Disputed
from cryptolake.net.multicall import MAX_CALLS, Call, CallResult, Failed, Finished, Program
from cryptolake.net.reverts import Reverts
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import by_voice
from cryptolake.registry.chains import Chain
from cryptolake.sources.onchain.proven import run_programs

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Borne:
    """How a reading was borne out: its grade, who read it first and who again, and how many of its calls were asked again.

    `problem` says why nobody bears it out who was wished for, `contradicted` who read something else while nobody can prove it.
    """

    grade: Grade
    first: str
    second: str = ""
    again: int = 0
    calls: int = 0
    problem: str = ""
    contradicted: str = ""


class Disagreed(Disputed):
    """Two voices read different state of a block; `liar` is whom two others contradict, so that theirs is kept, empty where
    nobody can say.

    `besides`: all who read something else are only asked besides, so that the first reading is kept.
    """

    def __init__(self, message: str, liar: str = "", *, besides: bool = False) -> None:
        super().__init__(message)
        self.liar, self.besides = liar, besides


def borne_out(
    pool: Pool,
    chain: Chain,
    block: BlockIdentity,
    outcomes: Mapping[str, Finished[T] | Failed],
    heard: Collection[str],
    wanted: Grade,
    reverts: Reverts,
    believed: Callable[[CryptolakeError], bool] = lambda _error: False,
) -> Borne:
    """Ask again what was read, as much of it as the `wanted` grade needs; `heard` are the endpoints that answered it,
    `reverts` what is known of calls that revert as others than those have said; it is added to. What failed is loud by itself
    and not asked again, unless the failure is `believed`, as where a list is taken to be empty for it.

    One voice only where nobody else can say. Raises Disagreed when another voice reads something else there.
    """
    first = ", ".join(sorted(heard))
    known = {
        call: answer
        for outcome in outcomes.values()
        if isinstance(outcome, Finished) or believed(outcome.error)
        for stored in outcome.transcript
        for call, answer in stored
    }
    if not known or wanted == "one_voice":
        return Borne("one_voice", first, calls=len(known))
    lot = list(known) if wanted != "two_voices_sampled" else _lot(chain.name, block.number, list(known))
    grade: Grade = "two_voices" if len(lot) == len(known) else "two_voices_sampled"
    other, theirs, silent = _another(pool, chain, block, lot, heard, reverts)
    if other is None or theirs is None:
        if not silent:
            return _each_alone(pool, chain, block, lot, known, heard, grade, reverts)
        why = dict.fromkeys(one.stopped for one in pool.everybody if one.endpoint.name in silent and one.stopped)
        problem = ": ".join([f"a second voice ({' and '.join(silent)}) did not answer", *filter(None, why)])
        return Borne("one_voice", first, calls=len(known), problem=problem)
    second, contradicted = other.last_endpoint, ""
    if differing := _differing(lot, known, theirs):
        spoke = [one for one in pool.stations if one.endpoint.name in heard]
        if (
            len(by_voice(spoke, lambda one: one.endpoint)) > 1
        ):  # it is nobody's reading: each may have said a part of it
            return _each_alone(pool, chain, block, lot, known, {*heard, second}, grade, reverts)
        rounds = _rounds(outcomes)
        try:
            second, contradicted = _decide(
                pool, other, chain, block, lot, known, theirs, heard, second, differing, reverts, rounds
            )
        except Disagreed as error:
            if not error.besides:
                raise
            # What is only asked besides fails nothing: the reading is kept, and what contradicts it with it.
            return Borne("one_voice", first, calls=len(known), problem=str(error), contradicted=str(error))
    return Borne(grade, first, second, len(lot), len(known), contradicted=contradicted)


def _each_alone(
    pool: Pool,
    chain: Chain,
    block: BlockIdentity,
    lot: Sequence[Call],
    known: Mapping[Call, CallResult],
    heard: Collection[str],
    grade: Grade,
    reverts: Reverts,
) -> Borne:
    """A reading that all voices there are have a part in: two of them must each say all of it, asked alone."""
    first = ", ".join(sorted(heard))
    spoke = [one for one in pool.stations if one.endpoint.name in heard and one.stopped is None]
    groups = by_voice(spoke, lambda one: one.endpoint)
    if len(groups) < 2:
        return Borne("one_voice", first, calls=len(known), problem=why_none(pool, heard))
    bearing, silent = list[str](), list[str]()
    otherwise: list[tuple[str, dict[Call, CallResult], Call]] = []
    for group in groups:
        theirs = _said(among(pool, group), chain, block, lot, reverts=reverts)
        if theirs is None:
            silent.append(group[0].endpoint.name)
        elif (call := _differing(lot, known, theirs)) is not None:
            otherwise.append((group[0].endpoint.name, theirs, call))
        else:
            bearing.append(group[0].endpoint.name)
        if len(bearing) == 2:
            break
    words = ""
    if otherwise:
        names = " and ".join(name for name, _, _ in otherwise)
        words = f"{first} read different state of block {block.number} (a call to {otherwise[0][2].to}), as {names} tells alone"
    if len(bearing) == 2:
        return Borne(grade, bearing[0], bearing[1], len(lot), len(known), contradicted=words)
    if otherwise:
        alike = any(_differing(lot, one, other) is None for (_, one, _), (_, other, _) in combinations(otherwise, 2))
        raise Disagreed(
            f"{words}; set a third operator's endpoint to decide, or run again",
            liar=bearing[0] if alike and bearing else "",
        )
    return Borne("one_voice", first, calls=len(known), problem=f"{' and '.join(silent)} did not answer alone")


def _decide(
    pool: Pool,
    other: Pool,
    chain: Chain,
    block: BlockIdentity,
    lot: Sequence[Call],
    known: Mapping[Call, CallResult],
    theirs: Mapping[Call, CallResult],
    heard: Collection[str],
    second: str,
    differing: Call,
    reverts: Reverts,
    rounds: Sequence[Sequence[Call]],
) -> tuple[str, str]:
    """Who bears the reading out, where the difference is none or the second voice's own, and who contradicts it all the same;
    raise Disagreed otherwise.
    """
    first = among(pool, [one for one in pool.stations if one.endpoint.name in heard])
    again = _said(first, chain, block, lot, reverts=Reverts())
    name = ", ".join(sorted(heard))
    if again is not None and _differing(lot, again, theirs) is None:
        # Calls within one aggregate may change what others of it read: the second voice is asked in the order of the reading.
        anew = _said(other, chain, block, *rounds, reverts=reverts)
        if anew is not None and _differing(lot, known, anew) is None:
            return second, ""
        raise Disagreed(
            f"{name} answered a call to {differing.to} at block {block.number} otherwise when asked again; run again"
        )
    words = f"{name} and {second} read different state of block {block.number} (a call to {differing.to})"
    judge, judged, _ = _another(pool, chain, block, lot, {*heard, second}, reverts)
    takes_back = again is not None and _differing(lot, again, known) is not None
    besides = not takes_back and _besides(pool, second)
    if judge is None or judged is None:
        raise Disagreed(f"{words}; set a third operator's endpoint to decide, or run again", besides=besides)
    third = judge.last_endpoint
    if _differing(lot, judged, known) is None:
        for station in pool.besides:
            if station.endpoint.name == second:
                station.stopped = f"{second} read block {block.number} otherwise than two others and sits out"
        return third, "" if _besides(pool, second) else f"{words}; {third} sides with {name}"
    besides = besides and _besides(pool, third)
    if _differing(lot, judged, theirs) is None:
        liar = name if len(heard) == 1 and not besides else ""
        raise Disagreed(f"{words}; {third} sides with {second}", liar=liar, besides=besides)
    raise Disagreed(f"{words}; {third} sides with neither; run again", besides=besides)


def _another(
    pool: Pool,
    chain: Chain,
    block: BlockIdentity,
    lot: Sequence[Call],
    heard: Collection[str],
    reverts: Reverts,
) -> tuple[Pool | None, dict[Call, CallResult] | None, list[str]]:
    """The first other voice that answers, with what it says; and the names of those that did not."""
    silent: list[str] = []
    while (other := another_voice(pool, {*heard, *silent})) is not None:
        theirs = _said(other, chain, block, lot, reverts=reverts)
        if theirs is not None:
            return other, theirs, silent
        silent += [one.endpoint.name for one in other.stations]
    return None, None, silent


def _besides(pool: Pool, name: str) -> bool:
    return any(one.endpoint.name == name for one in pool.besides)


def _rounds(outcomes: Mapping[str, Finished[T] | Failed]) -> list[list[Call]]:
    """The calls of a reading, round by round, each once, as all programs together asked them."""
    transcripts = [one.transcript for one in outcomes.values() if isinstance(one, Finished)]
    longest = max(map(len, transcripts), default=0)
    return [
        list(dict.fromkeys(call for one in transcripts if place < len(one) for call, _ in one[place]))
        for place in range(longest)
    ]


def _said(
    pool: Pool, chain: Chain, block: BlockIdentity, *rounds: Sequence[Call], reverts: Reverts
) -> dict[Call, CallResult] | None:
    """What the endpoints of a pool answer to these calls at the block; None when they cannot say."""

    def program() -> Program[dict[Call, CallResult]]:
        found: dict[Call, CallResult] = {}
        for calls in rounds:
            found |= zip(calls, (yield calls), strict=True)
        return found

    try:
        outcome = run_programs(pool, {"again": program()}, block, chain, reverts=reverts)["again"]
    except CryptolakeError:
        return None
    return outcome.value if isinstance(outcome, Finished) else None


def _differing(
    calls: Sequence[Call], ours: Mapping[Call, CallResult], theirs: Mapping[Call, CallResult]
) -> Call | None:
    """The first call with two answers; how a call fails differs between kinds of nodes and does not count."""
    for call in calls:
        one, other = ours[call], theirs[call]
        if one.success != other.success or (one.success and one.data != other.data):
            return call
    return None


def _lot(chain: str, block: int, calls: Sequence[Call]) -> list[Call]:
    """One multicall's worth of the calls, neighbours in the order they were asked."""
    pieces = [calls[start : start + MAX_CALLS] for start in range(0, len(calls), MAX_CALLS)]
    number = int.from_bytes(hashlib.sha256(f"{chain}:{block}".encode()).digest()[:8], "big")
    return list(pieces[number % len(pieces)])
