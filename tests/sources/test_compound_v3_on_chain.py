"""What we collect from Comets on a real EVM node equals what they say themselves, to the last wei.

The Comets are `SyntheticComet`, this suite's own code; `test_compound_v3.py` holds answers of the protocol's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from tests.chain.anvil import Anvil
from tests.chain.collecting import answers, collected, last_block_of, only, source_on
from tests.chain.compiled import compiler_missing
from tests.chain.compound_v3 import DESTROYED_DAY, PRICELESS_DAY, CometFortnight, CometMarket, play, synthetic
from tests.chain.fixtures import require_chain

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.raw import Miss
from cryptolake.contracts.source import Row
from cryptolake.net.abi import checksum
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("comets")]
DAYS = [date(2024, 12, 1) + timedelta(days=number) for number in range(12)]


@pytest.fixture(scope="module")
def fortnight() -> Iterator[CometFortnight]:
    require_chain()
    if (reason := compiler_missing()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield play(node, synthetic())


def source_of(*markets: CometMarket) -> OnchainSource:
    entry = {"comet": ",".join(checksum(one.comet) for one in markets)}
    return source_on(markets[0].node, "compound_v3", entry)


def expected(market: CometMarket, block: int, quote: str, *, destroyed: str = "") -> list[Row]:
    """The rows as the contracts' own getters and tokens say them, each asked by itself."""

    def price(symbol: str) -> str | None:
        found = market.price(market.token(symbol), block)
        return None if found is None else str(found)

    base = market.base
    rows: list[Row] = [
        {
            "asset": checksum(base.asset),
            "symbol": base.symbol,
            "decimals": base.decimals,
            "total_supplied_raw": str(market.ask("totalSupply()", block=block)),
            "total_borrowed_raw": str(market.ask("totalBorrow()", block=block)),
            "cash_raw": str(market.held(base, block)),
            "collateral_raw": "0",
            "price_raw": price(base.symbol),
            "price_unit": "100000000",
            "price_quote": quote,
        }
    ]
    for symbol, token in market.collaterals.items():
        gone = symbol == destroyed
        pledged = market.ask("totalsCollateral(address)", token.asset, block=block)
        for_sale = 0 if gone else market.ask("getCollateralReserves(address)", token.asset, block=block)
        address = checksum(token.asset)
        rows.append(
            {
                "asset": address,
                "symbol": f"{address[:6]}..{address[-4:]}" if gone else symbol,
                "decimals": token.decimals,
                "total_supplied_raw": "0",
                "total_borrowed_raw": "0",
                "cash_raw": str(for_sale),
                "collateral_raw": str(pledged),
                "price_raw": None if gone else price(symbol),
                "price_unit": None if gone else "100000000",
                "price_quote": DEAD if gone else quote,
            }
        )
    return rows


@pytest.mark.parametrize("which", ["usdc", "weth"])
def test_every_asset_on_every_day(fortnight: CometFortnight, which: str) -> None:
    market: CometMarket = getattr(fortnight, which)
    quote = {"usdc": "usd", "weth": checksum(market.base.asset)}[which]
    seen = []
    for day, rows in collected(source_of(market), "tvl", *DAYS).items():
        block = last_block_of(fortnight.node, day)
        truth = expected(market, block, quote, destroyed="MKR" if day >= DESTROYED_DAY else "")
        assert [only(row, like) for row, like in zip(rows, truth, strict=True)] == truth
        supplied, borrowed, cash = (
            int(str(rows[0][name])) for name in ("total_supplied_raw", "total_borrowed_raw", "cash_raw")
        )
        assert (cash - supplied + borrowed) % 2**256 == market.ask("getReserves()", block=block)
        seen.append((day, borrowed, supplied))
    assert [day for day, _, _ in seen] == DAYS
    # the scenario is not trivial: interest alone moves both totals over a quiet day
    assert seen[6][1] > seen[5][1] > 0
    assert seen[6][2] > seen[5][2] > 0


def test_a_missing_price_is_null_and_the_others_stay(fortnight: CometFortnight) -> None:
    rows = collected(source_of(fortnight.usdc), "tvl", PRICELESS_DAY)[PRICELESS_DAY]
    prices = {str(row["symbol"]): row["price_raw"] for row in rows}
    assert prices.pop("WBTC") is None
    assert prices.pop("BRK") is None
    assert set(prices) == {"USDC", "WETH", "MKR"}
    assert None not in prices.values()


