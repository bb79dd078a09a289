"""A covered period is examined before it is believed: second voices, headers, receipts, and what follows from a difference.

The grade is what was really asked and compared. What does not belong here: how each is asked (scan, witness, audit, proof),
how one block is settled (settlement), and what a day of that grade means for a table (sources).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from cryptolake.contracts.grades import Grade
from cryptolake.net.audit import BloomCheck, check_blooms
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.faults import Malformed
from cryptolake.net.logs import AnsweredWindow, BlockWindow, Log, LogFilter, LogQuestion, gather, place
from cryptolake.net.numbering import Numbering
from cryptolake.net.proof import ProvenBlock, Prover
from cryptolake.net.quiet import QuietHeaders
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.settlement import Difference, Said, answered_by, differing, settle
from cryptolake.net.voices import surely_one
from cryptolake.net.witness import Testimony, Witness


@dataclass(frozen=True, slots=True)
class RebuiltRoots:
    """What a period's receipts were rebuilt to: the hash of its last block, the endpoints of two operators that gave it, and
    the hash of every block with a wanted log, by number. Each block before the last is proven by the one that follows it.
    """

    hash: str
    agreed: tuple[str, ...]
    hashes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class ExaminedWindows:
    """A period's logs and how far they are proven.

    `noticed` is the probability that one log which the first voice dropped anywhere in the period was noticed; `problem` says
    why the evidence is weaker than was wished for ("": it is not). `unread` are emitters whose logs the second voice gave in no
    way that can be read, `roots` what the receipts of every block were rebuilt to (None: they were not). `sampled` says why a
    sample was compared where all was wished for.
    """

    windows: tuple[BlockWindow, ...]
    logs: tuple[Log, ...]
    second: tuple[BlockWindow, ...]
    differences: tuple[Difference, ...]
    blooms: BloomCheck
    grade: Grade
    noticed: float
    problem: str = ""
    unread: frozenset[str] = frozenset()
    roots: RebuiltRoots | None = None
    sampled: str = ""

    @property
    def suspect(self) -> bool:
        """Whether somebody contradicts the logs and nobody could settle it."""
        return bool(self.blooms.contradictions) or any(not one.settled for one in self.differences)


@dataclass(slots=True)
class Examiner:
    """Examines the periods of one scan up to the grade that is wished for. Thread-safe: a proven liar sits out for all."""

    pool: Pool
    blocks: Blocks
    filters: Sequence[LogFilter]
    wanted: Grade
    witness: Witness
    prover: Prover | None = None
    liars: dict[str, str] = field(default_factory=dict)  # endpoints that sit out, and why
    quiet: QuietHeaders = field(init=False)
    numbering: Numbering = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """What liars of earlier runs had answered, in a run that was cut short, is asked elsewhere where somebody else is."""
        self.quiet = QuietHeaders(self.pool, provable=self.prover is not None and self.prover.knows_rules)
        self.numbering = Numbering(self.pool)
        known = [one for one in self.pool.stations if one.stopped is None]
        if any(one.lied is None for one in known):
            self.liars.update({one.endpoint.name: one.lied for one in known if one.lied is not None})

    @property
    def doubts(self) -> bool:
        """Whether headers of quiet blocks are looked at."""
        return self.wanted != "one_voice"

    def examine(
        self,
        windows: Sequence[BlockWindow],
        logs: Sequence[Log],
        within: BlockRange,
        doubted: Collection[int] = (),
    ) -> ExaminedWindows:
        """Examine one covered period. Raises as `scan` where a proven liar's windows cannot be asked elsewhere.

        `doubted` are blocks of which somebody said something else before: everybody is asked for them, receipts first.
        """
        windows, logs = self._numbered(*self._without_liars(windows, logs, (), within), within)
        question = LogQuestion(self.pool.chain, self.filters)
        settled: dict[int, tuple[Difference, Said]] = {}
        for _ in range(len(self.pool.everybody) + 1):
            proven, unproven, roots = self._by_receipts(question, windows, logs, within)
            heard = Testimony() if proven is not None or not within else self._second(windows, within)
            blooms = self._blooms(question, windows, logs, within)
            claims = {number: one.said for number, one in blooms.doubts.items()}
            claims |= self._differences(windows, logs, heard)
            if proven is None:
                claims = {
                    number: _claimed(windows, logs, number) for number in doubted if within.start <= number < within.end
                } | claims
            new = {number: settle(self.pool, question, number, said, self.prover) for number, said in claims.items()}
            overtaken = {
                number for number, (one, _) in new.items() if not one.settled and self._overtaken(claims[number])
            }
            settled |= {number: one for number, one in new.items() if number not in overtaken} | (proven or {})
            liars = {name: number for number, (one, _) in settled.items() for name in one.liars}
            if proven is not None:
                break  # nobody's word was taken: who lies about logs may still bear out a hash
            if not self._sit_out(liars) and not overtaken:
                break
            windows, logs = self._without_liars(windows, logs, _answers(heard, within), within)
        said = {number: truth for number, (_, truth) in settled.items()}
        kept = sorted({*(log for log in logs if log.block not in said), *frozenset().union(*said.values())}, key=place)
        left = {
            number: one for number, one in blooms.doubts.items() if number in settled and not settled[number][0].settled
        }
        grade, noticed = self._grade(heard, within, proven is not None)
        return ExaminedWindows(
            tuple(windows),
            tuple(kept),
            heard.windows,
            tuple(one for _, (one, _) in sorted(settled.items())),
            replace(blooms, doubts=left),
            grade,
            noticed,
            "; ".join(one for one in (unproven, heard.problem) if one),
            heard.unread,
            roots,
            heard.sampled,
        )

    def _numbered(
        self, windows: Sequence[BlockWindow], logs: Sequence[Log], within: BlockRange
    ) -> tuple[Sequence[BlockWindow], Sequence[Log]]:
        """The period by endpoints that number logs by block. Raises Malformed where there is none: places would be made up."""
        for station in self.pool.everybody:
            name = station.endpoint.name
            theirs = [one for one in logs if answered_by(windows, one.block) == name]
            if not theirs or not self.numbering.by_transaction(station, theirs):
                continue
            why = f"{name} numbers logs by transaction and not by block"
            if not any(one.stopped is None and one is not station for one in self.pool.stations):
                raise Malformed(f"{self.pool.chain}: {why}; set another endpoint")
            with self._lock:
                self.liars[name] = station.stopped = f"{why}; leave it out"
            return self._numbered(*self._without_liars(windows, logs, (), within), within)
        return windows, logs

    def _second(self, windows: Sequence[BlockWindow], within: BlockRange) -> Testimony:
        return self.witness.hear(windows, within) if self.witness.share else Testimony()

    def _differences(
        self, windows: Sequence[BlockWindow], logs: Sequence[Log], heard: Testimony
    ) -> dict[int, dict[str, Said]]:
        readable = [log for log in logs if log.address not in heard.unread]
        return differing(
            windows, readable, heard.windows, [log for log in heard.logs if log.address not in heard.unread]
        )

    def _blooms(
        self, question: LogQuestion, windows: Sequence[BlockWindow], logs: Sequence[Log], within: BlockRange
    ) -> BloomCheck:
        quiet = self.quiet if self.doubts else None
        return check_blooms(self.pool, self.blocks, question, windows, logs, within, quiet=quiet)

    def _by_receipts(
        self, question: LogQuestion, windows: Sequence[BlockWindow], logs: Sequence[Log], within: BlockRange
    ) -> tuple[dict[int, tuple[Difference, Said]] | None, str, RebuiltRoots | None]:
        """Every block proven by its receipts root: what the first voice had said otherwise, and the roots; None, and why, where
        one is not.
        """
        if self.wanted != "receipts_root" or not question.addresses or not within:
            return None, "", None
        if self.prover is None:
            return None, "no receipts can be proven", None
        claimed: dict[int, set[Log]] = {}
        for log in logs:
            claimed.setdefault(log.block, set()).add(log)
        found: dict[int, tuple[Difference, Said]] = {}
        hashes, last, agreed = dict[int, str](), "", tuple[str, ...]()
        for one in self.prover.blocks(question, within):
            if not isinstance(one, ProvenBlock):
                return None, one.says, None
            if one.number == within.end - 1:
                last, agreed = one.hash, one.agreed
            if one.logs:
                hashes[one.number] = one.hash
            truth, said = frozenset(one.logs), frozenset(claimed.get(one.number, ()))
            if truth != said:
                name = answered_by(windows, one.number) or ""
                told = Difference(one.number, one.hash, {name: len(said)}, "receipts_root", len(truth), (), (name,))
                found[one.number] = told, truth
        return found, "", RebuiltRoots(last, agreed, hashes)

    def _overtaken(self, claims: Mapping[str, Said]) -> bool:
        """Whether a difference could not be settled because somebody sits out meanwhile whose word adds nothing."""
        out = [said for name, said in claims.items() if name in self.liars]
        kept = frozenset[Log]().union(*(said for name, said in claims.items() if name not in self.liars))
        return bool(out) and len(out) < len(claims) and all(said <= kept for said in out)

    def _sit_out(self, liars: Mapping[str, int]) -> bool:
        """Ask proven liars nothing more, with all that is theirs, unless nobody would be left; whether any went now."""
        with self._lock:
            new = {name: number for name, number in liars.items() if name and name not in self.liars}
            spoke = [one.endpoint for one in self.pool.everybody if one.endpoint.name in new]
            theirs = [
                one
                for one in self.pool.everybody
                if one.endpoint.name in new or any(surely_one(one.endpoint, other) for other in spoke)
            ]
            if not any(one.stopped is None and one not in theirs for one in self.pool.stations):
                return False
            for station in theirs:
                name = station.endpoint.name
                number = new.get(name, next(iter(new.values())))
                why = f"{name} answered block {number} wrongly, which is proven; leave it out"
                self.liars[name] = station.stopped = why
            return bool(theirs)

    def _without_liars(
        self, windows: Sequence[BlockWindow], logs: Sequence[Log], instead: Sequence[AnsweredWindow], within: BlockRange
    ) -> tuple[list[BlockWindow], list[Log]]:
        """The period with every window of a liar answered by somebody else, by what others said already where they did."""
        if not any(one.endpoint in self.liars for one in windows):
            return list(windows), list(logs)
        honest = [one for one in _answered(windows, logs, within) if one.window.endpoint not in self.liars]
        told = [one for one in instead if one.window.endpoint not in self.liars]
        known = [*honest, *_between(honest, told)]
        with closing(scan(self.pool, self.filters, within, known=known)) as answers:
            found, order = gather(answers)
        return order, found

    def _grade(self, heard: Testimony, within: BlockRange, proven: bool) -> tuple[Grade, float]:
        if proven:
            return "receipts_root", 1.0
        if not within:  # nothing could be left out: who bears out its bounds says all
            return "two_voices", 1.0
        covered = sum(one.end - one.start for one in heard.windows) / len(within)
        # Whose logs they are that nobody could compare is anybody's guess: no drop is sure to be noticed.
        if heard.unread:
            return "one_voice", 0.0
        if heard.problem or not covered:
            return "one_voice", covered
        return ("two_voices", 1.0) if covered == 1.0 else ("two_voices_sampled", covered)


def _claimed(windows: Sequence[BlockWindow], logs: Sequence[Log], number: int) -> dict[str, Said]:
    """What was said of a block, by whom."""
    return {answered_by(windows, number) or "": frozenset(one for one in logs if one.block == number)}


def _answered(windows: Sequence[BlockWindow], logs: Sequence[Log], within: BlockRange) -> list[AnsweredWindow]:
    """Windows with their logs, which are in order, cut to the period."""
    blocks = [log.block for log in logs]
    found = []
    for one in windows:
        start, end = max(one.start, within.start), min(one.end, within.end)
        if start < end:
            held = tuple(logs[bisect_left(blocks, start) : bisect_left(blocks, end)])
            found.append(AnsweredWindow(BlockWindow(start, end, one.endpoint, len(held)), held))
    return found


def _answers(heard: Testimony, within: BlockRange) -> list[AnsweredWindow]:
    return _answered(heard.windows, heard.logs, within) if not heard.unread else []


def _between(first: Sequence[AnsweredWindow], told: Sequence[AnsweredWindow]) -> list[AnsweredWindow]:
    """What lies wholly between the first windows, which are in order."""
    starts, ends = [one.window.start for one in first], [one.window.end for one in first]
    found = []
    for one in told:
        at = bisect_left(ends, one.window.start + 1)  # the first that ends behind where this one begins
        if at == len(starts) or starts[at] >= one.window.end:
            found.append(one)
    return found
