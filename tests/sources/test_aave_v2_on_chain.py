"""What we collect from a real EVM node equals what the real Aave V2 contracts say there, to the last wei."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.chain.aave_v2 import ARTIFACTS, PRICELESS_DAY, AaveV2Market, AaveV2Week, play
from tests.chain.anvil import Anvil
from tests.chain.collecting import answers, collected, last_block_of, only, source_on, told
from tests.chain.fixtures import require_chain

from cryptolake.contracts.raw import Miss
from cryptolake.contracts.source import Row
from cryptolake.net.abi import checksum
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("aave_v2")]
DAYS = [date(2024, 12, 1) + timedelta(days=number) for number in range(7)]
AMOUNTS = ("total_supplied_raw", "total_borrowed_raw", "cash_raw")


@pytest.fixture(scope="module")
def week() -> Iterator[AaveV2Week]:
    require_chain()
    if not ARTIFACTS.is_dir():
        pytest.skip("the published Aave V2 contracts are not installed; run: npm ci --ignore-scripts")
    with Anvil() as node:
        yield play(node)


def source_of(market: AaveV2Market) -> OnchainSource:
    return source_on(market.node, "aave_v2", {"pool": checksum(market.pool)}, numeraire="ETH")


def by_registry(week: AaveV2Week) -> OnchainSource:
    entry = {
        "pool": "resolve_on_chain:LendingPoolAddressesProvider.getLendingPool()",
        "addresses_provider_registry": checksum(week.registry),
        "addresses_provider_registry_old": "0x000000000000000000000000000000000000dEaD",
    }
    return source_on(week.node, "aave_v2", entry)


def expected(market: AaveV2Market, symbol: str, block: int, unit: int, quote: str, *, priced: bool) -> Row:
    """A row as the protocol's data provider, tokens and oracle say it, each asked by itself."""
    token = market.tokens[symbol]
    cash, stable, variable = market.ask(market.data_provider, "getReserveData(address)", token.asset, block=block)[:3]
    (supplied,) = market.ask(token.a_token, "totalSupply()", block=block)
    price = market.ask(market.oracle, "getAssetPrice(address)", token.asset, block=block)[0] if priced else None
    return {
        "asset": checksum(token.asset),
        "symbol": symbol,
        "decimals": token.decimals,
        "total_supplied_raw": str(supplied),
        "total_borrowed_raw": str(stable + variable),
        "cash_raw": str(cash),
        "collateral_raw": "0",
        "price_raw": None if price is None else str(price),
        "price_unit": str(unit),
        "price_quote": quote,
    }


@pytest.mark.parametrize(("which", "unit", "quote"), [("ether", 10**18, "eth"), ("dollar", 10**8, "usd")])
def test_every_reserve_on_every_day(week: AaveV2Week, which: str, unit: int, quote: str) -> None:
    market: AaveV2Market = getattr(week, which)
    borrowed = []
    for day, rows in collected(source_of(market), "tvl", *DAYS).items():
        block = last_block_of(week.node, day)
        assert [str(row["asset"]).lower() for row in rows] == market.listed(block)
        truth = [
            expected(market, symbol, block, unit, quote, priced=(symbol, day) != ("MKR", PRICELESS_DAY))
            for symbol in market.tokens
        ]
        assert [only(row, like) for row, like in zip(rows, truth, strict=True)] == truth
        borrowed.append(int(str(rows[0]["total_borrowed_raw"])))
    # interest alone moves the debt while the pool is paused, the repayment after it lowers it
    assert borrowed[4] > borrowed[3] > borrowed[0] == 0
    assert which == "dollar" or borrowed[5] < borrowed[4]


def test_a_missing_price_is_null_and_the_others_stay(week: AaveV2Week) -> None:
    rows = collected(source_of(week.ether), "tvl", PRICELESS_DAY)[PRICELESS_DAY]
    prices = {str(row["symbol"]): row["price_raw"] for row in rows}
    assert prices.pop("MKR") is None
    assert prices == {"USDC": str(10**18 // 2900), "WETH": str(10**18)}


def test_every_liquidation_once_and_on_its_day(week: AaveV2Week) -> None:
    count = 0
    for day, rows in collected(source_of(week.ether), "liquidations", *DAYS).items():
        assert [told(row) for row in rows] == [
            truth for truth in week.liquidations if datetime.fromtimestamp(truth.timestamp, UTC).date() == day
        ]
        count += len(rows)
    assert count == len(week.liquidations) == 3


def test_liquidated_assets_are_valued_by_their_oracle(week: AaveV2Week) -> None:
    rows = collected(source_of(week.ether), "liquidations", DAYS[2], DAYS[3])
    assert {(row["collateral_price_raw"], row["debt_price_raw"]) for row in rows[DAYS[2]]} == {
        (str(10**18), str(10**18 // 2900))
    }
    # MKR had lost its source at the day's end
    assert [(row["collateral_symbol"], row["collateral_price_raw"]) for row in rows[DAYS[3]]] == [("MKR", None)]
    assert {row["debt_price_quote"] for row in rows[DAYS[3]]} == {"eth"}


def test_a_row_without_a_pool_is_all_pools_of_its_registries(week: AaveV2Week) -> None:
    day = DAYS[5]
    sums: dict[tuple[str, str], int] = {}
    for market in (week.ether, week.dollar):
        for row in collected(source_of(market), "tvl", day)[day]:
            for name in AMOUNTS:
                key = (str(row["symbol"]), name)
                sums[key] = sums.get(key, 0) + int(str(row[name]))
    rows = collected(by_registry(week), "tvl", day)[day]
    assert {(str(row["symbol"]), name): int(str(row[name])) for row in rows for name in AMOUNTS} == sums
    events = collected(by_registry(week), "liquidations", *DAYS)
    assert sum(len(found) for found in events.values()) == len(week.liquidations)


def test_a_layout_of_another_version_is_refused(week: AaveV2Week) -> None:
    # an oracle is a contract, but no pool: its answers are not taken for an empty market
    (miss,) = answers(source_on(week.node, "aave_v2", {"pool": checksum(week.ether.oracle)}), "tvl", DAYS[0])
    assert isinstance(miss, Miss)
    assert (miss.state, miss.reason) == ("failed", "revert")


def test_a_contract_that_never_had_code_is_a_fault_of_the_row_not_zero(week: AaveV2Week) -> None:
    nowhere = "0x000000000000000000000000000000000000dEaD"
    for entry in ({"pool": nowhere}, {"pool": "resolve_on_chain:x", "addresses_provider_registry": nowhere}):
        (miss,) = answers(source_on(week.node, "aave_v2", entry), "tvl", DAYS[0])
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("failed", "identity")
