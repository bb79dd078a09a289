"""Liquidations of a chain: one log scan for all its markets over touching periods, which are settled several together.

What does not belong here: how windows are asked (net/logs) and what becomes of a covered period (settling).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.agreement import Contradicted
from cryptolake.net.blocks import BlockRange, Blocks, Header
from cryptolake.net.examination import Examiner
from cryptolake.net.journal import ScanJournal
from cryptolake.net.logs import AnsweredWindow, BlockWindow, Log, LogFilter
from cryptolake.net.multicall import Call, Failed, Finished, Program
from cryptolake.net.proof import Prover
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.witness import Witness
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.births import Births
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.grounds import Ground
from cryptolake.sources.onchain.presence import absent_with_its_chain
from cryptolake.sources.onchain.settling import CoveredPeriod, DoubtedBlocks, Settling, miss
from cryptolake.sources.onchain.state import KnownReverts, Read, StateReader

# Periods are settled together that were covered within so many seconds, at most so many of them.
_TOGETHER_S, _TOGETHER = 2.0, 31
Bounds = tuple[BlockRange, Header]


@dataclass(frozen=True, slots=True)
class Scanned:
    """How far the scan of a chain has come, in blocks."""

    chain: str
    done: int
    total: int


Watch = Callable[[Scanned], None]


def share_of(grade: Grade, audit: float) -> float:
    """Which share of windows a second voice is asked for, for a grade: none, a sample of `audit`, or all."""
    return {"one_voice": 0.0, "two_voices_sampled": audit}.get(grade, 1.0)


def wished(grade: Grade, audit: float) -> Grade:
    """How far state is to be borne out for a grade: as far, unless nothing at all is to be asked again."""
    return grade if share_of(grade, audit) else "one_voice"


@dataclass(frozen=True, slots=True)
class LiquidationScan:
    """One chain's events for one trip. `journals` is the folder of unfinished scans, `grade` how far they are to be proven.

    `audit` is the share of windows that a second voice is asked for where the grade is a sample, `sample` the share that is
    asked where all are wished for and would be too dear (None: whatever it costs).
    """

    source: str
    pool: Pool
    blocks: Blocks
    chain: Chain
    csus: Mapping[str, Csu]
    provenance: Mapping[str, str]
    journals: Path | None
    audit: float
    watch: Watch
    grade: Grade = "two_voices_sampled"
    births: Births = field(default_factory=Births)
    reverts: KnownReverts = field(default_factory=KnownReverts)
    sample: float | None = None
    doubted: DoubtedBlocks = lambda _partition: ()

    @property
    def state(self) -> StateReader:
        """Who reads contracts for this scan: as far as its logs are to be proven."""
        return StateReader(self.pool, self.blocks, self.chain, wished(self.grade, self.audit), self.reverts)

    def run(self, asked: Sequence[Partition]) -> Iterator[Raw | Miss]:
        """One answer per partition, soon after its period is covered."""
        periods = sorted({partition.period for partition in asked})
        self.blocks.prefetch({instant for period in periods for instant in (period.start, period.end)})
        ranges: dict[Period, Bounds] = {}
        for period in periods:
            try:
                ranges[period] = self.blocks.range_of(period)
            except (Skip, Contradicted) as error:
                for partition in (one for one in asked if one.period == period):
                    csu = self.csus[partition.key]
                    yield miss(partition, absent_with_its_chain(self.blocks, csu, period, error))
        for touching in _touching(sorted(ranges)):
            members = [partition for partition in asked if partition.period in touching]
            yield from self._touching(members, {period: ranges[period] for period in touching})

    def _touching(self, asked: Sequence[Partition], ranges: Mapping[Period, Bounds]) -> Iterator[Raw | Miss]:
        """Periods that touch each other: the emitters at both ends, one scan over all of it, period by period."""
        csus = [self.csus[name] for name in sorted({partition.key for partition in asked})]
        first, last = ranges[min(ranges)][1], ranges[max(ranges)][1]
        filters: dict[str, list[LogFilter]] = {}
        likely: list[Call] = []
        at_last = self._emitters(csus, last)
        grounds = [Ground.of("emitters", last.number, at_last.borne)] * 2  # at the first block and at the last
        for name, outcome in at_last.outcomes.items():
            if isinstance(outcome, Failed):
                yield from (miss(partition, outcome.error) for partition in asked if partition.key == name)
            else:
                filters[name] = outcome.value
                likely += [call for stored in outcome.transcript for call, _ in stored]
        early = [first] if first.number != last.number else []
        if any(_listed(csu) for csu in csus) and ranges[min(ranges)][0].start:
            early.insert(0, self.blocks.last_before(min(ranges).start))
        left = list(filters)
        for number, block in enumerate(early):
            # An emitter replaced on the way stands only in the first list. No list yet: the market was born on the way.
            if not left:
                break
            unborn = _absent if block is first else _not_whole
            before = self._emitters([csu for csu in csus if csu.name in left], block, likely, unborn)
            ground = Ground.of("emitters", block.number, before.borne)
            grounds = [*grounds, ground] if number else [ground, grounds[1]]
            left = []
            for name, outcome in before.outcomes.items():
                if isinstance(outcome, Finished):
                    filters[name] = _united([*filters[name], *outcome.value])
                elif unborn(outcome.error):
                    left.append(name)
                else:  # refused or odd: whose events there were is not known
                    del filters[name]
                    yield from (miss(partition, outcome.error) for partition in asked if partition.key == name)
        if not filters:
            return
        every = [one for found in filters.values() for one in found]
        waiting = sorted(ranges)
        whole = BlockRange(ranges[waiting[0]][0].start, ranges[waiting[-1]][0].end)
        journal, again = self._journal(every), self._journal(every, "again")
        known = journal.read() if journal is not None else []
        examiner = self._examiner(every, again)
        settling = Settling(
            self.source,
            self.pool,
            self.blocks,
            self.chain,
            self.csus,
            self.provenance,
            examiner,
            filters,
            self.state,
            grounds,
            frozenset(csu.name for csu in csus if csu.name in filters and not _listed(csu)),
            self.births,
            self.doubted,
        )
        covered = _Covered(whole.start)

        def taken(period: Period) -> CoveredPeriod:
            members = [one for one in asked if one.period == period and one.key in filters]
            within, snapshot = ranges[period]
            windows, logs, unread = covered.within(within)
            return CoveredPeriod(members, within, snapshot, windows, logs, unread)

        ready: list[CoveredPeriod] = []
        since = float("-inf")  # the first period is settled at once: it teaches what to ask while the scan goes on
        keep = journal.keep if journal is not None else lambda _answered: None
        with closing(scan(self.pool, every, whole, known=known, keep=keep)) as answers:
            for answered in answers:
                covered.add(answered)
                self.watch(Scanned(self.chain.name, covered.blocks, len(whole)))
                while waiting and ranges[waiting[0]][0].end <= covered.until:
                    ready.append(taken(waiting.pop(0)))
                if ready and (len(ready) >= _TOGETHER or time.monotonic() - since >= _TOGETHER_S):
                    yield from settling.settle(ready)
                    ready, since = [], time.monotonic()
        # Also periods with nothing to ask for: no market has an emitter yet.
        yield from settling.settle([*ready, *map(taken, waiting)])
        yield from settling.settle_again()
        for one in (journal, again):
            if one is not None:
                one.forget()

    def _journal(self, filters: Sequence[LogFilter], of: str = "") -> ScanJournal | None:
        endpoints = [one.endpoint for one in self.pool.everybody]
        return ScanJournal(self.journals, self.chain.name, filters, endpoints, of) if self.journals else None

    def _examiner(self, filters: Sequence[LogFilter], journal: ScanJournal | None) -> Examiner:
        """Who proves what this scan is answered; what second voices said is kept in a journal of its own."""
        share = share_of(self.grade, self.audit)
        wanted = self.grade if share else "one_voice"
        witness = Witness(self.pool, filters, share, sample=self.sample)
        if journal is not None:
            witness = Witness(self.pool, filters, share, journal.read(), journal.keep, sample=self.sample)
        prover = Prover(self.pool, self.chain.receipts)
        return Examiner(self.pool, self.blocks, filters, wanted, witness, prover)

    def _emitters(
        self,
        csus: Sequence[Csu],
        block: Header,
        likely: Sequence[Call] = (),
        unborn: Callable[[CryptolakeError], bool] = lambda error: _absent(error),
    ) -> Read[list[LogFilter]]:
        """Whose events are wanted of each market, as of a block. That there is no list is borne out like what it holds."""
        markets = {csu.name: csu for csu in csus}
        return self.state.markets(markets, _named, block, likely, believed=unborn)


def _named(csu: Csu) -> Program[list[LogFilter]]:
    return families()[csu.family].emitters(csu)


def _listed(csu: Csu) -> bool:
    """Whether the chain names a market's emitters: its family asks for them. The row names them otherwise."""
    program = _named(csu)
    try:
        calls = next(program)
        while not calls:
            calls = program.send([])
    except (StopIteration, CryptolakeError):
        return False
    return True


