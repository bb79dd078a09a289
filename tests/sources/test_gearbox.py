"""The family `gearbox` without a chain: topics, the event layouts of v1 to v3.1, and what stands there at which block.

Answers are put together from the documented layouts; what v2 and v3.1 really say is `test_gearbox_equals_contracts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.errors import Skip
from cryptolake.net.abi import address_word, checksum, selector
from cryptolake.net.logs import Log
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain import gearbox, gearbox_events
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.records import Reserve

T = TypeVar("T")
CSU = load_registry(declared()).csu("gearbox_ethereum")


def at(number: int) -> str:
    return checksum(f"0x{number:040x}")


POOL, MANAGER, FACADE, ACCOUNT, LIQUIDATOR, BORROWER, TO, WETH, WBTC, USDC, ORACLE = (at(0xA0 + n) for n in range(11))


def log(topic0: str, addresses: Sequence[str], words: Sequence[int | str], *, index: int, tx: str = "0x01") -> Log:
    data = b"".join(address_word(one) if isinstance(one, str) else one.to_bytes(32, "big") for one in words)
    emitter = (
        POOL if topic0 in (gearbox_events.REPAY, gearbox_events.UNCOVERED, gearbox_events.UNCOVERED_V1) else FACADE
    )
    return Log(emitter, (topic0, *("0x" + address_word(one).hex() for one in addresses)), data, 7, "0x07", tx, index)


def repay(index: int, principal: int = 1000, profit: int = 5, loss: int = 0, tx: str = "0x01") -> Log:
    return log(gearbox_events.REPAY, [MANAGER], [principal, profit, loss], index=index, tx=tx)


def withdrawn(index: int, token: str, amount: int, account: str = ACCOUNT) -> Log:
    return log(gearbox_events.WITHDRAW_COLLATERAL, [account, token], [amount, LIQUIDATOR], index=index)


def full(index: int, account: str = ACCOUNT, tx: str = "0x01") -> Log:
    return log(gearbox_events.LIQUIDATE, [account, LIQUIDATOR], [TO, 42], index=index, tx=tx)


# As published in the protocol's repositories and seen by independent decoders; not computed by the code under test.
def test_topics_and_selectors_are_the_published_ones() -> None:
    assert gearbox_events.LIQUIDATE == "0x7dfecd8419723a9d3954585a30c2a270165d70aafa146c11c1e1b88ae1439064"
    assert gearbox_events.LIQUIDATE_V1 == "0x5e5da6c348e62989f9cfe029252433fc99009b7d28fa3c20d675520a10ff5896"
    assert gearbox_events.LIQUIDATE_EXPIRED == "0xfada13ff2d5e1a1d9da37ad4a4130893b34e3c69c32b17f87ec31fd661b86707"
    assert gearbox_events.LIQUIDATE_PARTIALLY == "0x04d7a59a828995563eaa48eb65f11b681f7fec2fb7d6bc1a5426243882f9d249"
    assert gearbox_events.REPAY == "0x2fe77b1c99aca6b022b8efc6e3e8dd1b48b30748709339b65c50ef3263443e09"
    assert gearbox_events.UNCOVERED == "0x33fc1787be707f18e553b02263e12d2fa6d2d40733535382066fd1d77e32c595"
    published = {
        "getAddressOrRevert(bytes32,uint256)": "57b5a1c6",
        "getContractsRegister()": "c513c9bb",
        "getPools()": "673a2a1f",
        "getCreditManagers()": "94144856",
        "underlyingToken()": "2495a599",
        "expectedLiquidity()": "fe14112d",
        "availableLiquidity()": "74375359",
        "totalBorrowed()": "4c19386c",
        "creditFacade()": "2f7a1881",
        "priceOracle()": "2630c12f",
        "getPrice(address)": "41976e09",
    }
    assert {signature: selector(signature).hex() for signature in published} == published


# -- events


def test_v3_names_the_account_and_its_facade_says_what_left_it() -> None:
    logs = [withdrawn(1, WETH, 30), withdrawn(2, WETH, 4), repay(5), full(6)]
    (event,) = gearbox.liquidations(CSU, logs)
    assert (event.borrower, event.liquidator, event.log_index) == (None, LIQUIDATOR, 6)
    assert (event.collateral_asset, event.collateral_amount_raw) == (WETH, 34)
    assert (event.debt_asset, event.debt_amount_raw) == (POOL, 1000)
    assert event.extra == {
        "pool": POOL,
        "credit_manager": MANAGER,
        "credit_account": ACCOUNT,
        "kind": "full",
        "principal_raw": "1000",
        "profit_raw": "5",
        "loss_raw": "0",
        "remaining_funds_raw": "42",
        "collateral": "withdrawn",
    }


def test_collateral_sold_inside_the_transaction_is_said_to_be() -> None:
    (event,) = gearbox.liquidations(CSU, [repay(5), full(6)])
    assert (event.collateral_asset, event.collateral_amount_raw) == (POOL, 0)
    assert event.extra["collateral"].startswith("sold inside")


@pytest.mark.parametrize(
    ("topic0", "addresses", "kind"),
    [
        (gearbox_events.LIQUIDATE, [BORROWER, LIQUIDATOR, TO], "full"),  # v2
        (gearbox_events.LIQUIDATE_EXPIRED, [BORROWER, LIQUIDATOR, TO], "expired"),  # v2
        (gearbox_events.LIQUIDATE_V1, [BORROWER, LIQUIDATOR], "full"),
    ],
)
def test_v1_and_v2_name_the_borrower(topic0: str, addresses: list[str], kind: str) -> None:
    (event,) = gearbox.liquidations(CSU, [repay(1, loss=300, profit=0), log(topic0, addresses, [9], index=2)])
    assert (event.borrower, event.liquidator, event.extra["kind"]) == (BORROWER, LIQUIDATOR, kind)
    assert event.debt_amount_raw == 700, "the loss was not repaid"
    assert event.extra["remaining_funds_raw"] == "9"
    assert "credit_account" not in event.extra


def test_a_partial_liquidation_states_its_own_amounts() -> None:
    partial = log(gearbox_events.LIQUIDATE_PARTIALLY, [ACCOUNT, WETH, LIQUIDATOR], [500, 60, 3], index=9)
    (event,) = gearbox.liquidations(CSU, [repay(5, principal=480), withdrawn(7, WETH, 60), partial])
    assert (event.debt_amount_raw, event.collateral_asset, event.collateral_amount_raw) == (500, WETH, 60)
    assert (event.liquidator, event.extra["fee_raw"], event.extra["kind"]) == (LIQUIDATOR, "3", "partial")


def test_each_liquidation_of_a_transaction_has_its_own_repayment_and_collateral() -> None:
    other = at(0xC0)
    first = [withdrawn(1, WETH, 1), repay(2, principal=10), full(3)]
    loss = log(gearbox_events.UNCOVERED, [MANAGER], [8], index=6)
    second = [withdrawn(4, WBTC, 2, other), withdrawn(5, WETH, 3, other), loss, repay(7, 20, 0, 9), full(8, other)]
    one, two, more = gearbox.liquidations(CSU, [*first, *second])
    assert (one.extra["principal_raw"], one.collateral_asset, one.collateral_amount_raw) == ("10", WETH, 1)
    assert "uncovered_loss_raw" not in one.extra
    assert (two.debt_amount_raw, two.extra["uncovered_loss_raw"], two.collateral_asset) == (11, "8", WBTC)
    assert (more.debt_amount_raw, more.collateral_asset, more.collateral_amount_raw) == (0, WETH, 3)
    assert (more.log_index, more.extra["part_of_log_index"]) == (5, "8")


@given(st.lists(st.tuples(st.sampled_from([WETH, WBTC, USDC]), st.integers(0, 10**30)), max_size=6))
def test_sums_over_rows_are_what_left_the_account_and_keys_are_unique(seized: list[tuple[str, int]]) -> None:
    logs = [withdrawn(number, token, amount) for number, (token, amount) in enumerate(seized)]
    rows = gearbox.liquidations(CSU, [*logs, repay(10), full(11)])
    totals: dict[str, int] = {}
    for token, amount in seized:
        totals[token] = totals.get(token, 0) + amount
    found = {row.collateral_asset: row.collateral_amount_raw for row in rows}
    assert found == (totals or {POOL: 0})
    assert sum(row.debt_amount_raw for row in rows) == 1000
    assert len({row.log_index for row in rows}) == len(rows)


def test_closing_and_repaying_are_no_liquidations() -> None:
    assert gearbox.liquidations(CSU, [repay(1), withdrawn(2, WETH, 5), repay(3, tx="0x02")]) == []


@pytest.mark.parametrize("last", ["the end", "another transaction"])
def test_a_loss_nobody_claims_is_an_error(last: str) -> None:
    logs = [repay(1, loss=7)] + ([repay(2, tx="0x02")] if last == "another transaction" else [])
    with pytest.raises(Skip) as caught:
        gearbox.liquidations(CSU, logs)
    assert caught.value.reason == "emitter"
    assert "0x01" in str(caught.value)


@pytest.mark.parametrize(
    "logs",
    [
        [full(1)],  # no repayment
        [repay(1), log(gearbox_events.LIQUIDATE, [ACCOUNT, LIQUIDATOR], [1], index=2)],
        [repay(1), log(gearbox_events.LIQUIDATE, [BORROWER, LIQUIDATOR, TO], [1, 2], index=2)],
        [repay(1), log(gearbox_events.LIQUIDATE_PARTIALLY, [ACCOUNT, WETH], [1, 2, 3], index=2)],
        [log(gearbox_events.REPAY, [MANAGER], [1, 2], index=1)],
        [withdrawn(1, WETH, 1), log(gearbox_events.WITHDRAW_COLLATERAL, [ACCOUNT], [1], index=2)],
    ],
)
def test_another_layout_is_refused(logs: list[Log]) -> None:
    with pytest.raises(Skip) as caught:
        gearbox.liquidations(CSU, logs)
    assert caught.value.reason == "layout"


# -- what stands there

State = Mapping[tuple[str, str], object]
NOTHING, REVERT = object(), object()
V300, V310, V1 = (CSU.entry[f"address_provider_{version}"] for version in ("v300", "v310", "v1"))
LEGACY = CSU.entry["legacy_market_configurators"].split(",")
REGISTER, FACTORY, CONFIGURATOR, NEWER = (at(0xD0 + n) for n in range(4))


def answered(program: Program[T], state: State) -> T:
    """Run a program against what each contract says to each getter; anything else is no contract."""
    by_selector = {(to, selector(getter)): value for (to, getter), value in state.items()}
    try:
        calls = next(program)
        while True:
            calls = program.send([_answer(call, by_selector) for call in calls])
    except StopIteration as stop:
        value: T = stop.value
        return value


def _answer(call: Call, state: Mapping[tuple[str, bytes], object]) -> CallResult:
    found = state.get((call.to, call.data[:4]), NOTHING)
    if found is NOTHING:
        return CallResult(True, b"")
    if found is REVERT:
        return CallResult(False, b"")
    if isinstance(found, list):
        data = (32).to_bytes(32, "big") + len(found).to_bytes(32, "big") + b"".join(map(address_word, found))
        return CallResult(True, data)
    if isinstance(found, int):
        return CallResult(True, found.to_bytes(32, "big"))
    text = str(found)
    return CallResult(True, address_word(text) if text.startswith("0x") else text.encode().ljust(32, b"\0"))


def pool_state(
    pool: str, supplied: int, cash: int, principal: int, underlying: str = USDC
) -> dict[tuple[str, str], object]:
    return {
        (pool, "underlyingToken()"): underlying,
        (pool, "expectedLiquidity()"): supplied,
        (pool, "availableLiquidity()"): cash,
        (pool, "totalBorrowed()"): principal,
        (underlying, "symbol()"): "USDC",
        (underlying, "decimals()"): 6,
    }


LOOKUP = "getAddressOrRevert(bytes32,uint256)"


def test_v1_alone_years_before_v3() -> None:
    state: dict[tuple[str, str], object] = {
        (V1, "getContractsRegister()"): REGISTER,
        (REGISTER, "getPools()"): [POOL],
        (REGISTER, "getCreditManagers()"): [MANAGER],
        (MANAGER, "pool()"): REVERT,
        (MANAGER, "priceOracle()"): REVERT,
        (MANAGER, "creditFacade()"): REVERT,
        **pool_state(POOL, 1000, 400, 590),
    }
    assert answered(gearbox.snapshot(CSU), state) == [Reserve(USDC, "USDC", 6, 1000, 600, 400, 0, None, 10**8, "usd")]
    filters = {one.address: one.topics0 for one in answered(gearbox.emitters(CSU), state)}
    assert filters == {POOL: gearbox_events.POOL, MANAGER: frozenset({gearbox_events.LIQUIDATE_V1})}


def test_three_generations_list_a_pool_once_and_one_asset_is_one_row() -> None:
    second, third, oracle2 = at(0xE1), at(0xE2), at(0xE3)
    state: dict[tuple[str, str], object] = {
        (V1, "getContractsRegister()"): REGISTER,
        (V300, LOOKUP): REGISTER,
        (V310, LOOKUP): FACTORY,
        (FACTORY, "getMarketConfigurators()"): [CONFIGURATOR],
        (CONFIGURATOR, "contractsRegister()"): NEWER,
        (LEGACY[0], "contractsRegister()"): REGISTER,
        (REGISTER, "getPools()"): [POOL, second],
        (REGISTER, "getCreditManagers()"): [MANAGER],
        (NEWER, "getPools()"): [third, second],
        (NEWER, "getCreditManagers()"): [at(0xE4)],
        (MANAGER, "pool()"): POOL,
        (MANAGER, "priceOracle()"): ORACLE,
        (MANAGER, "creditFacade()"): FACADE,
        (at(0xE4), "pool()"): third,
        (at(0xE4), "priceOracle()"): oracle2,
        (at(0xE4), "creditFacade()"): at(0xE5),
        (ORACLE, "getPrice(address)"): 99_000_000,
        (oracle2, "getPrice(address)"): 101_000_000,
        **pool_state(POOL, 1000, 400, 590),
        **pool_state(second, 50, 70, 0),
        **pool_state(third, 5000, 1000, 4100),
    }
    (row,) = answered(gearbox.snapshot(CSU), state)
    assert (row.supplied_raw, row.cash_raw) == (6050, 1470)
    assert row.borrowed_raw == 600 + 0 + 4100, "interest where it shows, principal where given tokens hide it"
    assert row.price_raw == 101_000_000, "the oracle of the largest pool"
    state[oracle2, "getPrice(address)"] = REVERT
    (row,) = answered(gearbox.snapshot(CSU), state)
    assert row.price_raw == 99_000_000, "another manager's oracle rather than none"
    filters = [one.address for one in answered(gearbox.emitters(CSU), state)]
    assert filters == sorted({POOL, second, third, FACADE, at(0xE5)})


def test_a_provider_without_entries_is_there_but_lists_nothing() -> None:
    state: dict[tuple[str, str], object] = {
        (V310, LOOKUP): REVERT,
        (V300, LOOKUP): REGISTER,
        (REGISTER, "getPools()"): [],
        (REGISTER, "getCreditManagers()"): [],
    }
    assert answered(gearbox.snapshot(CSU), state) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({(V300, LOOKUP): REVERT}, "revert"),
        ({(REGISTER, "getPools()"): REVERT}, "revert"),
        ({(REGISTER, "getPools()"): NOTHING}, "layout"),
        ({(POOL, "expectedLiquidity()"): REVERT}, "revert"),
        ({(V300, LOOKUP): NOTHING}, "not_deployed"),
    ],
)
def test_what_cannot_be_read_is_no_zero(change: dict[tuple[str, str], object], reason: str) -> None:
    state: dict[tuple[str, str], object] = {
        (V300, LOOKUP): REGISTER,
        (REGISTER, "getPools()"): [POOL],
        (REGISTER, "getCreditManagers()"): [],
        **pool_state(POOL, 1000, 400, 590),
    }
    with pytest.raises(Skip) as caught:
        answered(gearbox.snapshot(CSU), state | change)
    assert caught.value.reason == reason
    assert "gearbox_ethereum" in str(caught.value)


def test_settle_turns_pools_into_tokens_and_finds_the_borrower() -> None:
    events = gearbox.liquidations(
        CSU, [withdrawn(1, WETH, 30), repay(2), full(3), repay(4, tx="0x02"), full(5, tx="0x02")]
    )
    state: dict[tuple[str, str], object] = {
        (POOL, "underlyingToken()"): USDC,
        (MANAGER, "priceOracle()"): ORACLE,
        (MANAGER, "getBorrowerOrRevert(address)"): BORROWER,
        (ORACLE, "getPrice(address)"): 7,
        (USDC, "symbol()"): "USDC",
        (USDC, "decimals()"): 6,
        (WETH, "symbol()"): REVERT,
        (WETH, "decimals()"): 18,
    }
    settled = answered(gearbox.settle(CSU, events), state)
    assert [(one.collateral_asset, one.debt_asset, one.borrower) for one in settled.events] == [
        (WETH, USDC, BORROWER),
        (USDC, USDC, BORROWER),
    ]
    assert settled.facts[WETH].symbol == "0x0000..00A7", "no symbol: its short address"
    assert (settled.facts[USDC].price_raw, settled.facts[USDC].price_unit, settled.facts[USDC].price_quote) == (
        7,
        10**8,
        "usd",
    )
    state |= {(MANAGER, "getBorrowerOrRevert(address)"): REVERT, (MANAGER, "priceOracle()"): REVERT}
    settled = answered(gearbox.settle(CSU, events), state)
    assert {one.borrower for one in settled.events} == {None}
    assert settled.facts[USDC].price_raw is None, "v1 managers name no oracle"
