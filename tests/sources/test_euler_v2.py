"""The Euler V2 programs on recorded answers of the real vaults, and on answers written by hand for everything else.

No npm package publishes the vaults' code, so the suite cannot deploy it: `data/euler_v2_local_node.json` was recorded once from
euler-vault-kit on a local node.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.answering import Book, array, at, run_by_book, string, uint

from cryptolake.errors import Skip
from cryptolake.net.abi import address_word, selector
from cryptolake.net.logs import Log, parse_logs
from cryptolake.net.multicall import Program, replay, transcript_from_json
from cryptolake.registry.loader import load_registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import euler_v2 as family
from cryptolake.sources.onchain.families import declared

T = TypeVar("T")
KNOWN = {
    "asset()": "0x38d52e0f",
    "totalAssets()": "0x01e1d114",
    "cash()": "0x961be391",
    "totalBorrows()": "0x47bd3718",
    "oracle()": "0x7dc0d1d0",
    "unitOfAccount()": "0x3e833364",
    "LTVList()": "0x6a16ef84",
    "getQuote(uint256,address,address)": "0xae68676c",
    "convertToAssets(uint256)": "0x07a2d13a",
    "symbol()": "0x95d89b41",
    "decimals()": "0x313ce567",
}
TOPICS = {
    "Liquidate": "0x8246cc71ab01533b5bebc672a636df812f10637ad720797319d5741d5ebb3962",
    "DebtSocialized": "0xe786d0bc2e83bf230ed9895a9c4d7756ab0c6e22eb8a4ff69c161ece76bd36df",
}
GOVERNED, ESCROWED, ROUTER, OTHER_ROUTER = (at(0x10 + number) for number in range(4))
USDC, WETH, WBTC = at(0x100), at(0x101), at(0x102)
USDC_VAULT, SMALL_USDC_VAULT, WETH_VAULT, BTC_ESCROW = (at(0x200 + number) for number in range(4))


def csu(**entry: str) -> Csu:
    named = {"evault_factory": at(1), "perspectives": f"{GOVERNED},{ESCROWED}", **entry}
    return Csu("local", "euler_v2", "euler", "2", "ethereum", 1, named)


def answered(program: Program[T], book: Book) -> tuple[T, list[list[str]]]:
    return run_by_book(program, book, [*KNOWN, "verifiedArray()"])


def quote(router: str, asset: str, decimals: int, unit: str, price: int) -> Book:
    return {(router, f"getQuote(uint256,address,address){10**decimals},{asset},{unit}"): uint(price)}


def vault(
    address: str,
    asset: str,
    decimals: int,
    *,
    oracle: str,
    unit: str,
    assets: int,
    borrows: int,
    taken: tuple[str, ...],
) -> Book:
    return {
        (address, "asset()"): address_word(asset),
        (address, "decimals()"): uint(decimals),
        (address, "oracle()"): address_word(oracle),
        (address, "unitOfAccount()"): address_word(unit),
        (address, "LTVList()"): array(*taken),
        (address, "totalAssets()"): uint(assets),
        (address, "totalBorrows()"): uint(borrows),
        (address, "cash()"): uint(assets - borrows),
    }


def world() -> dict[tuple[str, str], bytes | None]:
    """Two USDC vaults (the small one counts in ether and at another price), one WETH vault, one WBTC escrow."""
    return {
        (GOVERNED, "verifiedArray()"): array(SMALL_USDC_VAULT, USDC_VAULT, WETH_VAULT),
        (ESCROWED, "verifiedArray()"): array(BTC_ESCROW, USDC_VAULT),
        **vault(
            USDC_VAULT,
            USDC,
            6,
            oracle=ROUTER,
            unit=family.USD,
            assets=1000,
            borrows=700,
            taken=(WETH_VAULT, BTC_ESCROW),
        ),
        **vault(SMALL_USDC_VAULT, USDC, 6, oracle=OTHER_ROUTER, unit=WETH, assets=10, borrows=7, taken=()),
        **vault(WETH_VAULT, WETH, 18, oracle=OTHER_ROUTER, unit=WETH, assets=50, borrows=5, taken=(USDC_VAULT,)),
        **vault(BTC_ESCROW, WBTC, 8, oracle=at(0), unit=at(0), assets=3, borrows=0, taken=()),
        **quote(ROUTER, USDC, 6, family.USD, 10**18),
        **quote(OTHER_ROUTER, USDC, 6, WETH, 5 * 10**14),
        **quote(OTHER_ROUTER, WETH, 18, WETH, 10**18),
        **quote(ROUTER, WBTC, 8, family.USD, 60_000 * 10**18),
        (USDC, "symbol()"): string("USDC"),
        (WETH, "symbol()"): string("WETH"),
        (WETH, "decimals()"): uint(18),
        (WBTC, "symbol()"): string("WBTC"),
    }


def test_selectors_and_topics_are_those_of_the_reference() -> None:
    assert {name: "0x" + selector(name).hex() for name in KNOWN} == KNOWN
    assert {"Liquidate": family.LIQUIDATE, "DebtSocialized": family.DEBT_SOCIALIZED} == TOPICS


RECORDED = json.loads((Path(__file__).parent / "data" / "euler_v2_local_node.json").read_text())


def recorded_csu() -> Csu:
    return csu(perspectives=",".join(RECORDED["perspectives"]))


@pytest.mark.parametrize("when", [0, 1], ids=["after a month of interest", "after bad debt was socialized"])
def test_recorded_vaults_hold_what_they_say(when: int) -> None:
    recorded = RECORDED["snapshots"][when]
    rows = replay(family.snapshot(recorded_csu()), transcript_from_json(recorded["rounds"]))
    told = {row.asset: [str(row.supplied_raw), str(row.borrowed_raw), str(row.cash_raw)] for row in rows}
    assert told == recorded["contracts_say"]
    assert {row.asset: str(row.price_raw) for row in rows} == recorded["prices"]
    assert [(row.symbol, row.decimals, row.price_quote) for row in rows] == [("USDC", 6, "usd"), ("WETH", 18, "usd")]


def test_a_recorded_liquidation_is_what_the_vault_had_allowed() -> None:
    recorded = RECORDED["liquidation"]
    logs = parse_logs(json.dumps(recorded["logs"]).encode())
    assert len(logs) > 2  # everything else that happened in the transaction
    (event,) = family.liquidations(recorded_csu(), logs)
    assert (event.liquidator, event.borrower) == (recorded["liquidator"], recorded["violator"])
    settled = replay(family.settle(recorded_csu(), [event]), transcript_from_json(recorded["rounds"]))
    (done,) = settled.events
    assert (done.debt_asset, str(done.debt_amount_raw)) == (recorded["debt"], recorded["max_repay"])
    assert (done.collateral_asset, str(done.collateral_amount_raw)) == (recorded["collateral"], recorded["max_yield"])
    # What was repaid and what was written off is the whole debt (which a block's interest may round up).
    left = int(recorded["debt_before"]) - done.debt_amount_raw - int(done.extra["debt_socialized"])
    assert -1 <= left <= 0
    assert {asset: found.price_quote for asset, found in settled.facts.items()} == {
        recorded["debt"]: "usd",
        recorded["collateral"]: "usd",
    }


def test_every_market_of_the_registry_names_its_perspectives() -> None:
    markets = [one for one in load_registry(declared()).csus.values() if one.family == "euler_v2"]
    assert len(markets) == 16
    assert all(len(one.entry["perspectives"].split(",")) >= 2 for one in markets)


def test_vaults_are_summed_by_asset_each_once_and_priced_best_first() -> None:
    (rows, rounds) = answered(family.snapshot(csu()), world())
    told = [(row.symbol, row.decimals, row.supplied_raw, row.borrowed_raw, row.cash_raw) for row in rows]
    assert told == [("USDC", 6, 1010, 707, 303), ("WETH", 18, 50, 5, 45), ("WBTC", 8, 3, 0, 3)]
    assert [(row.price_raw, row.price_unit, row.price_quote) for row in rows] == [
        (10**18, 10**18, "usd"),  # the vault that counts in dollars goes before the one that does not
        (10**18, 10**18, WETH),  # nobody counts WETH in dollars
        (60_000 * 10**18, 10**18, "usd"),  # an escrow vault has no oracle: the vault that takes it as collateral says
    ]
    assert len(rounds) == 4


def test_the_bigger_vault_says_the_price_and_the_other_if_it_cannot() -> None:
    same_unit = world() | vault(
        SMALL_USDC_VAULT, USDC, 6, oracle=OTHER_ROUTER, unit=family.USD, assets=10, borrows=7, taken=()
    )
    same_unit |= quote(OTHER_ROUTER, USDC, 6, family.USD, 2 * 10**18)
    asked = (ROUTER, f"getQuote(uint256,address,address){10**6},{USDC},{family.USD}")
    for first, expected in ((uint(10**18), 10**18), (None, 2 * 10**18), (uint(0), 2 * 10**18)):
        (rows, _) = answered(family.snapshot(csu()), same_unit | {asked: first})
        assert rows[0].price_raw == expected


def test_without_any_quote_the_price_is_missing() -> None:
    silent: Book = {key: answer for key, answer in world().items() if not key[1].startswith("getQuote")}
    (rows, _) = answered(family.snapshot(csu()), silent)
    assert {(row.price_raw, row.price_quote) for row in rows} == {(None, "usd")}


def test_a_token_that_says_nonsense_keeps_its_vault() -> None:
    # Euler itself takes 18 decimals where a token does not say; the vault's own decimals() is that.
    for symbol in (None, b"", uint(1) * 2, uint(32) + uint(10**9)):
        (rows, _) = answered(family.snapshot(csu()), world() | {(WBTC, "symbol()"): symbol})
        assert rows[2].symbol == f"{WBTC[:6]}..{WBTC[-4:]}"
        assert rows[2].supplied_raw == 3


def test_a_token_of_absurd_decimals_has_no_price() -> None:
    (rows, _) = answered(family.snapshot(csu()), world() | {(BTC_ESCROW, "decimals()"): uint(255)})
    assert [(row.decimals, row.price_raw) for row in rows if row.symbol == "WBTC"] == [(255, None)]
    (rows, _) = answered(family.snapshot(csu()), world() | {(WETH, "decimals()"): uint(2**255)})
    assert [(row.price_raw, row.price_quote) for row in rows if row.symbol == "WETH"] == [(None, "usd")]


@pytest.mark.parametrize(
    ("broken", "answer", "reason", "message"),
    [
        ((USDC_VAULT, "totalAssets()"), b"", "not_deployed", f"totalAssets of {USDC_VAULT}"),
        ((USDC_VAULT, "cash()"), b"\x01", "layout", f"cash of {USDC_VAULT} has 1 byte"),
        ((WETH_VAULT, "totalBorrows()"), None, "revert", f"totalBorrows of {WETH_VAULT}"),
        ((GOVERNED, "verifiedArray()"), None, "revert", "verifiedArray"),
    ],
)
def test_what_cannot_be_read_is_named(broken: tuple[str, str], answer: bytes | None, reason: str, message: str) -> None:
    with pytest.raises(Skip, match=f"local: .*{message}") as caught:
        answered(family.snapshot(csu()), world() | {broken: answer})
    assert caught.value.reason == reason


def test_a_perspective_that_does_not_exist_yet_is_left_out_and_all_of_them_mean_not_deployed() -> None:
    before = world() | {(ESCROWED, "verifiedArray()"): b""}
    (rows, _) = answered(family.snapshot(csu()), before)
    assert [row.symbol for row in rows] == ["USDC", "WETH"]
    with pytest.raises(Skip, match="no perspective at this block") as caught:
        answered(family.snapshot(csu()), before | {(GOVERNED, "verifiedArray()"): b""})
    assert caught.value.reason == "not_deployed"


def test_no_verified_vault_is_an_empty_market() -> None:
    empty = {(GOVERNED, "verifiedArray()"): array(), (ESCROWED, "verifiedArray()"): array()}
    assert answered(family.snapshot(csu()), empty)[0] == []
    assert answered(family.emitters(csu()), empty)[0] == []


def test_a_row_without_perspectives_says_what_is_missing() -> None:
    bare = Csu("mine", "euler_v2", "euler", "2", "ethereum", 1, {"evault_factory": at(1)})
    with pytest.raises(Skip, match="mine: the registry row names no perspectives; add"):
        answered(family.emitters(bare), {})


def test_emitters_are_the_verified_vaults() -> None:
    (filters, _) = answered(family.emitters(csu()), world())
    assert [one.address for one in filters] == [SMALL_USDC_VAULT, USDC_VAULT, WETH_VAULT, BTC_ESCROW]
    assert {one.topics0 for one in filters} == {frozenset(TOPICS.values())}


def liquidate(
    lender: str, liquidator: str, violator: str, collateral: str, repaid: int, shares: int, index: int
) -> Log:
    topics = (family.LIQUIDATE, *("0x" + address_word(one).hex() for one in (liquidator, violator)))
    return Log(lender, topics, address_word(collateral) + uint(repaid) + uint(shares), 7, "0xb", "0xt", index)


def socialize(lender: str, account: str, assets: int, index: int) -> Log:
    topics = (family.DEBT_SOCIALIZED, "0x" + address_word(account).hex())
    return Log(lender, topics, uint(assets), 7, "0xb", "0xt", index)


def test_liquidations_settle_in_assets_with_prices_of_the_lender() -> None:
    logs = [
        liquidate(USDC_VAULT, at(1), at(2), BTC_ESCROW, 500, 40, 1),
        liquidate(WETH_VAULT, at(1), at(3), USDC_VAULT, 5, 70, 2),
    ]
    events = family.liquidations(csu(), logs)
    book = world() | {
        (BTC_ESCROW, "convertToAssets(uint256)40"): uint(40),
        (USDC_VAULT, "convertToAssets(uint256)70"): uint(77),
    }
    (settled, rounds) = answered(family.settle(csu(), events), book)
    told = [
        (
            one.liquidator,
            one.borrower,
            one.debt_asset,
            one.debt_amount_raw,
            one.collateral_asset,
            one.collateral_amount_raw,
        )
        for one in settled.events
    ]
    assert told == [(at(1), at(2), USDC, 500, WBTC, 40), (at(1), at(3), WETH, 5, USDC, 77)]
    assert settled.events[1].extra == {"debt_vault": WETH_VAULT, "collateral_vault": USDC_VAULT, "seized_shares": "70"}
    assert {asset: (one.price_raw, one.price_quote) for asset, one in settled.facts.items()} == {
        USDC: (10**18, "usd"),
        WETH: (10**18, WETH),
        WBTC: (60_000 * 10**18, "usd"),
    }
    assert len(rounds) == 3


def test_a_collateral_that_is_no_vault_stands_for_itself() -> None:
    token = at(0x300)
    events = family.liquidations(csu(), [liquidate(USDC_VAULT, at(1), at(2), token, 5, 9, 1)])
    book = world() | {(token, "decimals()"): uint(8), (token, "symbol()"): string("LP")}
    book |= quote(ROUTER, token, 8, family.USD, 4 * 10**18)
    (settled, _) = answered(family.settle(csu(), events), book)
    (event,) = settled.events
    assert (event.collateral_asset, event.collateral_amount_raw) == (token, 9)
    assert (settled.facts[token].symbol, settled.facts[token].price_raw) == ("LP", 4 * 10**18)


@given(st.lists(st.tuples(st.sampled_from([USDC_VAULT, WETH_VAULT]), st.integers(1, 2), st.integers(0, 9)), max_size=6))
def test_debt_written_off_stands_with_its_own_liquidation(steps: list[tuple[str, int, int]]) -> None:
    logs: list[Log] = []
    for lender, account, lost in steps:
        if lost:
            logs.append(socialize(lender, at(account), lost, len(logs)))
        logs.append(liquidate(lender, at(9), at(account), BTC_ESCROW, 5, 9, len(logs)))
    events = family.liquidations(csu(), logs)
    assert [(one.debt_asset, one.borrower, one.extra.get("debt_socialized")) for one in events] == [
        (lender, at(account), str(lost) if lost else None) for lender, account, lost in steps
    ]


def test_an_unknown_event_layout_is_not_guessed() -> None:
    short = Log(USDC_VAULT, (family.LIQUIDATE, "0x" + "00" * 32), b"", 7, "0xb", "0xt", 0)
    other = Log(USDC_VAULT, (family.DEBT_SOCIALIZED,), uint(1), 7, "0xb", "0xt", 0)
    for log, name in ((short, "Liquidate"), (other, "DebtSocialized")):
        with pytest.raises(Skip, match=f"local: {name} in 0xt has an unknown layout") as caught:
            family.liquidations(csu(), [log])
        assert caught.value.reason == "layout"