class _Covered:
    """Answered windows in order, without a hole, from the scan's first block on."""

    def __init__(self, start: int) -> None:
        self.until, self.blocks = start, 0
        self.answers: list[AnsweredWindow] = []
        self._ahead: dict[int, AnsweredWindow] = {}

    def add(self, answered: AnsweredWindow) -> None:
        self.blocks += answered.window.end - answered.window.start
        self._ahead[answered.window.start] = answered
        while (following := self._ahead.pop(self.until, None)) is not None:
            self.answers.append(following)
            self.until = following.window.end

    def within(self, blocks: BlockRange) -> tuple[list[BlockWindow], list[Log], frozenset[str]]:
        """The windows of these blocks, the logs in them and emitters not to be read. Forgets what no later block needs."""
        found = [one for one in self.answers if one.window.start < blocks.end and one.window.end > blocks.start]
        self.answers = [one for one in self.answers if one.window.end > blocks.end]
        logs = [log for one in found for log in one.logs if blocks.start <= log.block < blocks.end]
        return [one.window for one in found], logs, frozenset().union(*(one.unread for one in found))


def _absent(error: CryptolakeError) -> bool:
    """Whether the chain itself says that there is no such thing at a block.

    No contract (which is settled by then), one that knows no such call, or one that lists nothing.
    """
    return isinstance(error, Skip) and error.reason in {"not_deployed", "revert", "unlisted"}


def _not_whole(error: CryptolakeError) -> bool:
    """Whether a market is not there yet, or not whole: before the first period it may be half made. It is proven at its end."""
    return _absent(error) or (isinstance(error, Skip) and error.reason == "identity")


def _united(filters: Sequence[LogFilter]) -> list[LogFilter]:
    """One filter per emitter."""
    topics: dict[str, frozenset[str]] = {}
    for one in filters:
        topics[one.address] = topics.get(one.address, frozenset()) | one.topics0
    return [LogFilter(address, wanted) for address, wanted in topics.items()]


def _touching(periods: Sequence[Period]) -> Iterator[list[Period]]:
    """Runs of periods that touch each other, so that one scan covers each run without asking for gaps."""
    together: list[Period] = []
    for period in periods:
        if together and together[-1].end != period.start:
            yield together
            together = []
        together.append(period)
    if together:
        yield together
