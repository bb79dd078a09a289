"""What we collect from a cap token market on a real EVM node equals what its contracts say, to the last wei.

The contracts are `SyntheticCap.sol`, this suite's own code; `test_cap.py` holds answers of the protocol's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from tests.chain.anvil import Anvil
from tests.chain.cap import DROPPED_DAY, PRICELESS_DAY, CapFortnight, CapMarket, play
from tests.chain.collecting import answers, collected, last_block_of, only, source_on, told
from tests.chain.compiled import compiler_missing
from tests.chain.fixtures import require_chain

from cryptolake.contracts.raw import Miss
from cryptolake.contracts.source import Row
from cryptolake.net.abi import checksum
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("cap")]
DAYS = [date(2024, 12, 1) + timedelta(days=number) for number in range(9)]


@pytest.fixture(scope="module")
def fortnight() -> Iterator[CapFortnight]:
    require_chain()
    if (reason := compiler_missing()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield play(node)


def source_of(market: CapMarket) -> OnchainSource:
    entry = {
        "cap_token_vault": market.vault,
        "lender": market.lender,
        "oracle": market.oracle,
        "delegation": market.delegation,
    }
    return source_on(market.node, "cap", {role: checksum(address) for role, address in entry.items()})


def expected(market: CapMarket, symbol: str, block: int, *, priced: bool) -> Row:
    """A row as the vault, the Lender, the token and the oracle say it, each asked by itself."""
    token = market.tokens[symbol]
    lent = symbol != "USDX"
    return {
        "asset": checksum(token.asset),
        "symbol": symbol,
        "decimals": token.decimals,
        "total_supplied_raw": str(market.ask(market.vault, "totalSupplies(address)", token.asset, block=block)),
        "total_borrowed_raw": str(market.debt(token, block) if lent else 0),
        "cash_raw": str(market.ask(market.vault, "availableBalance(address)", token.asset, block=block)),
        "collateral_raw": "0",
        "price_raw": str(market.ask(market.oracle, "getPrice(address)", token.asset, block=block)) if priced else None,
        "price_unit": "100000000",
        "price_quote": "usd",
    }


def test_every_asset_on_every_day(fortnight: CapFortnight) -> None:
    market = fortnight.market
    for day, rows in collected(source_of(market), "tvl", *DAYS).items():
        block = last_block_of(fortnight.node, day)
        listed = ["USDC", "USDT"] if day >= DROPPED_DAY else ["USDC", "USDT", "USDX"]
        truth = [
            expected(market, symbol, block, priced=not (symbol == "USDX" or (symbol, day) == ("USDT", PRICELESS_DAY)))
            for symbol in listed
        ]
        assert [only(row, like) for row, like in zip(rows, truth, strict=True)] == truth


def test_debt_has_interest_and_money_invested_outside_is_cash(fortnight: CapFortnight) -> None:
    market, day = fortnight.market, DAYS[2]
    usdc = collected(source_of(market), "tvl", day)[day][0]
    supplied, borrowed, cash = (
        int(str(usdc[name])) for name in ("total_supplied_raw", "total_borrowed_raw", "cash_raw")
    )
    block = last_block_of(fortnight.node, day)
    principal = market.ask(market.vault, "totalBorrows(address)", market.tokens["USDC"].asset, block=block)
    assert borrowed > principal == 320_000 * 10**6
    assert cash == supplied - principal
    held = market.ask(market.tokens["USDC"].asset, "balanceOf(address)", market.vault, block=block)
    assert cash - held == 10**11


def test_every_liquidation_once_and_on_its_day(fortnight: CapFortnight) -> None:
    count = 0
    for day, rows in collected(source_of(fortnight.market), "liquidations", *DAYS).items():
        assert [told(row) for row in rows] == fortnight.liquidations_on(day)
        count += len(rows)
    assert count == len(fortnight.liquidations) == 4


def test_seized_collateral_has_the_facts_of_its_token(fortnight: CapFortnight) -> None:
    rows = collected(source_of(fortnight.market), "liquidations", DAYS[4], DAYS[5])
    assert {
        (row["collateral_symbol"], row["collateral_decimals"], row["collateral_price_raw"]) for row in rows[DAYS[4]]
    } == {("WETH", 18, str(2700 * 10**8))}
    assert {
        (row["collateral_symbol"], row["collateral_decimals"], row["collateral_price_raw"]) for row in rows[DAYS[5]]
    } == {("WBTC", 8, str(61_000 * 10**8))}


def test_contracts_that_never_had_code_are_a_fault_of_the_row_not_zero(fortnight: CapFortnight) -> None:
    nowhere = dict.fromkeys(
        ("cap_token_vault", "lender", "oracle", "delegation"), "0x000000000000000000000000000000000000dEaD"
    )
    for dataset in ("tvl", "liquidations"):
        (miss,) = answers(source_on(fortnight.node, "cap", nowhere), dataset, DAYS[0])
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("failed", "identity")
