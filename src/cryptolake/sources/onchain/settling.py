"""Covered periods of a log scan become answers: evidence that nothing is missing, the events' prices and symbols.

Many periods are settled together: their headers are asked in common batches; the fullest period shows what the families'
programs ask unless an earlier one did, and the others run side by side with all of that in their first request. What does not
belong here: how windows are asked (net/scan), which period is covered (scans), what an event means (the families).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson

from cryptolake.contracts.entry import SUSPECT
from cryptolake.contracts.grades import at_least
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.agreement import Contradicted
from cryptolake.net.audit import quiet_blocks
from cryptolake.net.blocks import BlockRange, Blocks, Header, HeaderStanding
from cryptolake.net.examination import ExaminedWindows, Examiner
from cryptolake.net.faults import Behind, Disputed, Elsewhere, Malformed
from cryptolake.net.logs import BlockWindow, Log, LogFilter, LogQuestion, log_to_json
from cryptolake.net.multicall import Call, Failed, Finished, Program, transcript_to_json
from cryptolake.net.odd_words import failing_alike
from cryptolake.net.quiet import TOGETHER
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import grade_of_absence, told_by
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.births import Births
from cryptolake.sources.onchain.certificate import certificate
from cryptolake.sources.onchain.events import to_settle
from cryptolake.sources.onchain.families import bad_debt_in, families
from cryptolake.sources.onchain.grounds import Ground
from cryptolake.sources.onchain.proven import told_apart
from cryptolake.sources.onchain.records import Settled
from cryptolake.sources.onchain.state import Read, StateReader

AT_ONCE = 16  # periods settled side by side


@dataclass(frozen=True, slots=True)
class CoveredPeriod:
    """A period whose every block was answered: who is to be answered, its blocks, the windows and the logs in it."""

    asked: Sequence[Partition]
    within: BlockRange
    snapshot: Header  # of its last block
    windows: Sequence[BlockWindow]
    logs: Sequence[Log]
    unread: frozenset[str] = frozenset()  # emitters whose events no endpoint gives in a way that can be read


DoubtedBlocks = Callable[[Partition], Collection[int]]
"""The blocks of a partition of which answers or operators say different things, as is known from before."""


def _none_doubted(_partition: Partition) -> Collection[int]:
    return ()


@dataclass(frozen=True, slots=True)
class Settling:
    """Settles covered periods of one scan.

    `filters` are the emitters by market; `examiner` proves what was answered, `state` reads what the events are valued with.
    """

    source: str
    pool: Pool
    blocks: Blocks
    chain: Chain
    csus: Mapping[str, Csu]
    provenance: Mapping[str, str]
    examiner: Examiner
    filters: Mapping[str, Sequence[LogFilter]]
    state: StateReader
    emitters: Sequence[Ground] = ()  # who named the emitters, and who bears that out
    by_row: frozenset[str] = frozenset()  # the markets whose emitters their rows name, not the chain
    births: Births = field(default_factory=Births)
    doubted: DoubtedBlocks = _none_doubted
    _likely: dict[str, list[Call]] = field(default_factory=dict)  # what each market's program asked before
    # Periods with windows that nobody compared, and who answered these.
    _sampled: list[tuple[CoveredPeriod, frozenset[str]]] = field(default_factory=list)

    @property
    def question(self) -> LogQuestion:
        """All markets' filters as one question."""
        return LogQuestion(self.chain.name, [one for found in self.filters.values() for one in found])

    def settle(self, periods: Sequence[CoveredPeriod]) -> Iterator[Raw | Miss]:
        """The answers of all periods, in order. A conversation that fails ends it, after everybody else's answers."""
        if not periods:
            return
        question = self.question
        self._headers_of(question, periods)
        answers: list[Sequence[Raw | Miss]] = [()] * len(periods)
        failures: list[CryptolakeError] = []

        def answer(place: int) -> None:
            try:
                found = self._period(question, periods[place])
                self.pool.go_on()  # else what it lacks may be what a ceiling kept from being asked
                answers[place] = found
            except CryptolakeError as error:
                failures.append(error)

        others = sorted(range(len(periods)), key=lambda place: -len(periods[place].logs))
        if not {one.key for period in periods for one in period.asked} <= self._likely.keys():
            answer(others.pop(0))
        if others and all(isinstance(one, Elsewhere) for one in failures):  # too old for an archive: others may not be
            with ThreadPoolExecutor(min(AT_ONCE, len(others)), thread_name_prefix="settle") as threads:
                list(threads.map(answer, others))
        for found in answers:
            yield from found
        if failures:
            raise failures[0]

    def settle_again(self) -> Iterator[Raw | Miss]:
        """New answers of periods that a proven liar answered in part, before it was known as one: asked elsewhere now."""
        liars = self.examiner.liars
        periods = [period for period, names in self._sampled if names & liars.keys()]
        self._sampled.clear()
        yield from self.settle(periods)

    def _headers_of(self, question: LogQuestion, periods: Sequence[CoveredPeriod]) -> None:
        """Ask the headers of all periods in a few requests at once; each period finds its own there."""
        with_logs = {log.block for one in periods for log in one.logs}
        doubted = periods if self.examiner.doubts else ()
        quiet = {number for one in doubted for number in quiet_blocks(self.pool, question, one.logs, one.within)}
        asked: list[tuple[Callable[[Sequence[int]], object], list[int]]] = [
            (ask, sorted(numbers)[start : start + TOGETHER])
            for ask, numbers in ((self.blocks.headers, with_logs), (self.examiner.quiet.ask, quiet))
            for start in range(0, len(numbers), TOGETHER)
        ]
        if asked:
            with ThreadPoolExecutor(min(AT_ONCE, len(asked)), thread_name_prefix="headers") as threads:
                list(threads.map(lambda one: one[0](one[1]), asked))
        with suppress(Contradicted):  # each period says so by itself
            self.blocks.named({log.block: log.block_hash for one in periods for log in one.logs})

    def _period(self, question: LogQuestion, period: CoveredPeriod) -> list[Raw | Miss]:
        """The answers of one period."""
        try:
            doubted = {number for one in period.asked for number in self.doubted(one)}
            examined = self.examiner.examine(period.windows, period.logs, period.within, doubted)
            if not at_least(examined.grade, "two_voices"):
                self._sampled.append((period, frozenset(one.endpoint for one in examined.windows)))
            stamps, standing = self._headers_under(period, examined.logs)
        except Malformed as error:  # what endpoints say of this period cannot be; of others it may
            return [miss(partition, error) for partition in period.asked]
        logs = examined.logs
        by_csu: dict[str, list[Log]] = {}
        programs: dict[str, Callable[[], Program[Settled]]] = {}
        answers: list[Raw | Miss] = []
        for partition in period.asked:
            csu = self.csus[partition.key]
            if any(one.address in period.unread for one in self.filters[csu.name]):
                words = f"{csu.name}: an event of it cannot be read at any endpoint; set another endpoint"
                answers.append(miss(partition, Malformed(words)))
                continue
            emitters = {one.address: one.topics0 for one in self.filters[csu.name]}
            by_csu[csu.name] = [log for log in logs if log.topics[0] in emitters.get(log.address, frozenset())]
            try:
                events = families()[csu.family].liquidations(csu, by_csu[csu.name])
                if told_of := to_settle(events, bad_debt_in(csu, by_csu[csu.name])):
                    programs[csu.name] = partial(families()[csu.family].settle, csu, told_of)
            except Skip as error:
                del by_csu[csu.name]
                answers.append(miss(partition, error))
        read = self._priced(programs, period.snapshot)
        later = [csu for name in by_csu if ((csu := self.csus[name]).deployed_block or 0) >= period.within.end]
        born = self.births.borne_out(self.pool, self.chain, later)
        for partition in period.asked:
            if partition.key not in by_csu:
                continue
            csu, told = self.csus[partition.key], by_csu[partition.key]
            outcome = None if read is None else read.outcomes.get(partition.key)
            if told and told[0].block < (csu.deployed_block or 0):
                answers.append(miss(partition, _before_its_row(csu, told[0])))
                continue
            if isinstance(absent := born.get(csu.name), CryptolakeError):
                answers.append(miss(partition, absent))
                continue
            if isinstance(outcome, Failed):
                answers.append(miss(partition, _with_events(outcome.error)))
            elif absent:
                answers.append(miss(partition, Skip(absent, reason="not_deployed")))
            else:
                borne = [Ground.of("values", period.snapshot.number, read.borne)] if read and outcome else []
                headers = standing.of_events({log.block for log in told})
                evidence = self._evidence(partition.key, examined, headers, period.within, borne)
                answers.append(self._raw(partition, period, evidence, told, stamps, outcome))
        return answers

    def _headers_under(self, period: CoveredPeriod, logs: Sequence[Log]) -> tuple[Mapping[int, Header], HeaderStanding]:
        """The headers that the events' times are taken from, and who bears out these and the period's boundaries."""
        stamps, of_stamps = self.blocks.named({log.block: log.block_hash for log in logs})
        ends = dict.fromkeys(at for one in period.asked for at in (one.period.start, one.period.end))
        of_bounds = self.blocks.standing(*ends)
        return stamps, of_bounds.joined(of_stamps)

    def _priced(self, programs: Mapping[str, Callable[[], Program[Settled]]], block: Header) -> Read[Settled] | None:
        """Run the markets' programs, with all that they asked in other periods in the first request."""
        if not programs:
            return None
        likely = [call for name in programs for call in self._likely.get(name, ())]
        read = self.state.programs(lambda: {name: made() for name, made in programs.items()}, block, likely)
        for name, outcome in read.outcomes.items():
            if isinstance(outcome, Finished) and name not in self._likely:
                self._likely[name] = [call for stored in outcome.transcript for call, _ in stored]
        return read

    def _raw(
        self,
        partition: Partition,
        period: CoveredPeriod,
        evidence: Mapping[str, object],
        logs: Sequence[Log],
        stamps: Mapping[int, Header],
        outcome: Finished[Settled] | None,
    ) -> Raw:
        payload = {
            "csu": partition.key,
            "from_block": period.within.start,
            "to_block": period.within.end - 1,
            "block": period.snapshot.number,
            "block_hash": period.snapshot.hash,
            "filters": {one.address: sorted(one.topics0) for one in self.filters[partition.key]},
            "certificate": evidence,
            "logs": [log_to_json(log) for log in logs],
            "timestamps": {str(log.block): stamps[log.block].timestamp for log in logs},
            "context": transcript_to_json(outcome.transcript) if outcome is not None else [],
        }
        return Raw(
            partition=partition,
            source=self.source,
            fetched_at=datetime.now(UTC),
            observed_at=partition.period.end - timedelta(microseconds=1),
            payload=orjson.dumps(payload),
            request={"chain": self.chain.name, "dataset": partition.dataset},
            provenance={
                **self.provenance,
                **told_apart(self.csus[partition.key]),
                "endpoint": self.pool.last_endpoint,
            },
            block=period.snapshot.number,
            block_hash=period.snapshot.hash,
        )

    def _evidence(
        self,
        csu: str,
        examined: ExaminedWindows,
        standing: HeaderStanding,
        within: BlockRange,
        values: Sequence[Ground],
    ) -> dict[str, object]:
        """The completeness certificate of a market's period."""
        voices = {one.endpoint.name: told_by(one.endpoint) for one in self.pool.everybody}
        alike = failing_alike(self.pool.everybody)
        asked = tuple(dict.fromkeys(one.address for one in self.filters[csu]))
        emitters = [replace(one, named=asked if csu in self.by_row else ()) for one in self.emitters]
        besides = [one.endpoint.name for one in self.pool.everybody if one.endpoint.besides]
        return certificate(
            within, examined, voices, datetime.now(UTC), standing, [*emitters, *values], asked, alike, besides
        )


def _with_events(error: CryptolakeError) -> CryptolakeError:
    """The error of a market that had events: whatever says that there is no contract, the market itself was there."""
    if isinstance(error, Skip) and error.reason == "not_deployed":
        return Skip(f"{error}, though it had events by then; set another endpoint", reason="no_code")
    return error


def _before_its_row(csu: Csu, log: Log) -> Skip:
    """The error of a market that had events before it was deployed, as its row says."""
    return Skip(
        f"{csu.name}: it has an event in block {log.block}, and its row says that it was deployed at {csu.deployed_block}; "
        "correct the row (cryptolake markets check)",
        reason="identity",
    )


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
    disputed = isinstance(error, Disputed) or reason == SUSPECT
    if reason == "not_deployed":
        return Miss(partition, "gone", reason, str(error), disputed, grade_of_absence(str(error)))
    return Miss(partition, "failed", reason, str(error), disputed)
