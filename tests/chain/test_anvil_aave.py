"""The local chain itself: the contracts are the real ones and the fortnight contains what it promises."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from .anvil import CHAIN_ID, MULTICALL3, Anvil
from .fixtures import require_chain
from .scenario import PRICELESS, Fortnight, at, play
from .solidity import call_data, encode, keccak, words

pytestmark = pytest.mark.chain

LIQUIDATION_CALL = "0x" + keccak(b"LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()


def test_multicall3_is_the_code_that_stands_on_public_chains() -> None:
    code = bytes.fromhex((Path(__file__).parent / "multicall3.hex").read_text().strip()[2:])
    assert keccak(code).hex() == "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891"


def test_encoder_matches_an_example_of_the_abi_specification() -> None:
    # "f(uint256,uint32[],bytes10,bytes)" with (0x123, [0x456, 0x789], "1234567890", "Hello, world!")
    data = call_data("f(uint256,uint32[],bytes10,bytes)", 0x123, [0x456, 0x789], b"1234567890", b"Hello, world!")
    expected = (
        "8be65246"
        f"{0x123:064x}{0x80:064x}" + "31323334353637383930".ljust(64, "0") + f"{0xE0:064x}"
        f"{2:064x}{0x456:064x}{0x789:064x}"
        f"{0xD:064x}" + "48656c6c6f2c20776f726c6421".ljust(64, "0")
    )
    assert data == "0x" + expected


def test_time_and_blocks_are_as_told(anvil: Anvil) -> None:
    midnight = at(1, "00:00:00")
    for when in (midnight - timedelta(seconds=1), midnight, midnight + timedelta(seconds=1)):
        anvil.block(when)
        assert anvil.timestamp() == int(when.timestamp())
    assert anvil.number() == 3
    assert int(anvil.rpc("eth_chainId"), 16) == CHAIN_ID


def test_multicall3_answers(anvil: Anvil) -> None:
    anvil.block(at(1, "00:00:00"))
    inner = bytes.fromhex(call_data("getCurrentBlockTimestamp()")[2:])
    answer = anvil.call(MULTICALL3, "aggregate3((address,bool,bytes)[])", [(MULTICALL3, True, inner)])
    assert answer == "0x" + encode("((bool,bytes)[])", [(True, anvil.timestamp().to_bytes(32, "big"))]).hex()


def test_two_chains_at_once_are_the_same_chain_twice() -> None:
    require_chain()
    with Anvil() as one, Anvil() as two:
        assert one.port != two.port
        play(one)
        play(two)
        head = one.rpc("eth_getBlockByNumber", "latest", False)["hash"]
        assert head == two.rpc("eth_getBlockByNumber", "latest", False)["hash"]
    one.stop()  # a second stop is harmless


def test_boundaries_contain_the_hard_cases(aave_fortnight: Fortnight) -> None:
    stamps = [aave_fortnight.node.timestamp(n) for n in range(aave_fortnight.node.number() + 1)]
    assert stamps == sorted(set(stamps))
    offsets = {(stamp + 43_200) % 86_400 - 43_200 for stamp in stamps}  # seconds from the nearest midnight
    assert {-1, 0, 1} <= offsets
    assert len(stamps) < 300
    last = aave_fortnight.last_block_of(date(2024, 12, 4))
    assert datetime.fromtimestamp(aave_fortnight.node.timestamp(last), UTC).hour == 20


def test_interest_accrues_between_blocks_without_transactions(aave_fortnight: Fortnight) -> None:
    start, end = (aave_fortnight.last_block_of(date(2024, 12, day)) for day in (6, 7))
    before, after = (aave_fortnight.market.truth("USDC", block) for block in (start, end))
    assert after.supplied > before.supplied
    assert after.variable_debt > before.variable_debt
    assert after.cash == before.cash


def test_liquidations_are_real_events_and_some_days_have_none(aave_fortnight: Fortnight) -> None:
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": aave_fortnight.market.pool}
    logs = aave_fortnight.node.rpc("eth_getLogs", query | {"topics": [LIQUIDATION_CALL]})
    assert [log["transactionHash"] for log in logs] == [item.tx for item in aave_fortnight.liquidations]
    for log, item in zip(logs, aave_fortnight.liquidations, strict=True):
        debt_amount, collateral_amount, _, _ = words(log["data"])
        assert (debt_amount, collateral_amount) == (item.debt_amount, item.collateral_amount)
    first, second, *_ = aave_fortnight.liquidations_on(date(2024, 12, 5))
    assert first.block == second.block
    assert [len(aave_fortnight.liquidations_on(date(2024, 12, day))) for day in (5, 7, 9, 10)] == [3, 0, 1, 1]


def test_a_token_symbol_is_bytes32_and_its_price_is_missing_for_a_day(aave_fortnight: Fortnight) -> None:
    symbol, day = PRICELESS
    node, token = aave_fortnight.node, aave_fortnight.tokens[symbol]
    assert node.call(token.asset, "symbol()") == "0x" + symbol.encode().ljust(32, b"\0").hex()
    prices = [
        aave_fortnight.market.truth(symbol, aave_fortnight.last_block_of(day + timedelta(days=offset))).price
        for offset in (-1, 0, 1)
    ]
    assert prices == [1850 * 10**8, None, 1900 * 10**8]
