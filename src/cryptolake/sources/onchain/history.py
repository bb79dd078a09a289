"""What was told of one emitter's logs, kept for ever: which operators told which blocks, with which logs.

A file of JSON lines that only ever grows, so that of two copies the longer one knows more: what is no longer believed is taken
back by a line of its own. It is only a cache and may be deleted. What does not belong here: asking, and what is to be believed
(discovery).
"""

from __future__ import annotations

import hashlib
import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import orjson

from cryptolake.contracts.grades import Grade
from cryptolake.errors import Retry
from cryptolake.files.atomic import refused
from cryptolake.net.logs import Log, LogFilter, log_to_json, parse_logs, place
from cryptolake.sources.onchain.kept_voices import bear_out
from cryptolake.sources.onchain.stretches import Stretch, common, joined, without

ROW = "row"  # what names a market's parts where no events do
NOBODY_KNOWN = ""  # told by somebody whose name was not kept, as earlier versions did


@dataclass(frozen=True, slots=True)
class Discovered:
    """The logs of a history up to a block, in order, how far they are proven, and why no further ("": as far as was wished).

    `blocks` are all that they are of, `told` who told which of these (`net.voices.told_by`), `sampled` those of which a sample
    was asked again. `liars` are the endpoints that were proven to have told them wrongly, each with the block and its voice;
    `contradicted` says what those who are only asked besides say otherwise, while nobody can decide.
    """

    logs: tuple[Log, ...]
    grade: Grade
    blocks: Stretch
    told: Mapping[str, Sequence[Stretch]]
    sampled: Sequence[Stretch] = ()
    problem: str = ""
    liars: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    contradicted: str = ""

    def to_json(self) -> dict[str, object]:
        """What a certificate keeps of it: `history_grade` reckons the grade from that again."""
        return {
            "named_by": "events",
            "blocks": self.blocks,
            "told": self.told,
            "sampled": self.sampled,
            "problem": self.problem,
            "contradicted": self.contradicted,
        }


def history_grade(blocks: Stretch, told: Mapping[str, Sequence[Stretch]], sampled: Iterable[Stretch]) -> Grade:
    """How far a history of these blocks is proven of which each of these told some, and others a sample of some."""
    start, end = blocks
    whole, twice = [(start, end)], common(told_twice(told), [(start, end)])
    if start >= end or not without(whole, twice):
        return "two_voices" if start < end else "one_voice"
    # A sample was compared: two told some of it.
    return "two_voices_sampled" if twice and not without(whole, joined([*sampled, *twice])) else "one_voice"


def told_twice(told: Mapping[str, Sequence[Stretch]]) -> list[Stretch]:
    """The blocks that two told who bear each other out."""
    return joined(
        piece
        for (one, ours), (other, theirs) in combinations(told.items(), 2)
        if bear_out(one, other)
        for piece in common(ours, theirs)
    )


@dataclass(slots=True)
class ToldBlocks:
    """What one operator told: these blocks, and every log in them, in order."""

    blocks: list[Stretch] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)

    def within(self, some: Sequence[Stretch]) -> Iterator[Log]:
        """The logs of these blocks, in order."""
        for start, end in some:
            yield from self.logs[self._at(start) : self._at(end)]

    def by_block(self, some: Sequence[Stretch]) -> dict[int, frozenset[Log]]:
        """The logs of these blocks by block, of those that have any."""
        found: dict[int, set[Log]] = {}
        for log in self.within(some):
            found.setdefault(log.block, set()).add(log)
        return {number: frozenset(one) for number, one in found.items()}

    def add(self, blocks: Iterable[Stretch], logs: Iterable[Log]) -> None:
        """It told these as well; what it said of the same blocks before is replaced."""
        new = joined(blocks)
        self.drop(new)
        self.blocks = joined([*self.blocks, *new])
        self.logs = sorted({*self.logs, *logs}, key=place)

    def drop(self, blocks: Sequence[Stretch]) -> None:
        """It told nothing of these."""
        if common(self.blocks, blocks):
            self.blocks = without(self.blocks, blocks)
            self.logs = list(self.within(self.blocks))

    def _at(self, block: int) -> int:
        return bisect_left(self.logs, block, key=lambda log: log.block)


