"""Liquidations of a chain: one log scan for all its markets over touching periods, cut into days with their evidence.

What does not belong here: how windows are asked (net/logs), how they are doubted (net/audit), what an event means (the
families).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import orjson

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.audit import check_blooms, second_opinions
from cryptolake.net.blocks import BlockRange, Blocks, Header
from cryptolake.net.faults import Behind, Elsewhere, Malformed
from cryptolake.net.journal import ScanJournal
from cryptolake.net.logs import AnsweredWindow, BlockWindow, Log, LogFilter, LogQuestion, log_to_json
from cryptolake.net.multicall import Call, Failed, Finished, Program, run, transcript_to_json
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.certificate import certificate
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.records import Settled

T = TypeVar("T")
Bounds = tuple[BlockRange, Header]


@dataclass(frozen=True, slots=True)
class Scanned:
    """How far the scan of a chain has come, in blocks."""

    chain: str
    done: int
    total: int


Watch = Callable[[Scanned], None]


@dataclass(frozen=True, slots=True)
class LiquidationScan:
    """One chain's events for one trip. `journals` is the folder of unfinished scans, `audit` the share doubted."""

    source: str
    pool: Pool
    blocks: Blocks
    chain: Chain
    csus: Mapping[str, Csu]
    provenance: Mapping[str, str]
    journals: Path | None
    audit: float
    watch: Watch

    def run(self, asked: Sequence[Partition]) -> Iterator[Raw | Miss]:
        """One answer per partition, each as soon as its period is covered."""
        periods = sorted({partition.period for partition in asked})
        self.blocks.prefetch({instant for period in periods for instant in (period.start, period.end)})
        ranges: dict[Period, Bounds] = {}
        for period in periods:
            try:
                ranges[period] = self.blocks.range_of(period)
            except Skip as error:
                yield from (miss(partition, error) for partition in asked if partition.period == period)
        for touching in _touching(sorted(ranges)):
            members = [partition for partition in asked if partition.period in touching]
            yield from self._touching(members, {period: ranges[period] for period in touching})

    def _touching(self, asked: Sequence[Partition], ranges: Mapping[Period, Bounds]) -> Iterator[Raw | Miss]:
        """Periods that touch each other: the emitters of first and last block, one scan over all of it, period by period."""
        first, last = (ranges[period][1].number for period in (min(ranges), max(ranges)))
        csus = [self.csus[name] for name in sorted({partition.key for partition in asked})]
        filters: dict[str, list[LogFilter]] = {}
        for name, outcome in self._emitters(csus, last).items():
            if isinstance(outcome, Failed):
                yield from (miss(partition, outcome.error) for partition in asked if partition.key == name)
            else:
                filters[name] = outcome.value
        if first != last:
            # An emitter replaced on the way stands only in the first list. No list yet: the market was born on the way.
            for name, outcome in self._emitters([csu for csu in csus if csu.name in filters], first).items():
                if isinstance(outcome, Finished):
                    filters[name] = _united([*filters[name], *outcome.value])
                elif not _absent(outcome.error):  # refused or odd: whose events there were is not known
                    del filters[name]
                    yield from (miss(partition, outcome.error) for partition in asked if partition.key == name)
        if not filters:
            return
        every = [one for found in filters.values() for one in found]
        question = LogQuestion(self.chain.name, every)
        waiting = sorted(ranges)
        whole = BlockRange(ranges[waiting[0]][0].start, ranges[waiting[-1]][0].end)
        journal = ScanJournal(self.journals, self.chain.name, every) if self.journals is not None else None
        known = journal.read() if journal is not None else []
        kept = {one.window for one in known}
        covered = _Covered(whole.start)
        with closing(scan(self.pool, every, whole, known=known)) as answers:
            for answered in answers:
                if journal is not None and answered.window not in kept:
                    journal.keep(answered)
                covered.add(answered)
                self.watch(Scanned(self.chain.name, covered.blocks, len(whole)))
                while waiting and ranges[waiting[0]][0].end <= covered.until:
                    period = waiting.pop(0)
                    members = [one for one in asked if one.period == period and one.key in filters]
                    yield from self._period(members, ranges[period], covered, question, filters)
        for period in waiting:  # nothing to ask for: no market has an emitter yet
            members = [one for one in asked if one.period == period and one.key in filters]
            yield from self._period(members, ranges[period], covered, question, filters)
        if journal is not None:
            journal.forget()

    def _emitters(self, csus: Sequence[Csu], block: int) -> dict[str, Finished[list[LogFilter]] | Failed]:
        programs = {csu.name: families()[csu.family].emitters(csu) for csu in csus}
        return run_programs(self.pool, programs, block, self.chain)

    def _period(
        self,
        asked: Sequence[Partition],
        bounds: Bounds,
        covered: _Covered,
        question: LogQuestion,
        filters: Mapping[str, Sequence[LogFilter]],
    ) -> Iterator[Raw | Miss]:
        """The answers of one covered period, with the evidence that nothing is missing."""
        within, header = bounds
        unread = frozenset().union(*(one.unread for one in covered.answers if _touches(one.window, within)))
        if unread:
            for partition in [one for one in asked if any(two.address in unread for two in filters[one.key])]:
                words = f"{partition.key}: an event of it cannot be read at any endpoint; set another endpoint"
                yield miss(partition, Malformed(words))
            asked = [one for one in asked if not any(two.address in unread for two in filters[one.key])]
        logs = [log for one in covered.answers for log in one.logs if within.start <= log.block < within.end]
        windows = [one.window for one in covered.answers]
        evidence, found = self._evidence(question, windows, logs, within)
        logs = sorted({*logs, *found}, key=lambda log: (log.block, log.index))
        covered.drop_before(within.end)
        by_csu: dict[str, list[Log]] = {}
        programs: dict[str, Program[Settled]] = {}
        for partition in asked:
            csu = self.csus[partition.key]
            emitters = {one.address: one.topics0 for one in filters[csu.name]}
            by_csu[csu.name] = [log for log in logs if log.topics[0] in emitters.get(log.address, frozenset())]
            try:
                if events := families()[csu.family].liquidations(csu, by_csu[csu.name]):
                    programs[csu.name] = families()[csu.family].settle(csu, events)
            except Skip as error:
                del by_csu[csu.name]
                yield miss(partition, error)
        stamps = self.blocks.headers(sorted({log.block for found in by_csu.values() for log in found}))
        outcomes = run_programs(self.pool, programs, header.number, self.chain)
        for partition in asked:
            csu = self.csus[partition.key]
            outcome = outcomes.get(csu.name)
            if csu.name not in by_csu:
                continue
            if isinstance(outcome, Failed):
                yield miss(partition, outcome.error)
                continue
            if not by_csu[csu.name] and csu.deployed_block is not None and csu.deployed_block >= within.end:
                yield Miss(partition, "gone", "not_deployed", f"{csu.name} was deployed at block {csu.deployed_block}")
                continue
            payload = {
                "csu": csu.name,
                "from_block": within.start,
                "to_block": within.end - 1,
                "block": header.number,
                "filters": {one.address: sorted(one.topics0) for one in filters[csu.name]},
                "certificate": evidence,
                "logs": [log_to_json(log) for log in by_csu[csu.name]],
                "timestamps": {str(log.block): stamps[log.block].timestamp for log in by_csu[csu.name]},
                "context": transcript_to_json(outcome.transcript) if outcome is not None else [],
            }
            doubt = {"doubt": "suspect"} if evidence["verdict"] == "suspect" else {}
            yield Raw(
                partition=partition,
                source=self.source,
                fetched_at=datetime.now(UTC),
                observed_at=partition.period.end - timedelta(microseconds=1),
                payload=orjson.dumps(payload),
                request={"chain": self.chain.name, "dataset": partition.dataset},
                provenance={**self.provenance, **doubt, "endpoint": self.pool.last_endpoint},
                block=header.number,
                block_hash=header.hash,
            )

    def _evidence(
        self, question: LogQuestion, windows: Sequence[BlockWindow], logs: Sequence[Log], within: BlockRange
    ) -> tuple[dict[str, object], list[Log]]:
        """The completeness certificate of a period, and logs that were left out at first but that two endpoints have."""
        opinions, found = second_opinions(self.pool, question, windows, logs, within, self.audit)
        blooms = check_blooms(self.pool, self.blocks, question, logs, within, sample=self.audit > 0)
        return certificate(within, windows, opinions, blooms, datetime.now(UTC)), found


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

    def drop_before(self, block: int) -> None:
        """Forget windows that no later period needs."""
        self.answers = [one for one in self.answers if one.window.end > block]


def _touches(window: BlockWindow, within: BlockRange) -> bool:
    return window.start < within.end and window.end > within.start


def run_programs(
    pool: Pool, programs: Mapping[str, Program[T]], block: int, chain: Chain, likely: Sequence[Call] = ()
) -> dict[str, Finished[T] | Failed]:
    """Run programs at a block, through Multicall3 where the chain has it by then."""
    since = chain.multicall3_block or 0
    return run(pool, programs, block, multicall3=chain.multicall3_address, multicall3_since=since, likely=likely)


def miss(partition: Partition, error: CryptolakeError) -> Miss:
    """`not_deployed` is for ever; any other reason may be retried."""
    match error:
        case Skip():
            reason = error.reason
        case Behind():
            reason = "not_yet"
        case Elsewhere():
            reason = "no_archive"
        case _:
            reason = "rpc"
    return Miss(partition, "gone" if reason == "not_deployed" else "failed", reason, str(error))


def _absent(error: CryptolakeError) -> bool:
    """Whether the chain itself says that there is no such thing at a block: no contract, or one that knows no such call."""
    return isinstance(error, Skip) and error.reason in {"not_deployed", "revert"}


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
