"""Which of two answers of one partition stands: nothing proven gives way to less, and nothing that was shown is dropped.

A later answer takes the place of a kept one where it is proven as far and says the same, or where two operators bear it out in
what differs. Else both differ and nobody can decide: the fuller one is kept, and is suspect until somebody settles it, whoever
is silent meanwhile. What does not belong here: how far one answer is proven (grading), and landing it (flow). No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import EVIDENCE, Grade, at_least, is_borne_out
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Stands
from cryptolake.net.liars import Accuser, alone
from cryptolake.net.multicall import transcript_from_json
from cryptolake.net.voices import surely_one_told, voice_told
from cryptolake.sources.onchain.adopted import taken_over
from cryptolake.sources.onchain.certified import twice
from cryptolake.sources.onchain.grading import graded
from cryptolake.sources.onchain.grounds import grounds_of
from cryptolake.sources.onchain.stretches import Stretch

_LIQUIDATIONS = "liquidations"
NEW = Stands(new=True)
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError)  # of what is not formed as answers are


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What one answer shows, and how far: the logs of each block, and what contracts answered by what they were asked.

    `disputed` are blocks that somebody contradicts in it, `odd` whether anything else of it is contradicted. `twice` are the
    blocks whose logs two operators told or settled, `roots` whether receipts prove them all. `sampled`: a sample settles what a
    sample found, as the same calls are drawn of a block whenever it is asked. `by` says who and when.

    `own` are the blocks that two operators told who are not only asked besides, or that receipts prove,
    `told` who told which blocks, `asked_of` everybody who could be asked; `proven` are single blocks that receipts prove.
    """

    grade: Grade
    by: str
    doubts: tuple[str, ...] = ()
    said: Mapping[object, object] = field(default_factory=dict)
    logs: Mapping[int, frozenset[bytes]] = field(default_factory=dict)
    disputed: frozenset[int] = frozenset()
    odd: bool = False
    twice: tuple[Stretch, ...] = ()
    roots: bool = False
    sampled: bool = False
    voices: frozenset[str] = frozenset()
    on_liars: bool = False
    own: tuple[Stretch, ...] = ()
    told: tuple[tuple[int, int, str], ...] = ()
    asked_of: frozenset[str] = frozenset()
    proven: frozenset[int] = frozenset()

    def decides(self, blocks: Iterable[int], *, state: bool, alike: bool = False) -> bool:
        """Whether two operators bear it out in these blocks, and with `state` in what contracts answered; `alike`: it says the
        same as what is to be decided about.
        """
        whole = at_least(self.grade, "two_voices") or (alike and self.sampled and is_borne_out(self.grade))
        return not self.doubts and (not state or whole) and (self.roots or all(map(self._told_twice, blocks)))

    def heard_all(self, other: ShownAnswer, blocks: Iterable[int]) -> bool:
        """Whether two operators of one's own tell these blocks, and whoever told them in the other was asked for them again or
        is gone.
        """
        for block in {*blocks} - self.proven:
            again = [who for start, end, who in self.told if start <= block < end]
            before = {who for start, end, who in other.told if start <= block < end}
            for who in before:
                there = any(surely_one_told(who, one) for one in self.asked_of)
                if there and not any(surely_one_told(who, one) for one in again):
                    return False
            if not before or not any(start <= block < end for start, end in self.own):
                return False
        return True

    def outranks(self, other: ShownAnswer) -> bool:
        """Whether it is proven further."""
        return EVIDENCE.index(self.grade) > EVIDENCE.index(other.grade)

    def _told_twice(self, block: int) -> bool:
        return any(start <= block < end for start, end in self.twice)


def standing_of(new: ShownAnswer, kept: ShownAnswer) -> Stands:
    """Which of the two stands, and why it is doubted for the other."""
    both = new.said.keys() & kept.said.keys()
    apart = bool(_lacking(new.logs, kept.logs) or _lacking(kept.logs, new.logs))
    return replace(_standing_of(new, kept), apart=apart or any(new.said[key] != kept.said[key] for key in both))


