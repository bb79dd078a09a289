"""The family compound_v3 without a node: recorded answers of the protocol's own code, selectors, quotes, broken logs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_word, call_data, checksum, selector, topic
from cryptolake.net.logs import Log, parse_logs
from cryptolake.net.multicall import Call, CallResult, Program, replay, transcript_from_json
from cryptolake.registry.loader import load_registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import compound_v3
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.records import Reserve

DATA = Path(__file__).parent / "data" / "comet_answers.json.gz"
RECORDED: list[dict[str, Any]] = json.loads(gzip.decompress(DATA.read_bytes()))["answers"]

# Facts of the protocol: signatures as its ABI has them, and their hashes.
SELECTORS = {
    "baseToken()": "c55dae63",
    "baseScale()": "44c1e5eb",
    "baseTokenPriceFeed()": "e7dad6bd",
    "numAssets()": "a46fe83b",
    "getAssetInfo(uint8)": "c8c7fe6b",
    "totalSupply()": "18160ddd",
    "totalBorrow()": "8285ef40",
    "totalsCollateral(address)": "59e017bd",
    "getPrice(address)": "41976e09",
    "balanceOf(address)": "70a08231",
    "symbol()": "95d89b41",
}
TOPICS = {
    compound_v3.ABSORB_DEBT: "0x1547a878dc89ad3c367b6338b4be6a65a5dd74fb77ae044da1e8747ef1f4f62f",
    compound_v3.ABSORB_COLLATERAL: "0x9850ab1af75177e4a9201c65a2cf7976d5d28e40ef63494b44366f86b2f9412e",
}
COMET, OTHER = checksum("0x" + "c0" * 20), checksum("0x" + "c1" * 20)
BASE, FEED = checksum("0x" + "ba" * 20), checksum("0x" + "fe" * 20)


def csu_of(*comets: str, numeraire: str | None = None) -> Csu:
    entry = {"comet": ",".join(comets)}
    return Csu("local", "compound_v3", "compound", "3", "local", 31337, entry, price_numeraire=numeraire)


# -- the protocol's own code, recorded


@pytest.mark.parametrize("case", [one for one in RECORDED if "rounds" in one])
def test_recorded_snapshots_are_what_the_protocols_code_said(case: dict[str, Any]) -> None:
    reserves = replay(compound_v3.snapshot(csu_of(case["comet"])), transcript_from_json(case["rounds"]))
    renamed = {"supplied_raw": "total_supplied_raw", "borrowed_raw": "total_borrowed_raw"}
    rows = [
        {
            renamed.get(name, name): str(value) if name.endswith(("_raw", "_unit")) and value is not None else value
            for name, value in asdict(reserve).items()
        }
        for reserve in reserves
    ]
    # A token that does not answer was recorded with the price that the Comet still has of it.
    told = [
        {**one, "price_raw": None, "price_unit": None, "price_quote": DEAD} if row["price_quote"] == DEAD else one
        for row, one in zip(rows, case["expected"], strict=True)
    ]
    assert rows == told


@pytest.mark.parametrize("case", [one for one in RECORDED if "logs" in one])
def test_recorded_absorptions_are_what_the_accounts_lost(case: dict[str, Any]) -> None:
    csu = csu_of(case["comet"])
    events = compound_v3.liquidations(csu, parse_logs(orjson.dumps(case["logs"])))
    settled = replay(compound_v3.settle(csu, events), transcript_from_json(case["context"]))
    assert [(e.tx, e.log_index) for e in settled.events] == [(e.tx, e.log_index) for e in events]
    assert [
        (e.tx, e.liquidator.lower(), e.borrower.lower() if e.borrower else None, e.collateral_asset.lower())
        for e in settled.events
    ] == [
        (truth["tx"], truth["liquidator"], truth["borrower"], asset)
        for truth in case["expected"]
        for asset in truth["seized"]
    ]
    for truth in case["expected"]:
        mine = [e for e in settled.events if str(e.borrower).lower() == truth["borrower"]]
        assert [e.collateral_amount_raw for e in mine] == list(truth["seized"].values())
        assert {e.debt_asset.lower() for e in mine} == {truth["base"]}
        rounded_away = sum(e.debt_amount_raw for e in mine) - int(truth["debt"]) - int(truth["surplus"])
        assert 0 <= rounded_away <= (2 if int(truth["surplus"]) else 0)


def test_the_recording_holds_what_goes_wrong() -> None:
    snapshots = [row for one in RECORDED if "rounds" in one for row in one["expected"]]
    assert {row["price_raw"] is None for row in snapshots} == {True, False}
    assert {one["contract"] for one in RECORDED} == {"Comet", "CometWithExtendedAssetList"}
    absorbed = [truth for one in RECORDED if "logs" in one for truth in one["expected"]]
    assert {truth["surplus"] == "0" for truth in absorbed} == {True, False}
    assert {len(truth["seized"]) for truth in absorbed} == {1, 2}


# -- facts


def test_selectors_and_topics_are_the_protocols() -> None:
    assert {signature: selector(signature).hex() for signature in SELECTORS} == SELECTORS
    for computed, fact in TOPICS.items():
        assert computed == fact


def test_every_call_that_is_made_is_among_the_facts() -> None:
    made = {data[:8] for one in RECORDED for stored in one.get("rounds", ()) for _, data, _, _ in stored}
    assert made == {*SELECTORS.values(), selector("description()").hex()}


def test_other_events_of_a_comet_are_no_absorption() -> None:
    signatures = (
        "Supply(address,address,uint256)",
        "Withdraw(address,address,uint256)",
        "Transfer(address,address,uint256)",
        "SupplyCollateral(address,address,address,uint256)",
        "BuyCollateral(address,address,uint256,uint256)",
    )
    logs = [
        Log(COMET, (topic(one), "0x" + "00" * 32, "0x" + "00" * 32), b"\0" * 2 * WORD, 7, "0xb", "0xt", number)
        for number, one in enumerate(signatures)
    ]
    assert compound_v3.liquidations(csu_of(COMET), logs) == []


# -- quotes


def answered(program: Program[list[Reserve]], feed_says: bytes | None, base_price: int | None) -> list[Reserve]:
    """Runs a snapshot of a Comet without collateral whose base feed describes itself by `feed_says`."""

    def number(value: int) -> CallResult:
        return CallResult(True, value.to_bytes(WORD, "big"))

    known = {
        Call(COMET, call_data("baseToken()")): CallResult(True, address_word(BASE)),
        Call(COMET, call_data("baseTokenPriceFeed()")): CallResult(True, address_word(FEED)),
        Call(COMET, call_data("baseScale()")): number(10**18),
        Call(COMET, call_data("totalSupply()")): number(7),
        Call(COMET, call_data("totalBorrow()")): number(5),
        Call(COMET, call_data("numAssets()")): number(0),
        Call(BASE, call_data("symbol()")): CallResult(True, b"WETH".ljust(WORD, b"\0")),
        Call(BASE, call_data("balanceOf(address)", COMET)): number(2),
        Call(COMET, call_data("getPrice(address)", FEED)): CallResult(False, b"")
        if base_price is None
        else number(base_price),
        Call(FEED, call_data("description()")): CallResult(False, b"")
        if feed_says is None
        else CallResult(True, string(feed_says)),
    }
    calls: Sequence[Call] = next(program)
    while True:
        try:
            calls = program.send([known[call] for call in calls])
        except StopIteration as stop:
            reserves: list[Reserve] = stop.value
            return reserves


def string(content: bytes) -> bytes:
    return (
        WORD.to_bytes(WORD, "big")
        + len(content).to_bytes(WORD, "big")
        + content.ljust(-(-len(content) // WORD) * WORD, b"\0")
    )


@pytest.mark.parametrize(
    ("says", "price", "row_says", "quote"),
    [
        (b"USDC / USD", 99_990_000, "USD", "usd"),
        (b"USDe / USD price feed by API3", 10**8, None, "usd"),
        (b"WBTC / BTC", 99_800_000, "BTC", "btc"),
        (b"RON/ETH price feed", 20_000, None, "eth"),
        (b"wstETH / stETH ETH / USD", 10**8, None, "usd"),
        (b"ETH / USD", 3700 * 10**8, "ETH", "usd"),  # the chain is right where the row is old
        (b"Constant price feed", 10**8, "ETH", "eth"),
        (b"Constant price feed", 10**8, "wstETH", BASE),
        (b"Constant price feed", 10**8, None, BASE),
        (None, 10**8, "USD", "usd"),
        (b"", 10**8, "USD", "usd"),
    ],
)
def test_the_quote_is_what_the_base_feed_says(says: bytes | None, price: int, row_says: str | None, quote: str) -> None:
    (reserve,) = answered(compound_v3.snapshot(csu_of(COMET, numeraire=row_says)), says, price)
    assert (reserve.price_quote, reserve.price_raw, reserve.price_unit) == (quote, price, 10**8)


@pytest.mark.parametrize("says", [None, b"a feed", b"Constant price feed"])
def test_a_price_in_an_unknown_numeraire_is_none(says: bytes | None) -> None:
    (reserve,) = answered(compound_v3.snapshot(csu_of(COMET)), says, 2 * 10**8)
    assert reserve.price_raw is None
    assert (reserve.supplied_raw, reserve.borrowed_raw, reserve.cash_raw) == (7, 5, 2)


def test_a_base_price_that_reverts_is_none() -> None:
    (reserve,) = answered(compound_v3.snapshot(csu_of(COMET)), b"USDC / USD", None)
    assert (reserve.price_raw, reserve.price_quote) == (None, "usd")


def test_every_comet_of_the_registry_says_its_numeraire() -> None:
    markets = [csu for csu in load_registry(declared()).csus.values() if csu.family == "compound_v3"]
    assert len(markets) == 28
    assert {csu.price_numeraire for csu in markets} == {"USD", "ETH", "BTC", "wstETH"}


# -- joining the two events


def absorbed(borrower: int, amount: int, value: int, *, index: int, comet: str = COMET, tx: str = "0xaa") -> Log:
    topics = (compound_v3.ABSORB_COLLATERAL, *(f"0x{one:064x}" for one in (1, borrower, 0xA55E7 + index)))
    return Log(comet, topics, amount.to_bytes(WORD, "big") + value.to_bytes(WORD, "big"), 9, "0xbb", tx, index)


def paid(borrower: int, amount: int, value: int, *, index: int, comet: str = COMET, tx: str = "0xaa") -> Log:
    topics = (compound_v3.ABSORB_DEBT, *(f"0x{one:064x}" for one in (1, borrower)))
    return Log(comet, topics, amount.to_bytes(WORD, "big") + value.to_bytes(WORD, "big"), 9, "0xbb", tx, index)


@given(
    accounts=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 2**104),
            st.lists(st.tuples(st.integers(1, 2**128 - 1), st.integers(0, 2**140)), min_size=1, max_size=24),
        ),
        max_size=6,
    )
)
def test_debt_is_shared_so_that_a_sum_counts_it_once(
    accounts: list[tuple[int, int, list[tuple[int, int]]]],
) -> None:
    logs: list[Log] = []
    for borrower, (which, debt, seized) in enumerate(accounts, start=1):
        comet = (COMET, OTHER)[which]
        for amount, value in seized:
            logs.append(absorbed(borrower, amount, value, index=len(logs), comet=comet))
        logs.append(paid(borrower, debt, debt, index=len(logs), comet=comet))
    events = compound_v3.liquidations(csu_of(COMET, OTHER), logs)
    assert len({event.log_index for event in events}) == len(events) == sum(len(seized) for _, _, seized in accounts)
    for borrower, (which, debt, seized) in enumerate(accounts, start=1):
        mine = [event for event in events if event.borrower == checksum(f"0x{borrower:040x}")]
        assert [event.collateral_amount_raw for event in mine] == [amount for amount, _ in seized]
        assert sum(event.debt_amount_raw for event in mine) == debt
        assert {event.debt_asset for event in mine} == {(COMET, OTHER)[which]}
        whole = sum(value for _, value in seized)
        if whole:  # each share is its exact part, off by less than one unit
            assert all(
                abs(event.debt_amount_raw * whole - debt * value) < whole
                for event, (_, value) in zip(mine, seized, strict=True)
            )


@pytest.mark.parametrize(
    "logs",
    [
        [absorbed(1, 5, 5, index=0)],
        [absorbed(1, 5, 5, index=0), paid(2, 5, 5, index=1)],
        [absorbed(1, 5, 5, index=0), paid(1, 5, 5, index=1, tx="0xcc")],
        [absorbed(1, 5, 5, index=0), paid(1, 5, 5, index=1, comet=OTHER)],
        [absorbed(1, 5, 5, index=0), absorbed(2, 5, 5, index=1), paid(2, 5, 5, index=2)],
        [paid(1, 5, 5, index=0)],
    ],
    ids=["no debt", "other account", "other transaction", "other comet", "two accounts", "no collateral"],
)
def test_logs_that_do_not_fit_together_are_not_counted_as_something_else(logs: list[Log]) -> None:
    with pytest.raises(Skip) as caught:
        compound_v3.liquidations(csu_of(COMET, OTHER), logs)
    assert caught.value.reason == "layout"


def test_an_event_of_unknown_layout_names_its_transaction() -> None:
    log = paid(1, 5, 5, index=0)
    longer = Log(log.address, log.topics, log.data + bytes(WORD), log.block, log.block_hash, log.tx, log.index)
    with pytest.raises(Skip, match="0xaa"):
        compound_v3.liquidations(csu_of(COMET), [longer])
