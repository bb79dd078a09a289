"""What we collect equals what Venus' real contracts say on a real EVM node, to the last wei: core pool and isolated pool."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import orjson
import pytest
from tests.chain.venus_days import Days, day

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row
from cryptolake.net.abi import checksum
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.compound_v2 import NATIVE
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("venus")]


def source_on(days: Days, *, chain: str = "binance", multicall3: bool = True, **entry: str) -> OnchainSource:
    named = {"comptroller": checksum(days.market.comptroller), **entry}
    csu = Csu("local", "compound_v2", "venus", "2", chain, 31337, named, deployed_block=1)
    address = "0xcA11bde05977b3631167028862bE2a173976CA11" if multicall3 else None
    where = Chain(chain, 31337, multicall3_address=address, multicall3_block=0 if multicall3 else None)
    pool = Pool(chain, 31337, [Endpoint("anvil", SecretUrl(days.node.url), Limits(rate=10_000))], Http())
    return OnchainSource(registry=Registry({csu.name: csu}, {chain: where}), csus=[csu], pools=lambda _: pool)


def collected(source: OnchainSource, dataset: str, *when: date) -> Iterator[Raw]:
    partitions = [Partition(dataset, "local", Period.of_day(one)) for one in when]
    for trip in source.trips(partitions):
        for raw in source.fetch(trip):
            assert isinstance(raw, Raw), raw
            yield raw


def asset_of(days: Days, symbol: str) -> str:
    return checksum(days.market.tokens[symbol].asset or NATIVE)


def check_reserves(days: Days, raw: Raw, rows: dict[str, Row], symbols: list[str]) -> None:
    block = days.last_block_of(raw.partition.period.day)
    assert raw.block == block
    for symbol in symbols:
        row, truth = rows[asset_of(days, symbol)], days.truth(symbol, block)
        decimals = days.market.tokens[symbol].decimals
        assert (row["symbol"], row["decimals"]) == (symbol, decimals)
        assert row["total_supplied_raw"] == str(truth.supplied), (symbol, block)
        assert row["total_borrowed_raw"] == str(truth.borrowed), (symbol, block)
        assert row["cash_raw"] == str(truth.cash), (symbol, block)
        assert row["price_raw"] == (None if truth.price is None else str(truth.price))
        assert row["price_unit"] == str(10 ** (36 - decimals))


@pytest.mark.parametrize("multicall3", [True, False], ids=["multicall3", "json-rpc batch"])
def test_every_market_of_the_core_pool_on_every_day(venus_core: Days, multicall3: bool) -> None:
    source = source_on(venus_core, multicall3=multicall3)
    seen = 0
    for raw in collected(source, "tvl", *map(day, range(1, 6))):
        rows = {str(row["asset"]): row for row in source.parse(raw)}
        # USDT stands once, though two vTokens hold it; STK cannot accrue any more, and still is there.
        assert sorted(str(row["symbol"]) for row in rows.values()) == ["BNB", "BTCB", "MKR", "STK", "USDT", "VAI"]
        check_reserves(venus_core, raw, rows, ["BNB", "BTCB", "MKR", "STK", "USDT"])
        seen += 1
    assert seen == 5


def test_the_contract_that_cannot_accrue_gives_what_it_last_stored(venus_core: Days) -> None:
    source = source_on(venus_core)
    (raw,) = collected(source, "tvl", day(2))
    vtoken = venus_core.market.tokens["STK"].vtoken
    with pytest.raises(Exception, match="absurdly high"):
        venus_core.node.call(vtoken, "exchangeRateCurrent()", block=raw.block or 0)
    (row,) = [row for row in source.parse(raw) if row["symbol"] == "STK"]
    assert row["total_borrowed_raw"] == str(60 * 10**8)


def test_interest_is_there_without_anybody_touching_the_market(venus_core: Days) -> None:
    source = source_on(venus_core)
    borrowed = []
    for raw in collected(source, "tvl", day(3), day(4), day(5)):
        (row,) = [row for row in source.parse(raw) if row["symbol"] == "BNB"]
        borrowed.append(int(str(row["total_borrowed_raw"])))
    assert borrowed[0] < borrowed[1] < borrowed[2]
    token = venus_core.market.tokens["BNB"].vtoken
    last = venus_core.last_block_of(day(5))
    assert borrowed[2] > venus_core.market.ask(token, "totalBorrows()", block=last)


@pytest.mark.parametrize("with_psm", [True, False])
def test_vai_is_what_its_minters_owe(venus_core: Days, with_psm: bool) -> None:
    market = venus_core.market
    entry = {"psm": checksum(market.psm)} if with_psm else {}
    source = source_on(venus_core, **entry)
    cyd = venus_core.node.accounts[3]
    for raw in collected(source, "tvl", *map(day, range(1, 6))):
        (row,) = [row for row in source.parse(raw) if row["symbol"] == "VAI"]
        supply = market.ask(market.vai, "totalSupply()", block=raw.block or 0)
        pegged = market.ask(market.psm, "vaiMinted()", block=raw.block or 0)
        owed = market.ask(market.comptroller, "mintedVAIs(address)", cyd, block=raw.block or 0)
        assert (row["asset"], row["total_supplied_raw"], row["cash_raw"]) == (checksum(market.vai), "0", "0")
        assert row["total_borrowed_raw"] == str(supply - pegged * with_psm)
        if with_psm:
            assert row["total_borrowed_raw"] == str(owed)  # the only minter
        assert row["price_raw"] == (None if raw.partition.period.day == day(5) else str(10**18))


def test_the_native_market_answers_what_it_does_not_know_with_nothing(venus_core: Days) -> None:
    """Its payable fallback takes any call for a deposit: an empty answer of it is no missing contract."""
    assert venus_core.node.call(venus_core.market.tokens["BNB"].vtoken, "noSuchThing()") == "0x"


def test_an_oracle_that_reverts_costs_prices_only(venus_core: Days) -> None:
    source = source_on(venus_core)
    (raw,) = collected(source, "tvl", day(5))
    rows = source.parse(raw)
    assert len(rows) == 6
    assert {row["price_raw"] for row in rows} == {None}


def test_an_oracle_for_which_ether_costs_one_counts_in_ether(venus_core: Days) -> None:
    # The package's oracle prices the native coin at exactly 1: nothing on BNB Chain, the numeraire where the coin is ETH.
    for chain, quote, symbol in (("binance", "usd", "BNB"), ("ethereum", "eth", "ETH")):
        source = source_on(venus_core, chain=chain)
        (raw,) = collected(source, "tvl", day(1))
        rows = source.parse(raw)
        assert {row["price_quote"] for row in rows} == {quote}
        assert [row["symbol"] for row in rows if row["asset"] == NATIVE] == [symbol]


def check_liquidations(days: Days, source: OnchainSource, count: int) -> None:
    found = 0
    for raw in collected(source, "liquidations", *map(day, range(1, count))):
        rows = source.parse(raw)
        block = days.last_block_of(raw.partition.period.day)
        truths = [one for one in days.seizures if one.day == raw.partition.period.day]
        assert [(row["tx"], row["block"], row["log_index"]) for row in rows] == [
            (one.tx, one.block, one.log_index) for one in truths
        ]
        for row, truth in zip(rows, truths, strict=True):
            vtoken = days.market.tokens[truth.collateral].vtoken
            rate = days.market.ask(vtoken, "exchangeRateStored()", block=block)
            vai = checksum(days.market.vai) if truth.debt == "VAI" else None
            assert row["liquidator"] == checksum(truth.liquidator)
            assert row["borrower"] == checksum(truth.borrower)
            assert row["debt_asset"] == (vai or asset_of(days, truth.debt))
            assert row["debt_symbol"] == truth.debt
            assert row["debt_amount_raw"] == str(truth.repaid)
            assert row["collateral_asset"] == asset_of(days, truth.collateral)
            assert row["collateral_amount_raw"] == str(truth.shares * rate // 10**18)
            extra = orjson.loads(str(row["extra"]))
            assert extra.get("through") == (checksum(truth.through) if truth.through else None)
            assert extra["event"] == ("LiquidateVAI" if truth.debt == "VAI" else "LiquidateBorrow")
            assert (extra["seized_shares"], extra["exchange_rate"]) == (str(truth.shares), str(rate))
            assert extra["collateral_market"] == checksum(vtoken)
        found += len(rows)
    assert found == len(days.seizures) > 0


def test_every_liquidation_of_the_core_pool_names_who_liquidated(venus_core: Days) -> None:
    check_liquidations(venus_core, source_on(venus_core), 6)


def test_liquidations_are_worth_what_the_incentive_says(venus_core: Days) -> None:
    source = source_on(venus_core)
    for raw in collected(source, "liquidations", day(3), day(4)):
        for row in source.parse(raw):
            worth = {
                side: int(str(row[f"{side}_amount_raw"]))
                * int(str(row[f"{side}_price_raw"]))
                / int(str(row[f"{side}_price_unit"]))
                / 10 ** int(str(row[f"{side}_decimals"]))
                for side in ("collateral", "debt")
            }
            assert worth["collateral"] == pytest.approx(1.1 * worth["debt"], rel=1e-4)


def test_every_market_of_the_isolated_pool_on_every_day(venus_pool: Days) -> None:
    source = source_on(venus_pool)
    for raw in collected(source, "tvl", *map(day, range(1, 5))):
        rows = {str(row["asset"]): row for row in source.parse(raw)}
        assert len(rows) == 2
        check_reserves(venus_pool, raw, rows, ["USDC", "WETH"])


def test_bad_debt_stays_a_claim_of_lenders_and_is_no_debt_any_more(venus_pool: Days) -> None:
    source = source_on(venus_pool)
    (raw,) = collected(source, "tvl", day(4))
    (row,) = [row for row in source.parse(raw) if row["symbol"] == "USDC"]
    vtoken = venus_pool.market.tokens["USDC"].vtoken
    bad = venus_pool.market.ask(vtoken, "badDebt()", block=raw.block or 0)
    reserves = venus_pool.market.ask(vtoken, "totalReserves()", block=raw.block or 0)
    assert bad > 0
    assert row["total_borrowed_raw"] == "0"
    supplied, cash = int(str(row["total_supplied_raw"])), int(str(row["cash_raw"]))
    assert 0 <= cash + bad - reserves - supplied <= 1  # the exchange rate is rounded down


def test_liquidations_of_the_isolated_pool_have_three_indexed_arguments(venus_pool: Days) -> None:
    source = source_on(venus_pool)
    check_liquidations(venus_pool, source, 5)
    (raw,) = collected(source, "liquidations", day(3))
    assert [len(log["topics"]) for log in orjson.loads(raw.payload)["logs"]] == [4]


def test_healing_an_account_is_no_liquidation(venus_pool: Days) -> None:
    source = source_on(venus_pool)
    (raw,) = collected(source, "liquidations", day(4))
    assert source.parse(raw) == []


def test_what_healing_leaves_is_bad_debt_to_the_last_wei(venus_pool: Days) -> None:
    source = source_on(venus_pool)
    quiet, healed = collected(source, "liquidations", day(3), day(4))
    assert source.bad_debt(quiet) == []
    (row,) = source.bad_debt(healed)
    vtoken = venus_pool.market.tokens["USDC"].vtoken
    assert int(str(row["amount_raw"])) == venus_pool.market.ask(vtoken, "badDebt()", block=healed.block or 0) > 0
    assert (row["kind"], row["symbol"], row["asset"]) == ("created", "USDC", asset_of(venus_pool, "USDC"))


def test_a_comptroller_that_never_had_code_is_a_fault_of_the_row(venus_pool: Days) -> None:
    source = source_on(venus_pool, comptroller="0x000000000000000000000000000000000000dEaD")
    for dataset in ("tvl", "liquidations"):
        (trip,) = source.trips([Partition(dataset, "local", Period.of_day(day(2)))])
        (miss,) = source.fetch(trip)
        assert isinstance(miss, Miss)
        assert miss.state == "failed"