class History:
    """The history of one filter on one chain, in the file `path` (None: in memory). Not thread-safe: take `lock`."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._writing = threading.Lock()
        self.lock = threading.Lock()
        self.told: dict[str, ToldBlocks] = {}  # by who told it (net.voices.told_by)
        self.failed: Counter[str] = Counter()  # times in this process that a second voice did not answer
        self.sampled: list[Stretch] = []  # blocks of which a sample was asked of a second operator
        # Blocks that operators told differently and nobody settled, with the fullest version that one of the user's own gave.
        self.disputed: dict[int, tuple[Log, ...]] = {}
        self._read()

    @classmethod
    def of(cls, folder: Path | None, chain: str, wanted: LogFilter) -> History:
        """That of one filter on one chain, in `folder` (None: in memory)."""
        name = f"{wanted.address} {' '.join(sorted(wanted.topics0))}"
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        return cls(None if folder is None else folder / f"{chain}-{digest}.jsonl")

    def once(self) -> list[Stretch]:
        """The blocks that anybody told."""
        return joined(piece for one in self.told.values() for piece in one.blocks)

    def twice(self) -> list[Stretch]:
        """The blocks that two known operators told."""
        return told_twice({by: one.blocks for by, one in self.told.items()})

    def keep(self, by: str, blocks: Sequence[Stretch], logs: Sequence[Log]) -> None:
        """Write down what somebody told, to be learned later. Thread-safe. Raises Stop when the disk refuses."""
        for start, end in blocks:
            told = [log_to_json(log) for log in logs if start <= log.block < end]
            self._append({"from": start, "end": end, "by": by, "logs": told})

    def learn(self, by: str, blocks: Sequence[Stretch], logs: Iterable[Log]) -> None:
        """Take into account what somebody told, which is written down."""
        self.told.setdefault(by, ToldBlocks()).add(blocks, logs)

    def take_back(self, by: str, blocks: Sequence[Stretch]) -> None:
        """Believe no more what somebody told of these blocks."""
        blocks = list(blocks)
        self._take_back(by, blocks)
        for start, end in blocks:
            self._append({"from": start, "end": end, "by": by, "logs": None})

    def was_sampled(self, blocks: Sequence[Stretch]) -> None:
        """A sample of these blocks was asked of a second operator, who answered."""
        for start, end in without(joined(blocks), self.sampled):
            self._append({"from": start, "end": end, "sampled": True})
        self.sampled = joined([*self.sampled, *blocks])

    def dispute(self, block: int, fullest: Iterable[Log]) -> None:
        """Operators tell this block differently, and nobody can decide: that is known until somebody can."""
        logs = tuple(sorted({*self.disputed.get(block, ()), *fullest}, key=place))
        if self.disputed.get(block) != logs:
            self.disputed[block] = logs
            self._append({"from": block, "end": block + 1, "disputed": [log_to_json(log) for log in logs]})

    def settle(self, block: int) -> None:
        """What was told differently of this block is decided."""
        if self.disputed.pop(block, None) is not None:
            self._append({"from": block, "end": block + 1, "disputed": None})

    def _take_back(self, by: str, blocks: Sequence[Stretch]) -> None:
        if by in self.told:
            self.told[by].drop(joined(blocks))
        self.sampled = without(self.sampled, joined(blocks))

    def _read(self) -> None:
        if self.path is None or not self.path.exists():
            return
        told: dict[str, tuple[list[Stretch], list[Log]]] = {}
        for line in self.path.read_bytes().split(b"\n"):
            try:
                if b'"disputed"' in line:
                    self._read_dispute(line)
                    continue
                by, block, logs = _line(line)
            except (orjson.JSONDecodeError, ValueError, TypeError, KeyError, Retry):
                continue  # cut short by a kill: its blocks are asked again
            if by is None:
                self.sampled.append(block)
            elif logs is None:
                self._learn(told)
                self._take_back(by, [block])
            else:
                blocks, found = told.setdefault(by, ([], []))
                blocks.append(block)
                found += logs
        self._learn(told)
        self.sampled = joined(self.sampled)

    def _read_dispute(self, line: bytes) -> None:
        one = orjson.loads(line)
        if one["disputed"] is None:
            self.disputed.pop(int(one["from"]), None)
        else:
            self.disputed[int(one["from"])] = tuple(parse_logs(orjson.dumps(one["disputed"])))

    def _learn(self, told: dict[str, tuple[list[Stretch], list[Log]]]) -> None:
        for by, (blocks, logs) in told.items():
            self.told.setdefault(by, ToldBlocks()).add(blocks, logs)
        told.clear()
        self.sampled = joined(self.sampled)

    def _append(self, line: Mapping[str, Any]) -> None:
        if self.path is None:
            return
        with self._writing:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                try:
                    os.write(file, b"\n" + orjson.dumps(line))  # the newline ends a line that a kill may have cut short
                finally:
                    os.close(file)
            except OSError as error:
                raise refused(error, self.path) from None


def _line(line: bytes) -> tuple[str | None, Stretch, list[Log] | None]:
    """Who told which blocks and what; None for logs that are taken back, and None for who where blocks were sampled."""
    one = orjson.loads(line)
    if isinstance(one, list):  # as earlier versions wrote it: the name of an endpoint, which tells a place in a list
        start, end, _, logs = one
        return NOBODY_KNOWN, (int(start), int(end)), parse_logs(orjson.dumps(logs))
    block = int(one["from"]), int(one["end"])
    if one.get("sampled"):
        return None, block, None
    logs = one["logs"]
    return str(one["by"]), block, None if logs is None else parse_logs(orjson.dumps(logs))
