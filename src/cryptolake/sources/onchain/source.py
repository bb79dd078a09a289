"""The chain as a source: asks each chain once for all its markets, by the families' programs. Knows no protocol itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import orjson

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.blocks import BlockRange, Blocks, FileBlockCache, Header
from cryptolake.net.logs import Log, LogFilter, Window, log_to_json, parse_log, scan
from cryptolake.net.multicall import Failed, Finished, Program, replay, run, transcript_from_json, transcript_to_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.discovery import Discoveries
from cryptolake.sources.onchain.families import discovering, families
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

TVL = Dataset(
    "tvl",
    feeds="tvl",
    doc="supplied, borrowed, cash and prices of every reserve at the end of the period",
    reach="as_of",
)
LIQUIDATIONS = Dataset("liquidations", feeds="liquidations", doc="every liquidation inside the period", reach="window")

T = TypeVar("T")

_DAYS_PER_SCAN = 7  # consecutive days of a chain that share one log scan, so that a crash loses at most that much


class OnchainSource:
    """Markets on EVM chains, by archive JSON-RPC. `pools` opens a chain's endpoint pool when it is first needed."""

    name = "onchain"
    datasets: Sequence[Dataset] = (TVL, LIQUIDATIONS)

    def __init__(
        self,
        *,
        registry: Registry,
        csus: Sequence[Csu],
        pools: Callable[[Chain], Pool],
        block_cache: FileBlockCache | None = None,
        discoveries: Discoveries | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self._registry, self._pools, self._cache = registry, pools, block_cache
        self._csus = {csu.name: csu for csu in csus}
        self._discoveries = discoveries or Discoveries()
        self._provenance = dict(provenance or {})

    def keys(self, dataset: str) -> Sequence[str]:
        """The markets, sorted; both datasets have the same."""
        del dataset
        return sorted(self._csus)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Snapshots: one trip per chain and period. Liquidations: one per chain and run of up to a week of periods."""
        groups: dict[tuple[str, str, object], list[Partition]] = {}
        for partition in sorted(partitions, key=lambda p: (p.period, p.dataset, p.key)):
            chain = self._csus[partition.key].chain
            slot: object = partition.period
            if partition.dataset == LIQUIDATIONS.name:
                slot = partition.period.day.toordinal() // _DAYS_PER_SCAN
            groups.setdefault((chain, partition.dataset, slot), []).append(partition)
        for (chain, dataset, _), members in groups.items():
            yield Trip(self.name, f"{dataset} {chain} {members[0].period}", tuple(members))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """One multicall conversation, or one log scan. A market that fails, fails alone."""
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
        blocks = Blocks(pool, self._cache)
        if askable[0].dataset == TVL.name:
            yield from self._snapshots(pool, blocks, chain, askable)
        else:
            yield from self._events(pool, blocks, chain, askable)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Re-run the family's program over the stored answers. Raises Skip when they do not fit the family's layout."""
        csu = self._csus[raw.partition.key]
        document = orjson.loads(raw.payload)
        if raw.partition.dataset == TVL.name:
            csu = replace(csu, found=tuple(document.get("found", ())))
            reserves = replay(families()[csu.family].snapshot(csu), transcript_from_json(document["rounds"]))
            return [_tvl_row(csu, raw, document["timestamp"], reserve) for reserve in reserves]
        events = families()[csu.family].liquidations(csu, [parse_log(log) for log in document["logs"]])
        if not events:
            return []
        settled = replay(families()[csu.family].settle(csu, events), transcript_from_json(document["context"]))
        stamps = document["timestamps"]
        return [_liquidation_row(csu, raw, stamps[str(one.block)], one, settled.facts) for one in settled.events]

    def _snapshots(self, pool: Pool, blocks: Blocks, chain: Chain, asked: Sequence[Partition]) -> Iterator[Raw | Miss]:
        period = asked[0].period
        try:
            _, header = blocks.range_of(period)
        except Skip as error:
            yield from (_miss(partition, error) for partition in asked)
            return
        programs: dict[str, Program[list[Reserve]]] = {}
        found: dict[str, Sequence[str]] = {}
        by_name = {partition.key: partition for partition in asked}
        for name, partition in by_name.items():
            csu = self._csus[name]
            if csu.deployed_block is not None and csu.deployed_block > header.number:
                yield Miss(partition, "gone", "not_deployed", f"{name} was deployed at block {csu.deployed_block}")
                continue
            try:
                csu = self._discovered(pool, csu, header)
            except CryptolakeError as error:
                yield _miss(partition, error)
                continue
            found[name] = csu.found
            programs[name] = families()[csu.family].snapshot(csu)
        outcomes = _run(pool, programs, header.number, chain)
        self._confirm(blocks, header)
        for name, outcome in outcomes.items():
            if isinstance(outcome, Failed):
                yield _miss(by_name[name], outcome.error)
                continue
            payload = {
                "csu": name,
                "block": header.number,
                "block_hash": header.hash,
                "timestamp": header.timestamp,
                **({"found": found[name]} if found[name] else {}),
                "rounds": transcript_to_json(outcome.transcript),
            }
            yield self._raw(by_name[name], header, payload, pool)

    def _discovered(self, pool: Pool, csu: Csu, header: Header) -> Csu:
        """The market with what its family's discovery events say up to the block; unchanged where it needs none."""
        family = discovering(csu.family)
        if family is None:
            return csu
        history = BlockRange(csu.deployed_block or 0, header.number + 1)
        return family.discover(csu, self._discoveries.upto(pool, family.discovery(csu), history))

    def _events(self, pool: Pool, blocks: Blocks, chain: Chain, asked: Sequence[Partition]) -> Iterator[Raw | Miss]:
        ranges: dict[Period, tuple[BlockRange, Header]] = {}
        for period in sorted({partition.period for partition in asked}):
            try:
                ranges[period] = blocks.range_of(period)
            except Skip as error:
                yield from (_miss(partition, error) for partition in asked if partition.period == period)
        for run_of in _consecutive(sorted(ranges)):
            members = [partition for partition in asked if partition.period in run_of]
            yield from self._run_of_events(pool, blocks, chain, members, {period: ranges[period] for period in run_of})

    def _run_of_events(
        self,
        pool: Pool,
        blocks: Blocks,
        chain: Chain,
        asked: Sequence[Partition],
        ranges: Mapping[Period, tuple[BlockRange, Header]],
    ) -> Iterator[Raw | Miss]:
        """Periods that touch each other: emitters as of the last block, one scan over all of it, then period by period."""
        bounds = [ranges[period] for period in sorted(ranges)]
        csus = [self._csus[name] for name in sorted({partition.key for partition in asked})]
        programs = {csu.name: families()[csu.family].emitters(csu) for csu in csus}
        filters: dict[str, list[LogFilter]] = {}
        for name, outcome in _run(pool, programs, bounds[-1][1].number, chain).items():
            if isinstance(outcome, Failed):
                yield from (_miss(partition, outcome.error) for partition in asked if partition.key == name)
            else:
                filters[name] = outcome.value
        every = [one for found in filters.values() for one in found]
        logs, windows = scan(pool, every, BlockRange(bounds[0][0].start, bounds[-1][0].end))
        for period in sorted(ranges):
            members = [one for one in asked if one.period == period and one.key in filters]
            yield from self._days_events(pool, blocks, chain, members, ranges[period], logs, windows, filters)

    def _days_events(
        self,
        pool: Pool,
        blocks: Blocks,
        chain: Chain,
        asked: Sequence[Partition],
        bounds: tuple[BlockRange, Header],
        logs: Sequence[Log],
        windows: Sequence[Window],
        filters: Mapping[str, Sequence[LogFilter]],
    ) -> Iterator[Raw | Miss]:
        block_range, header = bounds
        inside = [log for log in logs if block_range.start <= log.block < block_range.end]
        by_csu: dict[str, list[Log]] = {}
        programs: dict[str, Program[Settled]] = {}
        for partition in asked:
            csu = self._csus[partition.key]
            emitters = {one.address: one.topics0 for one in filters[csu.name]}
            by_csu[csu.name] = [log for log in inside if log.topics[0] in emitters.get(log.address, frozenset())]
            if events := families()[csu.family].liquidations(csu, by_csu[csu.name]):
                programs[csu.name] = families()[csu.family].settle(csu, events)
        outcomes = _run(pool, programs, header.number, chain)
        for partition in asked:
            csu = self._csus[partition.key]
            outcome = outcomes.get(csu.name)
            if isinstance(outcome, Failed):
                yield _miss(partition, outcome.error)
                continue
            if not by_csu[csu.name] and csu.deployed_block is not None and csu.deployed_block >= block_range.end:
                yield Miss(partition, "gone", "not_deployed", f"{csu.name} was deployed at block {csu.deployed_block}")
                continue
            covered = [w for w in windows if w.start < block_range.end and w.end > block_range.start]
            payload = {
                "csu": csu.name,
                "from_block": block_range.start,
                "to_block": block_range.end - 1,
                "block": header.number,
                "filters": {one.address: sorted(one.topics0) for one in filters[csu.name]},
                "coverage": [[w.start, w.end - 1, w.endpoint] for w in covered],
                "logs": [log_to_json(log) for log in by_csu[csu.name]],
                "timestamps": {str(log.block): blocks.header(log.block).timestamp for log in by_csu[csu.name]},
                "context": transcript_to_json(outcome.transcript) if outcome is not None else [],
            }
            yield self._raw(partition, header, payload, pool)

    @staticmethod
    def _confirm(blocks: Blocks, header: Header) -> None:
        """The snapshot block must still be the block we asked at, or a reorganisation went under us."""
        if blocks.fresh_header(header.number).hash != header.hash:
            raise Skip(f"block {header.number} changed while it was read; run again", reason="reorganised")

    def _raw(self, partition: Partition, header: Header, payload: object, pool: Pool) -> Raw:
        return Raw(
            partition=partition,
            source=self.name,
            fetched_at=datetime.now(UTC),
            observed_at=header.time
            if partition.dataset == TVL.name
            else partition.period.end - timedelta(microseconds=1),
            payload=orjson.dumps(payload),
            request={"chain": pool.chain, "dataset": partition.dataset},
            provenance={**self._provenance, "endpoint": pool.last_endpoint},
            block=header.number,
            block_hash=header.hash,
        )


def _run(pool: Pool, programs: Mapping[str, Program[T]], block: int, chain: Chain) -> dict[str, Finished[T] | Failed]:
    since = chain.multicall3_block or 0
    return run(pool, programs, block, multicall3=chain.multicall3_address, multicall3_since=since)


def _miss(partition: Partition, error: CryptolakeError) -> Miss:
    """`not_deployed` is for ever; any other reason may be retried."""
    reason = error.reason if isinstance(error, Skip) else "rpc"
    return Miss(partition, "gone" if reason == "not_deployed" else "failed", reason, str(error))


def _consecutive(periods: Sequence[Period]) -> Iterator[list[Period]]:
    """Runs of periods that touch each other, so that one scan covers each run without asking for gaps."""
    run_of: list[Period] = []
    for period in periods:
        if run_of and run_of[-1].end != period.start:
            yield run_of
            run_of = []
        run_of.append(period)
    if run_of:
        yield run_of


def _number(value: int | None) -> str | None:
    """An integer of any size as decimal text: JSON and Parquet have no uint256."""
    return None if value is None else str(value)


def _tvl_row(csu: Csu, raw: Raw, timestamp: int, reserve: Reserve) -> Row:
    return {
        "csu": csu.name,
        "date": raw.partition.period.day,
        "chain": csu.chain,
        "block": raw.block,
        "block_hash": raw.block_hash,
        "timestamp": timestamp,
        "asset": reserve.asset,
        "symbol": reserve.symbol,
        "decimals": reserve.decimals,
        "total_supplied_raw": _number(reserve.supplied_raw),
        "total_borrowed_raw": _number(reserve.borrowed_raw),
        "cash_raw": _number(reserve.cash_raw),
        "collateral_raw": _number(reserve.collateral_raw),
        "price_raw": _number(reserve.price_raw),
        "price_unit": _number(reserve.price_unit),
        "price_quote": reserve.price_quote,
        "price_source": None if reserve.price_raw is None else "protocol_oracle",
    }


def _liquidation_row(csu: Csu, raw: Raw, timestamp: int, event: Liquidation, facts: Mapping[str, AssetFacts]) -> Row:
    row: dict[str, object] = {
        "csu": csu.name,
        "date": raw.partition.period.day,
        "chain": csu.chain,
        "block": event.block,
        "block_hash": event.block_hash,
        "timestamp": timestamp,
        "tx": event.tx,
        "log_index": event.log_index,
        "liquidator": event.liquidator,
        "borrower": event.borrower,
        "extra": orjson.dumps(dict(event.extra), option=orjson.OPT_SORT_KEYS).decode(),
    }
    for side, asset, amount in (
        ("collateral", event.collateral_asset, event.collateral_amount_raw),
        ("debt", event.debt_asset, event.debt_amount_raw),
    ):
        found = facts[asset]
        row |= {
            f"{side}_asset": asset,
            f"{side}_symbol": found.symbol,
            f"{side}_decimals": found.decimals,
            f"{side}_amount_raw": _number(amount),
            f"{side}_price_raw": _number(found.price_raw),
            f"{side}_price_unit": _number(found.price_unit),
            f"{side}_price_quote": found.price_quote,
        }
    return row