def _standing_of(new: ShownAnswer, kept: ShownAnswer) -> Stands:
    lacks, more = _lacking(new.logs, kept.logs), _lacking(kept.logs, new.logs)
    odd = [key for key, answer in new.said.items() if key in kept.said and kept.said[key] != answer]
    # A proven liar alone says nothing, but for what it does show.
    if kept.on_liars and not (lacks or odd or kept.doubts) and (more or not new.on_liars):
        return NEW
    if new.on_liars and not kept.on_liars and not (more or odd):
        return Stands(False, "", "it rests on a proven liar alone")
    if not (lacks or more or odd):
        return _alike(new, kept)
    blocks, state = {*lacks, *more}, bool(odd)
    new_decides = new.decides(blocks | kept.disputed, state=state or kept.odd)
    kept_decides = kept.decides(blocks | new.disputed, state=state or new.odd)
    before, later = _words(kept, lacks, more, state=state), _words(new, more, lacks, state=state)
    stays, takes = Stands(False, later, later), Stands(True, before)  # whichever: nobody can decide
    undoubted = Stands(False, "", f"{later}; what two operators bear out is kept")
    if new.roots != kept.roots and not state:
        winner = new if new.roots else kept
        if winner.decides(blocks, state=False):
            return NEW if new.roots else undoubted
    if new_decides != kept_decides and not (lacks or more):
        return NEW if new_decides else undoubted
    if not lacks:
        if new_decides and not kept_decides:
            return NEW
        return takes if new.outranks(kept) or (more and not kept.outranks(new)) else stays
    if new_decides and not kept_decides and _all_in(kept.voices, new.voices):
        return NEW  # whoever said more came to say the same
    if new_decides and not kept_decides and new.heard_all(kept, blocks | kept.disputed):
        return NEW  # nobody bears it out any more
    if kept_decides and not new_decides and not more:
        return undoubted
    return takes if more and new.outranks(kept) else stays


def _alike(new: ShownAnswer, kept: ShownAnswer) -> Stands:
    """Which of two stands that show the same."""
    if kept.doubts:
        if new.decides(kept.disputed, state=kept.odd, alike=True):
            return NEW
        as_doubted = kept.disputed <= new.disputed and new.odd >= kept.odd and bool(new.doubts)
        if as_doubted and not kept.outranks(new):
            return NEW
        return Stands(False, "", "it does not settle what was contradicted before")
    if new.doubts:
        if kept.decides(new.disputed, state=new.odd, alike=True):
            return Stands(False, "", f"{new.doubts[0]}; what two operators bear out is kept")
        return Stands(False, new.doubts[0], new.doubts[0]) if kept.outranks(new) else NEW
    return Stands(False, "", f"it is proven as {new.grade} alone") if kept.outranks(new) else NEW


def shown(raw: Raw, other: Raw, accused: Accuser) -> ShownAnswer:
    """What an answer of a market, or of who prices for all, shows of what `other` was asked too."""
    content, proof = orjson.loads(raw.payload), graded(raw)
    given = content.get("certificate") or {}
    voices = frozenset(map(str, (given.get("voices") or {}).values()))
    asked = orjson.loads(other.payload)
    # Of another period, what contracts answered is of another block, but where both end with the same one.
    same = raw.partition == other.partition or content["block"] == asked["block"]
    said: dict[object, object] = {}
    if same:
        said |= dict(_answers(content.get("rounds") or content.get("context") or ()))
        start = content.get("from_block") if raw.partition == other.partition else None
        said |= {("bounds",): (start, content["block"], content["block_hash"])}
    by = _by(raw)
    if raw.partition.dataset != _LIQUIDATIONS:
        said |= {("found",): content.get("found")} if same else {}
        return ShownAnswer(proof.grade, by, proof.doubts, said, odd=bool(proof.doubts), sampled=True, voices=voices)
    differences = given.get("differences") or ()
    settled = {int(one["block"]) for one in differences if one["settled"]}
    disputed = {int(one["block"]) for one in differences if not one["settled"]}
    rests_on = (*(given.get("grounds") or ()), given.get("headers") or {})
    odd = any(one.get("contradicted") for one in rests_on) or bool((given.get("blooms") or {}).get("contradictions"))
    said |= {("time", number): at for number, at in (content.get("timestamps") or {}).items()}
    return ShownAnswer(
        proof.grade,
        by,
        proof.doubts,
        said,
        _logs_asked_of_both(content, asked),
        frozenset(disputed),
        odd=odd or bool(proof.doubts and not disputed),
        twice=(*(twice(given) if given else ()), *((number, number + 1) for number in sorted(settled))),
        roots=proof.by_roots,
        voices=voices,
        on_liars=bool(alone(given, accused, by_roots=proof.by_roots)),
        own=_by_ones_own(given),
        told=_told(given),
        asked_of=frozenset(map(str, given.get("asked_of") or ())),
        proven=frozenset(int(one["block"]) for one in differences if one["settled"] == "receipts_root"),
    )


