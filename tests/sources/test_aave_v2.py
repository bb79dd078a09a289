"""The family aave_v2 without a node: a mainnet liquidation, selectors, what its oracles quote in, other layouts."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_word, call_data, checksum, selector, topic
from cryptolake.net.logs import Log
from cryptolake.net.multicall import Call, CallResult
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain import aave_v2
from cryptolake.sources.onchain.families import declared

CSU = load_registry(declared()).csu("aave_v2_ethereum")
WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
POOL, PROVIDER, ORACLE, ASSET = (checksum("0x" + f"{number:02x}" * 20) for number in range(1, 5))

SELECTORS = {
    "getPriceOracle()": "fca513a8",
    "getLendingPool()": "0261bf8b",
    "getReservesList()": "d1946dbc",
    "getReserveData(address)": "35ea6a75",
}

# Ethereum, block 17313211: the only LiquidationCall of its transaction.
MAINNET = Log(
    address=CSU.entry["pool"],
    topics=(
        "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286",
        "0x000000000000000000000000c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
        "0x000000000000000000000000c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
        "0x0000000000000000000000001db64086b4cda94884e4fc296799a512dfc564ca",
    ),
    data=bytes.fromhex(
        "0000000000000000000000000000000000000000000000000ca4142228cafe48"
        "0000000000000000000000000000000000000000000000000d45e1f0aad52498"
        "000000000000000000000000b6569481dccddd527c2b0e8ba32f494e52224ca1"
        "0000000000000000000000000000000000000000000000000000000000000000"
    ),
    block=17313211,
    block_hash="0xe4bb5a503635379cfd66466617699204af2996d0d673655dd12faa6b43413fdd",
    tx="0x2077a54ecae4a06c553f96c120acc0237887fdd1fc2596aab103f6681712974d",
    index=14,
)


def test_a_mainnet_liquidation_decodes_to_what_it_says() -> None:
    (event,) = aave_v2.liquidations(CSU, [MAINNET])
    assert (event.collateral_asset, event.collateral_amount_raw) == (WETH, 956_418_919_660_594_328)
    assert (event.debt_asset, event.debt_amount_raw) == (WETH, 910_875_161_581_518_408)
    assert event.borrower == "0x1dB64086b4cdA94884E4FC296799a512dfc564CA"
    assert event.liquidator == "0xb6569481DCcDdD527c2b0E8Ba32f494E52224CA1"
    assert event.extra == {"pool": CSU.entry["pool"], "receive_a_token": "false"}


def test_a_liquidation_is_picked_out_of_everything_else_that_happened() -> None:
    others = ("Transfer(address,address,uint256)", "Burn(address,uint256)", "Repay(address,address,address,uint256)")
    noise = [msgspec.structs.replace(MAINNET, topics=(topic(one), *MAINNET.topics[1:])) for one in others]
    assert aave_v2.liquidations(CSU, [*noise, MAINNET, *noise]) == aave_v2.liquidations(CSU, [MAINNET])


def test_an_event_of_unknown_layout_names_its_transaction() -> None:
    with pytest.raises(Skip, match=MAINNET.tx):
        aave_v2.liquidations(CSU, [msgspec.structs.replace(MAINNET, data=MAINNET.data[:-WORD])])


def test_selectors_and_topics_are_the_protocols() -> None:
    assert {signature: selector(signature).hex() for signature in SELECTORS} == SELECTORS
    assert MAINNET.topics[0] == aave_v2.LIQUIDATION_CALL


# -- one reserve, answered by hand

USD = "0x10F7Fc1F91Ba351f9C629c5947AD69bD03C05b96"
ZERO = "0x" + "00" * 20


def number(value: int) -> CallResult:
    return CallResult(True, value.to_bytes(WORD, "big"))


def array(*values: int) -> CallResult:
    return CallResult(True, b"".join(value.to_bytes(WORD, "big") for value in (WORD, len(values), *values)))


def market_of_one(
    words: int, oracle: dict[str, CallResult], *, token: CallResult | None = None
) -> dict[Call, CallResult]:
    tokens = [checksum("0x" + f"{each:02x}" * 20) for each in (0xA0, 0xB0, 0xC0)]
    data = [6 << 48, *[0] * 6, *(int(one, 16) for one in tokens), *[0] * 5]
    known = {
        Call(POOL, call_data("getReservesList()")): array(int(ASSET, 16)),
        Call(POOL, call_data("getAddressesProvider()")): CallResult(True, address_word(PROVIDER)),
        Call(PROVIDER, call_data("getPriceOracle()")): CallResult(True, address_word(ORACLE)),
        Call(POOL, call_data("getReserveData(address)", ASSET)): CallResult(
            True, b"".join(each.to_bytes(WORD, "big") for each in data[:words])
        ),
        Call(ORACLE, call_data("getAssetsPrices(address[])", [ASSET])): array(77),
        Call(ASSET, call_data("symbol()")): token or CallResult(True, b"DAI".ljust(WORD, b"\0")),
        Call(ASSET, call_data("balanceOf(address)", tokens[0])): token or number(4),
    }
    known |= {Call(one, call_data("totalSupply()")): number(10) for one in tokens}
    known |= {
        Call(ORACLE, call_data(what)): oracle.get(what, CallResult(False, b""))
        for what in ("WETH()", "BASE_CURRENCY()", "BASE_CURRENCY_UNIT()")
    }
    return known


def answered(known: dict[Call, CallResult], numeraire: str | None = None) -> tuple[object, ...]:
    csu = replace(CSU, entry={"pool": POOL}, price_numeraire=numeraire)
    program = aave_v2.snapshot(csu)
    calls = next(program)
    while True:
        try:
            calls = program.send([known[call] for call in calls])
        except StopIteration as stop:
            (reserve,) = stop.value
            return (
                reserve.price_raw,
                reserve.price_unit,
                reserve.price_quote,
                reserve.symbol,
                reserve.decimals,
                reserve.cash_raw,
            )


def address(value: str) -> CallResult:
    return CallResult(True, address_word(value))


@pytest.mark.parametrize(
    ("oracle", "numeraire", "price"),
    [
        ({"WETH()": address(WETH)}, "ETH", (77, 10**18, "eth")),
        ({"WETH()": address(ASSET)}, None, (77, 10**18, ASSET)),
        ({"BASE_CURRENCY()": address(WETH), "BASE_CURRENCY_UNIT()": number(10**18)}, "ETH", (77, 10**18, "eth")),
        ({"BASE_CURRENCY()": address(WETH), "BASE_CURRENCY_UNIT()": number(10**18)}, None, (77, 10**18, WETH)),
        ({"BASE_CURRENCY()": address(USD), "BASE_CURRENCY_UNIT()": number(10**8)}, "ETH", (77, 10**8, "usd")),
        ({"BASE_CURRENCY()": address(ZERO), "BASE_CURRENCY_UNIT()": number(10**8)}, None, (77, 10**8, "usd")),
        ({}, None, (None, None, "unknown")),
    ],
    ids=["first oracles", "first oracle of a fork", "base WETH", "base unnamed", "base USD", "base zero", "neither"],
)
def test_prices_are_in_what_the_oracle_quotes(
    oracle: dict[str, CallResult], numeraire: str | None, price: tuple[int | None, int | None, str]
) -> None:
    assert answered(market_of_one(12, oracle), numeraire)[:3] == price


def test_a_destroyed_token_does_not_lose_the_market() -> None:
    known = market_of_one(12, {"WETH()": address(WETH)}, token=CallResult(True, b""))
    assert answered(known)[3:] == (f"{ASSET[:6]}..{ASSET[-4:]}", 6, 0)


@pytest.mark.parametrize("words", [10, 11, 15])
def test_a_reserve_of_another_layout_is_refused(words: int) -> None:
    with pytest.raises(Skip) as caught:
        answered(market_of_one(words, {"WETH()": address(WETH)}))
    assert caught.value.reason == "layout"
    assert ASSET in str(caught.value)