def test_absorbed_collateral_is_cash_until_it_is_sold(fortnight: CometFortnight) -> None:
    source = source_of(fortnight.usdc)
    weth = {
        day: next(row for row in rows if row["symbol"] == "WETH")
        for day, rows in collected(source, "tvl", DAYS[3], DAYS[4], DAYS[5]).items()
    }
    assert (weth[DAYS[3]]["cash_raw"], weth[DAYS[3]]["collateral_raw"]) == ("0", str(60 * 10**18))
    assert (weth[DAYS[4]]["cash_raw"], weth[DAYS[4]]["collateral_raw"]) == (str(60 * 10**18), "0")
    assert 0 < int(str(weth[DAYS[5]]["cash_raw"])) < 60 * 10**18


@pytest.mark.parametrize("which", ["usdc", "weth"])
def test_every_absorption_once_and_on_its_day(fortnight: CometFortnight, which: str) -> None:
    market: CometMarket = getattr(fortnight, which)
    count = 0
    for day, rows in collected(source_of(market), "liquidations", *DAYS).items():
        truths = fortnight.absorptions_on(day, market)
        seized = [
            (str(row["tx"]), str(row["borrower"]).lower(), str(row["collateral_asset"]).lower(),
             int(str(row["collateral_amount_raw"])))
            for row in rows
        ]  # fmt: skip
        assert seized == [
            (truth.tx, truth.borrower, asset, amount) for truth in truths for asset, amount in truth.seized.items()
        ]
        for truth in truths:
            of_account = [row for row in rows if str(row["borrower"]).lower() == truth.borrower]
            assert {row["timestamp"] for row in of_account} == {truth.timestamp}
            assert {str(row["liquidator"]).lower() for row in of_account} == {truth.liquidator}
            assert {str(row["debt_asset"]).lower() for row in of_account} == {market.base.asset}
            assert {row["debt_symbol"] for row in of_account} == {market.base.symbol}
            paid_out = sum(int(str(row["debt_amount_raw"])) for row in of_account)
            if truth.surplus:  # the account's balance is rounded down from what it was credited
                assert 0 <= paid_out - truth.debt - truth.surplus <= 2
            else:
                assert paid_out == truth.debt
        count += len(rows)
    assert count == sum(len(one.seized) for day in DAYS for one in fortnight.absorptions_on(day, market)) > 0


def test_absorptions_are_valued_by_the_feeds_at_the_days_end(fortnight: CometFortnight) -> None:
    rows = collected(source_of(fortnight.usdc), "liquidations", DAYS[4])[DAYS[4]]
    assert [(row["collateral_symbol"], row["collateral_price_raw"], row["debt_price_raw"]) for row in rows] == [
        ("WETH", str(2900 * 10**8), str(10**8)),
        ("WBTC", str(96_000 * 10**8), str(10**8)),
        ("WETH", str(2900 * 10**8), str(10**8)),
    ]
    assert {row["collateral_price_quote"] for row in rows} == {"usd"}


def test_two_comets_of_one_row_are_summed_per_asset(fortnight: CometFortnight) -> None:
    both = source_of(fortnight.usdc, fortnight.weth)
    ones = [source_of(market) for market in (fortnight.usdc, fortnight.weth)]
    day = DAYS[6]
    sums: dict[tuple[str, str], int] = {}
    amounts = ("total_supplied_raw", "total_borrowed_raw", "cash_raw", "collateral_raw")
    for source in ones:
        for row in collected(source, "tvl", day)[day]:
            for name in amounts:
                key = (str(row["asset"]), name)
                sums[key] = sums.get(key, 0) + int(str(row[name]))
    rows = collected(both, "tvl", day)[day]
    assert {(str(row["asset"]), name): int(str(row[name])) for row in rows for name in amounts} == sums
    weth = next(row for row in rows if row["symbol"] == "WETH")
    assert weth["price_quote"] == "usd"
    assert int(str(weth["collateral_raw"])) == 0 < int(str(weth["total_borrowed_raw"]))
    events = collected(both, "liquidations", DAYS[7])[DAYS[7]]
    assert len({row["tx"] for row in events}) == 1
    assert [row["debt_symbol"] for row in events] == ["USDC", "WETH"]


def test_a_comet_that_never_had_code_is_a_fault_of_the_row_not_zero(fortnight: CometFortnight) -> None:
    nowhere = source_on(fortnight.node, "compound_v3", {"comet": "0x000000000000000000000000000000000000dEaD"})
    (miss,) = answers(nowhere, "tvl", DAYS[0])
    assert isinstance(miss, Miss)
    assert (miss.state, miss.reason) == ("failed", "identity")
