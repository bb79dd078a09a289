"""Chainlink as a source of prices: every feed of a chain, asked at the day's snapshot block in one multicall.

`latestRoundData` with the feed's own `decimals()` (never assumed) and its `updatedAt`. What does not belong here: whether
a price is too old, and what a quote in ETH is worth (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import orjson

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.prices import ANY_CHAIN, PriceSource, Wanted
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Stands, Trip
from cryptolake.errors import Skip
from cryptolake.net.abi import call_data, signed, word
from cryptolake.net.access import Access
from cryptolake.net.at_snapshot import SnapshotReader, Snapshots
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.multicall import Call, Program, replay, transcript_from_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chainlink import Feed, feeds
from cryptolake.registry.chains import Chain

# The slowest heartbeat is 24 hours; an hour's grace.
PRICES = PriceSource("chainlink", rung=10, max_age_s=90_000, asked="snapshots", names_from="ethereum")
CHAINLINK_PRICES = Dataset(
    "chainlink_prices", feeds="quotes", doc="latestRoundData of every feed at the end of the period", reach="as_of"
)
_QUOTES = {"USD": "usd", "ETH": "eth", "BTC": "btc"}
_ROUND_WORDS = 5  # roundId, answer, startedAt, updatedAt, answeredInRound


@dataclass(frozen=True, slots=True)
class Round:
    """A feed's latest round at a block: the unscaled price, its scale and when it was written (seconds since 1970)."""

    price_raw: int
    decimals: int
    updated_at: int


def latest(addresses: Sequence[str]) -> Program[dict[str, Round]]:
    """The latest round of every feed that answers. A feed that is not there yet, or says 0 or less, gives no price."""
    answers = yield [
        call
        for address in addresses
        for call in (Call(address, call_data("decimals()")), Call(address, call_data("latestRoundData()")))
    ]
    found = {}
    for number, address in enumerate(addresses):
        decimals, latest_round = answers[2 * number : 2 * number + 2]
        if not (decimals.success and latest_round.success and decimals.data and latest_round.data):
            continue
        if len(latest_round.data) != _ROUND_WORDS * 32:
            raise Skip(f"feed {address}: latestRoundData has an unknown layout", reason="layout")
        answer, updated = signed(latest_round.data, 1), word(latest_round.data, 3)
        if answer > 0 and updated > 0:
            found[address] = Round(answer, word(decimals.data, 0), updated)
    return found


class ChainlinkPrices:
    """The feeds of `chains`; one partition per chain and period, keyed by the chain's name."""

    name = PRICES.name
    datasets: Sequence[Dataset] = (CHAINLINK_PRICES,)

    def __init__(
        self,
        *,
        chains: Mapping[str, Chain],
        pools: Callable[[Chain], Pool],
        read: SnapshotReader,
        block_cache: FileBlockCache | None = None,
        provenance: Mapping[str, str] | None = None,
        known: Iterable[Feed] | None = None,
    ) -> None:
        self._chains, self._pools, self._snapshots = chains, pools, Snapshots(block_cache, read)
        self._read = read
        self._provenance = dict(provenance or {})
        self._feeds: dict[str, list[Feed]] = {}
        for feed in feeds() if known is None else known:
            self._feeds.setdefault(feed.chain, []).append(feed)

    def keys(self, dataset: str) -> Sequence[str]:
        """The chains that have feeds, sorted."""
        del dataset
        return sorted(set(self._feeds) & set(self._chains))

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One conversation per chain and period."""
        asked = sorted(partitions)
        self._snapshots.announce(asked)
        for partition in asked:
            yield Trip(self.name, str(partition), (partition,), partition.key)

    def silent(self, asked: str) -> bool:
        """Whether a chain has answered nothing for some seconds, though it is being asked."""
        return self._snapshots.silent(asked)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask every feed of the chain at the snapshot block."""
        for partition in trip.partitions:
            chain = self._chains[partition.key]
            pool = self._pools(chain)
            addresses = sorted({feed.address for feed in self._feeds[chain.name]})
            found = self._snapshots.ask(
                partition, partial(latest, addresses), pool=pool, clock=chain.clock, provable=chain.receipts is not None
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
                "feeds": addresses,
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
        """Rows of `quotes`: each feed for its token, and ETH/USD and BTC/USD for the chain's plain names as well."""
        document = orjson.loads(raw.payload)
        chain = str(document["chain"])
        found = replay(latest(document["feeds"]), transcript_from_json(document["rounds"]))
        rows: list[Row] = []
        for feed in self._feeds.get(chain, []):
            answer, quote = found.get(feed.address), _QUOTES.get(feed.quote)
            if answer is None or quote is None:
                continue
            row = {
                "date": raw.partition.period.day,
                "chain": chain,
                "asset": feed.token,
                "source": PRICES.name,
                "quoted_by": feed.address,
                "quote_price": answer.price_raw / 10**answer.decimals,
                "quote": quote,
                "observed_at": datetime.fromtimestamp(answer.updated_at, UTC),
                "age_s": float(document["timestamp"] - answer.updated_at),
                "weight": _weight(feed),
            }
            rows.append(row)
            if feed.quote == "USD" and feed.base in ("ETH", "BTC"):
                # To every chain its own, so that its figures do not depend on which other chains are asked.
                named = {"asset": feed.base.lower(), "quoted_by": f"{chain}:{feed.address}"}
                rows.append({**row, **named})
                if chain == PRICES.names_from:
                    rows.append({**row, **named, "chain": ANY_CHAIN})
        return rows


def open_prices(access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> ChainlinkPrices:
    """The source as the app opens it; every feed of a chain is asked, whatever is wanted."""
    del wanted
    return ChainlinkPrices(
        chains=chains,
        pools=lambda chain: access.pool(chain.name),
        read=access.read,
        block_cache=access.block_cache,
        provenance=access.provenance,
    )


def _weight(feed: Feed) -> float:
    """The token's own feed before a stand-in's (BTC/USD for WBTC knows no lost peg), and dollars before a detour."""
    own = feed.symbol.casefold() in {feed.base.casefold(), f"w{feed.base.casefold()}"} and feed.base != "BTC"
    return 1.0 + 2.0 * own + 1.0 * (feed.quote == "USD")
