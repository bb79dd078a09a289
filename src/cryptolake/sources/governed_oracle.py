"""Governed oracles as a source of prices: what the pools named by the registry say of their tokens at the snapshot block.

Asked in every snapshot of the chain in one conversation: the pool's list of tokens, its oracle, then every price. So who
prices a token does not depend on which markets are collected. What does not belong here: which pools count (registry), a
market's own oracle, and which price is taken (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import orjson

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.prices import ANY_CHAIN, PriceSource, Wanted
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Stands, Trip
from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, addresses_at, call_data, word
from cryptolake.net.access import Access
from cryptolake.net.at_snapshot import SnapshotReader, Snapshots
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.multicall import Call, CallResult, Program, replay, transcript_from_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chainlink import named_tokens
from cryptolake.registry.chains import Chain
from cryptolake.registry.price_oracles import PriceOracle, price_oracles

# It says no time: it counts at the block, where its own market would act on it.
PRICES = PriceSource("governed_oracle", rung=15, max_age_s=0, asked="snapshots", names_from="ethereum", rounds=3)
DATASET = Dataset(
    "governed_oracle_prices",
    feeds="quotes",
    doc="prices of every token that the named pools list, at the end of the period",
    reach="as_of",
)
_NOBODY = "0x" + "0" * 40


@dataclass(frozen=True, slots=True)
class OracleWord:
    """What one oracle says of one token: an unscaled price, the price of one quote unit, and the quote (usd or a token)."""

    oracle: str
    price_raw: int
    unit: int
    quote: str


def spoken(pools: Sequence[str]) -> Program[dict[str, dict[str, OracleWord]]]:
    """Per pool what its oracle says of each token it lists; a pool that is not there yet says nothing, and 0 is no price."""
    answers = yield [
        call
        for pool in pools
        for call in (Call(pool, call_data("getReservesList()")), Call(pool, call_data("ADDRESSES_PROVIDER()")))
    ]
    there = {
        pool: (addresses_at(listed.data, 0), address_at(provider.data, 0))
        for pool, listed, provider in zip(pools, answers[::2], answers[1::2], strict=True)
        if _has_words(listed, 2) and _has_words(provider, 1)
    }
    answers = yield [Call(provider, call_data("getPriceOracle()")) for _, provider in there.values()]
    oracles = {
        pool: address_at(answer.data, 0)
        for pool, answer in zip(there, answers, strict=True)
        if _has_words(answer, 1) and address_at(answer.data, 0) != _NOBODY
    }
    asked = [(pool, oracle, asset) for pool, oracle in oracles.items() for asset in there[pool][0]]
    answers = yield [
        *(
            Call(oracle, call_data(what))
            for oracle in oracles.values()
            for what in ("BASE_CURRENCY_UNIT()", "BASE_CURRENCY()")
        ),
        *(Call(oracle, call_data("getAssetPrice(address)", asset)) for _, oracle, asset in asked),
    ]
    scales = dict(zip(oracles, zip(answers[::2], answers[1::2], strict=False), strict=False))
    found: dict[str, dict[str, OracleWord]] = {pool: {} for pool in oracles}
    for (pool, oracle, asset), answer in zip(asked, answers[2 * len(oracles) :], strict=True):
        unit, base = scales[pool]
        if not _has_words(unit, 1) or not _has_words(base, 1):
            raise Skip(f"oracle {oracle}: its currency has an unknown layout", reason="layout")
        price = word(answer.data, 0) if _has_words(answer, 1) else 0
        if price and (scale := word(unit.data, 0)):
            currency = address_at(base.data, 0)
            found[pool][asset] = OracleWord(oracle, price, scale, "usd" if currency == _NOBODY else currency)
    return found


def _has_words(answer: CallResult, count: int) -> bool:
    return answer.success and len(answer.data) >= 32 * count


class GovernedOraclePrices:
    """The named oracles of `chains`; one partition per chain and period, keyed by the chain's name."""

    name = PRICES.name
    datasets: Sequence[Dataset] = (DATASET,)

    def __init__(
        self,
        *,
        chains: Mapping[str, Chain],
        pools: Callable[[Chain], Pool],
        read: SnapshotReader,
        block_cache: FileBlockCache | None = None,
        provenance: Mapping[str, str] | None = None,
        known: Iterable[PriceOracle] | None = None,
    ) -> None:
        self._chains, self._pools, self._snapshots = chains, pools, Snapshots(block_cache, read)
        self._read = read
        self._provenance = dict(provenance or {})
        self._oracles: dict[str, list[PriceOracle]] = {}
        for one in price_oracles() if known is None else known:
            self._oracles.setdefault(one.chain, []).append(one)

    def keys(self, dataset: str) -> Sequence[str]:
        """The chains that have a named oracle, sorted."""
        del dataset
        return sorted(set(self._oracles) & set(self._chains))

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One conversation per chain and period."""
        asked = sorted(partitions)
        self._snapshots.announce(one for one in asked if self._speaking(one.key, one.period.day))
        for partition in asked:
            yield Trip(self.name, str(partition), (partition,), partition.key)

    def silent(self, asked: str) -> bool:
        """Whether a chain has answered nothing for some seconds, though it is being asked."""
        return self._snapshots.silent(asked)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask the oracles that the registry names for the day; a day before the first of them is gone."""
        for partition in trip.partitions:
            chain = self._chains[partition.key]
            speaking = [one.pool for one in self._speaking(chain.name, partition.period.day)]
            if not speaking:
                why = f"{chain.name}: the registry names no governed oracle for {partition.period.day}"
                yield Miss(partition, "gone", "not_deployed", why)
                continue
            pool = self._pools(chain)
            found = self._snapshots.ask(
                partition, partial(spoken, speaking), pool=pool, clock=chain.clock, provable=chain.receipts is not None
            )
            if isinstance(found, Miss):
                yield found
                continue
            header = found.header
            payload = {
                "chain": chain.name,
                "block": header.number,
                "block_hash": header.hash,
                "timestamp": header.timestamp,
                "pools": speaking,
                "rounds": found.rounds,
                **found.proof,
            }
            yield Raw(
                partition=partition,
                source=self.name,
                fetched_at=datetime.now(UTC),
                observed_at=header.time,
                payload=orjson.dumps(payload),
                request={"chain": chain.name, "dataset": partition.dataset},
                provenance={**self._provenance, "endpoint": found.endpoint},
                block=header.number,
                block_hash=header.hash,
            )

    def grade(self, raw: Raw) -> Grade:
        """How far an answer is proven, by its certificate."""
        return self._read.grade(raw)

    def weigh(self, raw: Raw) -> str | None:
        """Why an answer is suspect: somebody contradicts it, or it is of another block than its day's last."""
        return self._read.weigh(raw)

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """Which of two answers of a chain's day stands."""
        return self._read.compare(new, kept)

    def decides(self, raw: Raw) -> bool:
        """Whether an answer settles what operators said differently before."""
        return self._read.decides(raw)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `quotes`, of the first of the day's oracles that has a price of the token; wrapped ether tells `eth` too."""
        document = orjson.loads(raw.payload)
        chain, day = str(document["chain"]), raw.partition.period.day
        said = replay(spoken(document["pools"]), transcript_from_json(document["rounds"]))
        ether = set(named_tokens().filter(chain=chain)["asset"])
        told: dict[str, OracleWord] = {}
        for one in self._speaking(chain, day):
            for asset, price in said.get(one.pool, {}).items():
                if asset not in one.left_out:
                    told.setdefault(asset, price)
        rows: list[Row] = []
        for asset, price in told.items():
            row = {
                "date": day,
                "chain": chain,
                "asset": asset,
                "source": PRICES.name,
                "quoted_by": price.oracle,
                "quote_price": price.price_raw / price.unit,
                "quote": price.quote,
                "observed_at": datetime.fromtimestamp(document["timestamp"], UTC),
                "age_s": 0.0,
                "weight": 1.0,
            }
            rows.append(row)
            if asset in ether and price.quote == "usd":
                named = {"asset": "eth", "quoted_by": f"{chain}:{price.oracle}"}
                rows.append({**row, **named})
                if chain == PRICES.names_from:
                    rows.append({**row, **named, "chain": ANY_CHAIN})
        return rows

    def _speaking(self, chain: str, day: date) -> list[PriceOracle]:
        return [one for one in self._oracles.get(chain, []) if one.speaks(day)]


def open_prices(access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> GovernedOraclePrices:
    """The source as the app opens it; every named oracle of a chain is asked, whatever is wanted."""
    del wanted
    return GovernedOraclePrices(
        chains=chains,
        pools=lambda chain: access.pool(chain.name),
        read=access.read,
        block_cache=access.block_cache,
        provenance=access.provenance,
    )