def _by_ones_own(given: Mapping[str, Any]) -> tuple[Stretch, ...]:
    """The blocks that two operators of one's own told, or that receipts prove; none where it is not known who those are."""
    if "besides" not in given:
        return ()
    besides, voices = {*given["besides"]}, given.get("voices") or {}
    second = [one for one in given.get("second") or () if one[2] not in besides]
    own = {voice_told(str(voices.get(name, ""))).partition(" via ")[0] for name in voices.keys() - besides} - {""}
    settled = [
        int(one["block"])
        for one in given.get("differences") or ()
        if one["settled"] == "receipts_root" or (one["settled"] and len({*one["by"]} & own) > 1)
    ]
    return (*twice({**given, "second": second}), *((number, number + 1) for number in sorted(settled)))


def _told(given: Mapping[str, Any]) -> tuple[tuple[int, int, str], ...]:
    """Who told which blocks `[first, end)`, first, again, or of one in dispute."""
    voices = given.get("voices") or {}
    windows = [*(given.get("windows") or ()), *(given.get("second") or ())]
    found = [(int(start), int(end) + 1, str(voices.get(name, name))) for start, end, name, *_ in windows]
    for one in given.get("differences") or ():
        block = int(one["block"])
        found += [(block, block + 1, str(voices.get(name, name))) for name in one["said"]]
        found += [(block, block + 1, str(name)) for name in one.get("by") or ()]
    return tuple(found)


def compared(new: Raw, kept: Raw, accused: Accuser, misplaced: Callable[[Raw], str | None]) -> Stands:
    """Which of two answers stands, of a market or of who prices for all; `misplaced` says why one is of other blocks."""
    if _of_something_else(kept, misplaced):
        return NEW
    faulty = bool(graded(kept).faults)
    if why := _no_account(new, misplaced):
        return NEW if faulty else Stands(False, "", why)
    if not faulty:
        return standing_of(shown(new, kept, accused), shown(kept, new, accused))
    stands = _held_against_unproven(new, kept, accused)
    return stands if stands.doubt else NEW


def _held_against_unproven(new: Raw, kept: Raw, accused: Accuser) -> Stands:
    """Which of two stands where the kept one has no proof that can be read, as one voice's word for what it shows."""
    for told in (kept, _without_certificate(kept)):
        with suppress(*_ODD):
            before = replace(shown(told, new, accused), grade="one_voice", doubts=(), twice=(), roots=False)
            return standing_of(shown(new, told, accused), before)
    return NEW  # nothing in it can be read


def _without_certificate(raw: Raw) -> Raw:
    """What an answer says, without what cannot be read of its proof."""
    try:
        content = orjson.loads(raw.payload)
        return replace(raw, payload=orjson.dumps({key: one for key, one in content.items() if key != "certificate"}))
    except _ODD:
        return raw


def blocks_apart(kept: Raw, rival: Raw | None) -> frozenset[int]:
    """The blocks of a kept answer of liquidations of which somebody says something else: in it, or in its rival."""
    nobody: Accuser = lambda _name, _of: None  # noqa: E731
    try:
        ours = shown(kept, rival or kept, nobody)
        theirs = ours if rival is None else shown(rival, kept, nobody)
    except _ODD:
        return frozenset()
    return ours.disputed | {*_lacking(ours.logs, theirs.logs), *_lacking(theirs.logs, ours.logs)}


