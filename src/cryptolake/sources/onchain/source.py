"""The chain as a source: asks each chain once for all its markets, by the families' programs. Knows no protocol itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import orjson

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Stands, Trip
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.agreement import Contradicted
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import BlockRange, Blocks, Header
from cryptolake.net.liars import Liars, lie_about
from cryptolake.net.likely import Likely
from cryptolake.net.multicall import Failed, Finished, transcript_to_json
from cryptolake.net.odd_words import failing_alike
from cryptolake.net.proof import Prover
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import told_by
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.adopted import taken_over
from cryptolake.sources.onchain.births import Births
from cryptolake.sources.onchain.certificate import snapshot_certificate
from cryptolake.sources.onchain.discovery import Discoveries
from cryptolake.sources.onchain.doubted import KeepsAnswers, contradicted_in
from cryptolake.sources.onchain.families import discovering, families, isolating, writing_off
from cryptolake.sources.onchain.grading import graded
from cryptolake.sources.onchain.history import Discovered
from cryptolake.sources.onchain.misplaced import misplaced
from cryptolake.sources.onchain.presence import absent_with_its_chain
from cryptolake.sources.onchain.proven import told_apart
from cryptolake.sources.onchain.reader import reader_digest
from cryptolake.sources.onchain.records import Reserve
from cryptolake.sources.onchain.scans import LiquidationScan, Scanned, Watch, share_of, wished
from cryptolake.sources.onchain.settling import miss
from cryptolake.sources.onchain.state import KnownReverts, Read, StateReader
from cryptolake.sources.onchain.stored import stored_bad_debt, stored_isolated, stored_rows
from cryptolake.sources.onchain.succession import compared, settles
from cryptolake.sources.onchain.weighing import weighed

TVL = Dataset(
    "tvl",
    feeds="tvl",
    doc="supplied, borrowed, cash and prices of every reserve at the end of the period",
    reach="as_of",
    at_minute=30,  # past midnight: by then the day's last block is final on the chains of the registry
)
LIQUIDATIONS = Dataset(
    "liquidations",
    feeds="liquidations",
    doc="every liquidation inside the period",
    reach="window",
    at_minute=30,
)


class OnchainSource:
    """Markets on EVM chains, by archive JSON-RPC. `pools` opens a chain's endpoint pool when it is first needed.

    `journals` is the folder where unfinished log scans are kept (None: nowhere). `grade` says how far answers are to be proven,
    `state_grade` how far state, where that differs, and `audit` the share of log windows that a second voice is asked for where
    that is a sample (0: nor for state). `sample` is that share where all are wished for and too dear (None: whatever it costs).
    `watch` is told how far every scan has come, `discovered` is the folder where the events that name markets' parts are kept
    for ever (None: in memory), `liars` who was proven to answer logs wrongly,
    `kept` the answers of before,
    of which blocks that somebody contradicts are asked of everybody.
    """

    name = "onchain"
    datasets: Sequence[Dataset] = (TVL, LIQUIDATIONS)

    def __init__(
        self,
        *,
        registry: Registry,
        csus: Sequence[Csu],
        pools: Callable[[Chain], Pool],
        block_cache: FileBlockCache | None = None,
        provenance: Mapping[str, str] | None = None,
        journals: Path | None = None,
        discovered: Path | None = None,
        audit: float = 0.0,
        grade: Grade = "two_voices_sampled",
        state_grade: Grade | None = None,
        watch: Watch = lambda _scanned: None,
        liars: Liars | None = None,
        sample: float | None = None,
        kept: KeepsAnswers | None = None,
    ) -> None:
        self._registry, self._pools, self._cache = registry, pools, block_cache
        self._journals, self._audit, self._sample, self._grade, self._watch = journals, audit, sample, grade, watch
        self._state_grade = state_grade or grade
        self._liars, self._kept = liars or Liars(), kept
        self._discoveries = Discoveries(discovered, share_of(grade, audit), sample)
        self._blocks: dict[str, Blocks] = {}
        self._lock = threading.Lock()
        self._instants: dict[str, set[datetime]] = {}  # boundaries that the trips handed out will need, by chain
        self._finding: dict[str, threading.Lock] = {}
        self._likely = Likely()  # of each market's program
        self._answered: dict[str, int] = {}  # the first block at which a market did answer
        self._reverts: dict[str, KnownReverts] = {}
        self._births = Births(1 if grade == "one_voice" else 2)
        self._reading = threading.Lock()
        self._csus = {csu.name: csu for csu in csus}
        self._provenance = dict(provenance or {})

    def keys(self, dataset: str) -> Sequence[str]:
        """The markets, sorted; both datasets have the same."""
        del dataset
        return sorted(self._csus)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Snapshots: one trip per chain and period. Liquidations: one per chain and calendar month."""
        groups: dict[tuple[str, str, object], list[Partition]] = {}
        for partition in sorted(partitions, key=lambda p: (p.period, p.dataset, p.key)):
            chain = self._csus[partition.key].chain
            day = partition.period.day
            slot: object = (day.year, day.month) if partition.dataset == LIQUIDATIONS.name else partition.period
            groups.setdefault((chain, partition.dataset, slot), []).append(partition)
            self._instants.setdefault(chain, set()).update((partition.period.start, partition.period.end))
        for (chain, dataset, _), members in groups.items():
            yield Trip(self.name, f"{dataset} {chain} {members[0].period}", tuple(members), chain)

    def silent(self, asked: str) -> bool:
        """Whether a chain has answered nothing for some seconds, though it is being asked."""
        with self._lock:
            blocks = self._blocks.get(asked)
        return blocks is not None and blocks.silent

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """One multicall conversation, or one log scan. A market that fails, fails alone. Whoever was not asked, for a ceiling
        ended the run, proves nothing absent nor failed.
        """
        chain = self._registry.chains[self._csus[trip.partitions[0].key].chain]
        askable = []
        for partition in trip.partitions:
            if self._csus[partition.key].family not in families():
                family = self._csus[partition.key].family
                yield Miss(partition, "gone", "unsupported_family", f"family {family} is not built yet")
            else:
                askable.append(partition)
        if not askable:
            return
        pool = self._pools(chain)
        blocks = self.blocks(chain)
        with self._lock:
            first_of_chain = self._finding.setdefault(chain.name, threading.Lock())
        with first_of_chain:  # the boundaries of all trips of a chain are found together, by whoever comes first
            blocks.prefetch(self._instants.pop(chain.name, ()))
        with closing(self._answers(pool, blocks, chain, askable)) as answers:
            for outcome in answers:
                if isinstance(outcome, Miss):
                    pool.go_on()
                yield outcome

    def _answers(
        self, pool: Pool, blocks: Blocks, chain: Chain, askable: Sequence[Partition]
    ) -> Generator[Raw | Miss, None, None]:
        if askable[0].dataset == TVL.name:
            yield from self._snapshots(pool, blocks, chain, askable)
        else:
            scan = LiquidationScan(
                self.name,
                pool,
                blocks,
                chain,
                self._csus,
                self._provenance,
                self._journals,
                self._audit,
                self._watch,
                self._grade,
                self._births,
                self._reverting(chain),
                self._sample,
                lambda one: () if self._kept is None else contradicted_in(self._kept, one, self.name),
            )
            yield from scan.run(askable)

    def blocks(self, chain: Chain) -> Blocks:
        """The chain's block finder, one for all trips, so that headers are asked once."""
        with self._lock:
            if chain.name not in self._blocks:
                again = any(share_of(one, self._audit) for one in (self._grade, self._state_grade))
                pool, provable = self._pools(chain), chain.receipts is not None
                pool.hope()
                self._blocks[chain.name] = Blocks(pool, self._cache, chain.clock, provable=provable, again=again)
            return self._blocks[chain.name]

    def _reverting(self, chain: Chain) -> KnownReverts:
        """What is known of the chain's calls that revert, whoever asked."""
        with self._lock:
            return self._reverts.setdefault(chain.name, KnownReverts())

    def parse(self, raw: Raw) -> Sequence[Row]:
        """The rows of a stored answer. Raises Skip when it does not fit the family's layout."""
        return stored_rows(self._csus[raw.partition.key], raw)

    def bad_debt(self, raw: Raw) -> Sequence[Row]:
        """The bad debt in a stored answer of liquidations, or a row that says that nobody asked. Raises Skip as `parse`."""
        return stored_bad_debt(self._csus[raw.partition.key], raw)

    def grade(self, raw: Raw) -> Grade:
        """How far an answer is proven, by its certificate."""
        return graded(raw).grade

    def weigh(self, raw: Raw) -> str | None:
        """Remember whom the answer's certificate proves a liar; why it is suspect.

        That is where it is of other blocks than its day's, where its proof has a hole, where somebody contradicts it, or where
        it rests on liars alone.
        """
        chain = self._csus[raw.partition.key].chain
        if (why := misplaced(raw, chain, self._cache) or taken_over(orjson.loads(raw.payload))) is not None:
            return why
        return weighed(raw, chain, self._liars, logs=raw.partition.dataset == LIQUIDATIONS.name)

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """Which of two answers of a market's period stands, by what is proven of each and of who gave them."""
        chain = self._csus[new.partition.key].chain
        return compared(new, kept, self._liars.accused(chain), lambda one: misplaced(one, chain, self._cache))

    decides = staticmethod(settles)

    def isolated(self, raw: Raw) -> Sequence[Row]:
        """The isolated markets in a stored snapshot, none where the family has no such thing. Raises Skip as `parse`."""
        return stored_isolated(self._csus[raw.partition.key], raw)

    def reader(self, key: str) -> str:
        """Digest of all that decides how the market's answers are read: its family's code, its chain and addresses."""
        return self._stamp(key, stored_rows)

    def isolated_reader(self, key: str) -> str | None:
        """The same for its isolated markets; None where its snapshots tell of none."""
        return self._stamp(key, stored_isolated) if isolating(self._csus[key].family) is not None else None

    def bad_debt_reader(self, key: str) -> str | None:
        """The same for its bad debt; None where its logs tell of none."""
        return self._stamp(key, stored_bad_debt) if writing_off(self._csus[key].family) is not None else None

    def _stamp(self, key: str, parse: Callable[..., object]) -> str:
        csu = self._csus[key]
        with self._reading:  # every conversation of a run wants it at the same moment
            code = reader_digest(csu.family, parse)
        row = orjson.dumps([csu.family, csu.chain, dict(csu.entry)], option=orjson.OPT_SORT_KEYS)
        return sha256(code.encode() + row).hexdigest()[:32]

    def _snapshots(self, pool: Pool, blocks: Blocks, chain: Chain, asked: Sequence[Partition]) -> Iterator[Raw | Miss]:
        period = asked[0].period
        try:
            _, header = blocks.range_of(period)
        except (Skip, Contradicted) as error:
            for partition in asked:
                yield miss(partition, absent_with_its_chain(blocks, self._csus[partition.key], period, error))
            return
        markets: dict[str, Csu] = {}
        histories: dict[str, Discovered | None] = {}
        by_name = {partition.key: partition for partition in asked}
        later = [self._csus[name] for name in by_name if (self._csus[name].deployed_block or 0) > header.number]
        born = self._births.borne_out(pool, chain, later)
        for name, partition in by_name.items():
            csu = self._csus[name]
            if absent := born.get(name):
                yield miss(partition, Skip(absent, reason="not_deployed") if isinstance(absent, str) else absent)
                continue
            try:
                csu, histories[name] = self._discovered(pool, chain, csu, header)
            except CryptolakeError as error:
                yield miss(partition, error)
                continue
            markets[name] = csu
        state = StateReader(pool, blocks, chain, wished(self._state_grade, self._audit), self._reverting(chain))
        read = self._read(state, chain, markets, header)
        if pool.finality_assumed and blocks.fresh_header(header.number).hash != header.hash:
            raise Skip(f"block {header.number} changed while it was read; run again", reason="reorganised")
        voices = {one.endpoint.name: told_by(one.endpoint) for one in pool.everybody}
        for name, outcome in read.outcomes.items():
            if isinstance(outcome, Failed):
                yield miss(by_name[name], outcome.error)
                continue
            history = histories[name]
            payload = {
                "csu": name,
                "block": header.number,
                "block_hash": header.hash,
                "timestamp": header.timestamp,
                **({"found": markets[name].found} if markets[name].found else {}),
                "rounds": transcript_to_json(outcome.transcript),
                "certificate": snapshot_certificate(
                    header, read.borne, voices, blocks.standing(period.end), history, failing_alike(pool.everybody)
                ),
            }
            yield Raw(
                partition=by_name[name],
                source=self.name,
                fetched_at=datetime.now(UTC),
                observed_at=header.time,
                payload=orjson.dumps(payload),
                request={"chain": chain.name, "dataset": TVL.name},
                provenance={
                    **self._provenance,
                    **told_apart(markets[name]),
                    "endpoint": read.borne.first,
                },
                block=header.number,
                block_hash=header.hash,
            )

    def _read(
        self, state: StateReader, chain: Chain, markets: Mapping[str, Csu], header: Header
    ) -> Read[list[Reserve]]:
        """Read the markets at a block, with all that they asked before in the first request.

        While a market has not asked anything yet, one conversation of its chain teaches what it asks and the others wait.
        """
        with self._likely.of(chain.name, list(markets)) as likely:
            read = state.markets(
                markets, lambda csu: families()[csu.family].snapshot(csu), header, likely, alive_at=self._answered
            )
            for name, outcome in read.outcomes.items():
                if isinstance(outcome, Finished):
                    self._likely.learn(name, outcome)
                    self._answered[name] = min(header.number, self._answered.get(name, header.number))
            return read

    def _discovered(self, pool: Pool, chain: Chain, csu: Csu, header: Header) -> tuple[Csu, Discovered | None]:
        """The market with what its family's discovery events say up to the block, and how that is proven.

        Unchanged where it needs none. Who is proven to have told them wrongly is remembered.
        """
        family = discovering(csu.family)
        if family is None:
            return csu, None
        history = BlockRange(csu.deployed_block or 0, header.number + 1)

        found = self._discoveries.upto(
            pool,
            family.discovery(csu),
            history,
            lambda done: self._watch(Scanned(csu.chain, done, len(history))),
            prover=Prover(pool, chain.receipts),
            accused=self._liars.accused(csu.chain),
        )
        for name, (block, of) in found.liars.items():
            self._liars.learn(csu.chain, lie_about(name, of, block))
        return family.discover(csu, found.logs), found
