"""What a market's own oracle said at the very block of each liquidation, asked when somebody wants it (`event_prices`).

The family's program that values a day's events at the day's end is run at the events' own blocks instead, proven as state is.
What does not belong here: the liquidations themselves (source), which of them to ask for and what comes of it (work).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import orjson

from cryptolake.contracts.grades import Grade, is_borne_out, weakest
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Stands, Trip
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.at_snapshot import SnapshotReader
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import Blocks
from cryptolake.net.likely import Likely
from cryptolake.net.logs import Log, log_to_json, parse_logs
from cryptolake.net.multicall import Failed, replay, transcript_from_json, transcript_to_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.grading import read_grade
from cryptolake.sources.onchain.rows import liquidation_row
from cryptolake.sources.onchain.settling import miss
from cryptolake.sources.onchain.succession import NEW, of_blocks, standing_of

DATASET = Dataset(
    "event_prices",
    feeds="event_prices",
    doc="what the market's own oracle says of both tokens at the block of each liquidation",
    reach="window",
)
_EVENTS = "liquidations"
_LIKELY = 500  # calls of a market that go with the first request, the latest it asked


class EventPrices:
    """Asks for the events in kept answers of liquidations (`kept`); one partition per market and period.

    `again`: whether a second operator has to bear out headers, as the settings want it.
    """

    name = DATASET.name
    datasets: Sequence[Dataset] = (DATASET,)

    def __init__(
        self,
        *,
        registry: Registry,
        pools: Callable[[Chain], Pool],
        read: SnapshotReader,
        kept: Callable[[Partition], Raw | None],
        block_cache: FileBlockCache | None = None,
        provenance: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> None:
        self._registry, self._pools, self._read, self._kept = registry, pools, read, kept
        self._cache, self._provenance, self._again = block_cache, dict(provenance or {}), again
        self._blocks: dict[str, Blocks] = {}
        self._likely = Likely(_LIKELY)
        self._lock = threading.Lock()

    def keys(self, dataset: str) -> Sequence[str]:
        """None: nobody is watched for them, they follow the events."""
        del dataset
        return ()

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One conversation per market and period."""
        for partition in sorted(partitions):
            yield Trip(self.name, str(partition), (partition,))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask at each block with events. A block that cannot be asked fails its period: a part would pass for all."""
        for partition in trip.partitions:
            csu = self._registry.csus[partition.key]
            told = self._kept(Partition(_EVENTS, partition.key, partition.period))
            if told is None:
                words = f"the answer of {_EVENTS}/{partition.key}/{partition.period} is not there; collect it first"
                yield Miss(partition, "failed", "damaged", words)
                continue
            try:
                yield self._answer(partition, csu, told)
            except CryptolakeError as error:
                yield miss(partition, error)

    def _answer(self, partition: Partition, csu: Csu, told: Raw) -> Raw:
        chain = self._registry.chains[csu.chain]
        pool = self._pools(chain)
        logs = parse_logs(orjson.dumps(orjson.loads(told.payload)["logs"]))
        wanted = {(one.tx, one.log_index) for one in families()[csu.family].liquidations(csu, logs)}
        by_block: dict[int, list[Log]] = {}
        for log in logs:
            if (log.tx, log.index) in wanted:
                by_block.setdefault(log.block, []).append(log)
        with self._lock:
            blocks = self._blocks.setdefault(
                chain.name,
                Blocks(pool, self._cache, chain.clock, provable=chain.receipts is not None, again=self._again),
            )
        headers, stands = blocks.named({number: some[0].block_hash for number, some in by_block.items()})
        said: dict[str, object] = {}
        asked_first: dict[str, None] = {}
        for number, some in sorted(by_block.items()):
            events = families()[csu.family].liquidations(csu, some)
            program = partial(families()[csu.family].settle, csu, events)
            with self._likely.of(csu.name, [csu.name]) as likely:
                read = self._read(chain.name, pool, blocks, headers[number], stands, program, likely)
                if isinstance(read.outcome, Failed):
                    raise read.outcome.error
                self._likely.learn(csu.name, read.outcome)
            asked_first.setdefault(read.endpoint)
            said[str(number)] = {
                "hash": headers[number].hash,
                "timestamp": headers[number].timestamp,
                "logs": [log_to_json(log) for log in some],
                "rounds": transcript_to_json(read.outcome.transcript),
                **read.proof,
            }
        return Raw(
            partition=partition,
            source=self.name,
            fetched_at=datetime.now(UTC),
            observed_at=told.observed_at,
            payload=orjson.dumps({"csu": csu.name, "of": told.digest, "blocks": said}),
            request={"chain": chain.name, "dataset": partition.dataset},
            provenance={**self._provenance, "endpoint": ", ".join(asked_first)},
            block=told.block,
            block_hash=told.block_hash,
        )

    def grade(self, raw: Raw) -> Grade:
        """How far the readings are proven, the least of all blocks; of the blocks the answer of the events says that."""
        try:
            return weakest([read_grade(said) for said in orjson.loads(raw.payload)["blocks"].values()])
        except (KeyError, TypeError, ValueError, AttributeError):
            return "one_voice"  # what lacks its proof, or was damaged, has none

    def weigh(self, raw: Raw) -> str | None:
        """Why an answer is suspect: somebody reads something else at one of its blocks, None: nobody does."""
        try:
            blocks = orjson.loads(raw.payload)["blocks"].values()
            return next((str(why) for said in blocks if (why := said["certificate"].get("contradicted"))), None)
        except (KeyError, TypeError, ValueError, AttributeError):
            return "its certificate cannot be read"

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """Which of two answers stands; of other events than are asked for now the kept one says nothing."""
        try:
            if orjson.loads(new.payload)["of"] != orjson.loads(kept.payload)["of"]:
                return NEW
            before = of_blocks(kept, self.grade(kept), self.weigh(kept))
        except (KeyError, TypeError, ValueError, AttributeError):
            return NEW  # nothing in it can be read
        return standing_of(of_blocks(new, self.grade(new), self.weigh(new)), before)

    def decides(self, raw: Raw) -> bool:
        """Whether two operators bear the answer out."""
        return self.weigh(raw) is None and is_borne_out(self.grade(raw))

    def parse(self, raw: Raw) -> Sequence[Row]:
        """The events with what the oracle said at their blocks (rows as of `liquidations`), and `of` which answer they are.

        Raises Skip when the answers do not fit the family's layout, or are not of the block that the events are in.
        """
        csu, document = self._registry.csus[raw.partition.key], orjson.loads(raw.payload)
        rows: list[Row] = []
        for number, said in document["blocks"].items():
            logs = parse_logs(orjson.dumps(said["logs"]))
            if any((str(log.block), log.block_hash) != (number, said["hash"]) for log in logs):
                raise Skip(f"{raw.partition}: block {number} is not that of its events", reason="layout")
            events = families()[csu.family].liquidations(csu, logs)
            settled = replay(families()[csu.family].settle(csu, events), transcript_from_json(said["rounds"]))
            rows += [
                {**liquidation_row(csu, raw, said["timestamp"], one, settled.facts), "of": document["of"]}
                for one in settled.events
            ]
        return rows