def settles(raw: Raw) -> bool:
    """Whether an answer settles what operators said differently of its day before it was there."""
    found = graded(raw)
    least: Grade = "two_voices" if raw.partition.dataset == _LIQUIDATIONS else "two_voices_sampled"
    return not (found.faults or found.doubts) and at_least(found.grade, least)


def _no_account(raw: Raw, misplaced: Callable[[Raw], str | None]) -> str:
    """Why an answer proves nothing that another one could contradict; "" where it does."""
    return next(iter(graded(raw).faults), "") or _of_something_else(raw, misplaced)


def _of_something_else(raw: Raw, misplaced: Callable[[Raw], str | None]) -> str:
    """Why an answer tells nothing of its day's blocks: a file of somebody's, or other blocks; "" where it does."""
    try:
        return taken_over(orjson.loads(raw.payload)) or misplaced(raw) or ""
    except orjson.JSONDecodeError:
        return ""


def of_blocks(raw: Raw, grade: Grade, doubt: str | None) -> ShownAnswer:
    """What an answer shows that was asked at several blocks."""
    content = orjson.loads(raw.payload)
    said: dict[object, object] = {
        (number, *key): answer for number, told in content["blocks"].items() for key, answer in _answers(told["rounds"])
    }
    doubts = (doubt,) if doubt else ()
    return ShownAnswer(grade, _by(raw), doubts, said, odd=bool(doubts), sampled=True)


def _answers(rounds: Any) -> Iterable[tuple[tuple[object, ...], object]]:
    """What was asked and answered; how a call fails differs between kinds of nodes and does not count."""
    for stored in transcript_from_json(rounds):
        for call, answer in stored:
            yield (call.to, call.data), answer.data if answer.success else None


def _logs_asked_of_both(content: Mapping[str, Any], other: Mapping[str, Any]) -> dict[int, frozenset[bytes]]:
    """The logs by block that the other was asked for as well: of contracts and topics of both questions, and in its blocks.

    Contracts that the chain lists, and not the market's row, were for the other to find: those count as well.
    """
    ours, theirs = content["filters"], other["filters"]
    every = {topic for topics in theirs.values() for topic in topics}
    listed = any(one.lists(tuple(ours)) for one in grounds_of(content.get("certificate") or {}))
    found: dict[int, set[bytes]] = {}
    for log in content["logs"]:
        topics = theirs.get(log["address"], every if listed else ())
        number = int(log["blockNumber"], 16)
        if log["topics"][0] in topics and other["from_block"] <= number <= other["to_block"]:
            found.setdefault(number, set()).add(orjson.dumps(log, option=orjson.OPT_SORT_KEYS))
    return {number: frozenset(logs) for number, logs in found.items()}


def _lacking(one: Mapping[int, frozenset[bytes]], other: Mapping[int, frozenset[bytes]]) -> dict[int, int]:
    """Per block how many logs one lacks that the other has."""
    none = frozenset[bytes]()
    return {number: count for number, logs in other.items() if (count := len(logs - one.get(number, none)))}


def _all_in(some: Collection[str], others: Collection[str]) -> bool:
    return bool(some) and all(any(surely_one_told(one, other) for other in others) for one in some)


def _words(shown: ShownAnswer, more: Mapping[int, int], fewer: Mapping[int, int], *, state: bool) -> str:
    """How an answer contradicts the other one."""
    told = [
        f"{counted(sum(some.values()), 'log')} {word} (block {min(some)})"
        for some, word in ((more, "more"), (fewer, "fewer"))
        if some
    ]
    told += ["other state or headers"] if state else []
    return f"{shown.by} says {' and '.join(told)}, and nobody could settle it"


def _by(raw: Raw) -> str:
    """Who answered, as operators, for places in a list are others' by now; and when."""
    content = orjson.loads(raw.payload)
    given = content.get("certificate")
    named = set[str]()
    with suppress(*_ODD):
        voices = given["voices"]
        first = given["first"] if "first" in given else [one[2] for one in given["windows"]]
        named = {voice_told(str(voices.get(name, ""))) for name in first} - {""}
    who = " and ".join(sorted(named)) or "an endpoint of an unknown operator"
    return f"{who} on {raw.fetched_at:%Y-%m-%d}"
