"""What we collect from a real EVM node equals what the real Aave V3 contracts say there, to the last wei."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

import orjson
import pytest
from tests.chain.collecting import told
from tests.chain.scenario import PRICELESS, Fortnight

from cryptolake.contracts.partition import Partition, Period, days, hours
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.net.abi import checksum
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
DAYS = [date(2024, 12, 1) + timedelta(days=number) for number in range(14)]


def csu_on(fortnight: Fortnight, **more: object) -> Csu:
    entry = {"pool": checksum(fortnight.market.pool)}
    values: dict[str, object] = {"deployed_block": 1, **more}
    return Csu("local", "aave_v3", "aave", "3", "local", 31337, entry, **values)  # type: ignore[arg-type]


def source_on(fortnight: Fortnight, csu: Csu, *, multicall3_block: int | None = 0) -> OnchainSource:
    multicall3 = "0xcA11bde05977b3631167028862bE2a173976CA11" if multicall3_block is not None else None
    chain = Chain("local", 31337, multicall3_address=multicall3, multicall3_block=multicall3_block)
    pool = Pool("local", 31337, [Endpoint("anvil", SecretUrl(fortnight.node.url), Limits(rate=10_000))], Http())
    return OnchainSource(registry=Registry({csu.name: csu}, {"local": chain}), csus=[csu], pools=lambda _: pool)


def collected(source: OnchainSource, dataset: str, *when: date) -> Iterator[Raw | Miss]:
    partitions = [Partition(dataset, "local", Period.of_day(day)) for day in when]
    for trip in source.trips(partitions):
        yield from source.fetch(trip)


@pytest.mark.parametrize("multicall3_block", [0, None], ids=["multicall3", "json-rpc batch"])
def test_every_reserve_on_every_day(aave_fortnight: Fortnight, multicall3_block: int | None) -> None:
    source = source_on(aave_fortnight, csu_on(aave_fortnight), multicall3_block=multicall3_block)
    symbols = {checksum(token.asset): symbol for symbol, token in aave_fortnight.tokens.items()}
    seen = 0
    for raw in collected(source, "tvl", *DAYS):
        assert isinstance(raw, Raw)
        block = aave_fortnight.last_block_of(raw.partition.period.day)
        assert raw.block == block
        rows = source.parse(raw)
        assert [row["asset"] for row in rows] == [checksum(one) for one in aave_fortnight.market.listed(block)]
        for row in rows:
            truth = aave_fortnight.market.truth(symbols[str(row["asset"])], block)
            assert row["symbol"] == truth.symbol
            assert row["decimals"] == truth.decimals
            assert row["total_supplied_raw"] == str(truth.supplied)
            assert row["total_borrowed_raw"] == str(truth.stable_debt + truth.variable_debt)
            assert row["cash_raw"] == str(truth.cash)
            assert row["price_raw"] == (None if not truth.price else str(truth.price))
            seen += 1
    assert seen > 14 * 3


def test_a_missing_price_is_null_and_the_others_stay(aave_fortnight: Fortnight) -> None:
    symbol, day = PRICELESS
    source = source_on(aave_fortnight, csu_on(aave_fortnight))
    (raw,) = collected(source, "tvl", day)
    assert isinstance(raw, Raw)
    prices = {row["symbol"]: row["price_raw"] for row in source.parse(raw)}
    assert prices.pop(symbol) is None
    assert all(price is not None for price in prices.values())


def test_every_liquidation_once_and_on_its_day(aave_fortnight: Fortnight) -> None:
    source = source_on(aave_fortnight, csu_on(aave_fortnight))
    found = 0
    for raw in collected(source, "liquidations", *DAYS):
        assert isinstance(raw, Raw)
        rows = source.parse(raw)
        assert [told(row) for row in rows] == aave_fortnight.liquidations_on(raw.partition.period.day)
        found += len(rows)
    assert found == len([one for day in DAYS for one in aave_fortnight.liquidations_on(day)]) > 0


def test_consecutive_days_cover_every_block_once(aave_fortnight: Fortnight) -> None:
    source = source_on(aave_fortnight, csu_on(aave_fortnight))
    bounds = []
    for raw in collected(source, "liquidations", *DAYS):
        assert isinstance(raw, Raw)
        document = orjson.loads(raw.payload)
        bounds.append((document["from_block"], document["to_block"]))
    bounds.sort()
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(bounds))


@pytest.mark.parametrize("block", [50, 10**6], ids=["later than it was", "not there yet"])
def test_a_row_that_names_a_later_block_hides_no_market(aave_fortnight: Fortnight, block: int) -> None:
    (raw,) = collected(source_on(aave_fortnight, csu_on(aave_fortnight, deployed_block=block)), "tvl", DAYS[0])
    assert isinstance(raw, Raw)


def test_a_pool_that_never_had_code_is_a_fault_of_the_row_not_a_market_to_come(aave_fortnight: Fortnight) -> None:
    nowhere = Csu(
        "local", "aave_v3", "aave", "3", "local", 31337, {"pool": "0x000000000000000000000000000000000000dEaD"}
    )
    for dataset in ("tvl", "liquidations"):
        (miss,) = collected(source_on(aave_fortnight, nowhere), dataset, DAYS[0])
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("failed", "identity")


def test_a_day_that_is_not_over_is_not_yet(aave_fortnight: Fortnight) -> None:
    (miss,) = collected(source_on(aave_fortnight, csu_on(aave_fortnight)), "tvl", date(2031, 1, 1))
    assert isinstance(miss, Miss)
    assert (miss.state, miss.reason) == ("failed", "not_yet")


def test_days_of_new_york_end_at_its_midnight(aave_fortnight: Fortnight) -> None:
    source = source_on(aave_fortnight, csu_on(aave_fortnight))
    (period,) = days(date(2024, 12, 4), date(2024, 12, 4), "ny")
    (trip,) = source.trips([Partition("tvl", "local", period)])
    (raw,) = source.fetch(trip)
    assert isinstance(raw, Raw)
    assert raw.block is not None
    assert (
        aave_fortnight.node.timestamp(raw.block)
        < period.end.timestamp()
        <= aave_fortnight.node.timestamp(raw.block + 1)
    )


def test_the_hours_of_a_day_add_up_to_the_day(aave_fortnight: Fortnight) -> None:
    """The same code path by the hour: each event in exactly one hour, and the last hour's state is the day's."""
    source = source_on(aave_fortnight, csu_on(aave_fortnight))
    day = DAYS[4]
    by_hour: dict[str, list[Raw | Miss]] = {"tvl": [], "liquidations": []}
    wanted = [Partition(dataset, "local", hour) for dataset in by_hour for hour in hours(day, day)]
    for trip in source.trips(wanted):
        for answer in source.fetch(trip):
            by_hour[answer.partition.dataset].append(answer)
    assert [len(found) for found in by_hour.values()] == [24, 24]
    (whole,) = collected(source, "liquidations", day)
    assert isinstance(whole, Raw)
    apart = [row for one in by_hour["liquidations"] if isinstance(one, Raw) for row in source.parse(one)]
    keys = sorted((str(row["tx"]), int(str(row["log_index"]))) for row in apart)
    assert keys == sorted((str(row["tx"]), int(str(row["log_index"]))) for row in source.parse(whole))
    assert len(keys) == 3
    (state,) = collected(source, "tvl", day)
    last = max(by_hour["tvl"], key=lambda one: one.partition.period)
    assert isinstance(state, Raw)
    assert isinstance(last, Raw)
    assert source.parse(last) == source.parse(state)
