"""The Compound V2 programs without a chain: recorded mainnet logs, recorded forks, and malformed answers.

No npm package publishes the code of Compound itself, Benqi and LayerBank, so the suite cannot deploy it:
`data/compound_v2_local_node.json` was recorded once from their sources on a local node.
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
from cryptolake.net.abi import address_word, checksum, selector, topic
from cryptolake.net.logs import Log, parse_logs
from cryptolake.net.multicall import Program, replay, transcript_from_json
from cryptolake.registry.loader import load_registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import compound_v2 as family
from cryptolake.sources.onchain.events import settled_debts, to_settle
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.records import Liquidation

T = TypeVar("T")
TRANSFER = "Transfer(address,address,uint256)"

# Signature or event -> selector or topic, as the reference lists them.
KNOWN = {
    "getAllMarkets()": "0xb0772d0b",
    "oracle()": "0x7dc0d1d0",
    "underlying()": "0x6f307dc3",
    "getCash()": "0x3b1d21a2",
    "totalBorrows()": "0x47bd3718",
    "totalSupply()": "0x18160ddd",
    "exchangeRateStored()": "0x182df0f5",
    "exchangeRateCurrent()": "0xbd6d894d",
    "totalBorrowsCurrent()": "0x73acee98",
    "getUnderlyingPrice(address)": "0xfc57d4df",
    "totalBorrow()": "0x8285ef40",
    "symbol()": "0x95d89b41",
    "decimals()": "0x313ce567",
}
# Asked too, but not in the reference; selectors as the published ABIs of Venus, LayerBank and Sumer have them.
MORE = {
    "allMarkets()", "priceCalculator()", "exchangeRate()", "isCToken()", "vaiController()", "liquidatorContract()",
    "getVAIAddress()", "vaiMinted()", "markets(address)", "accrueInterest()",
}  # fmt: skip
TOPICS = {
    "LiquidateBorrow": "0x298637f684da70674f26509b10f07ec2fbc77a335ab1e7d6215a4b2484d8bb52",
    "LiquidateBorrowedTokens": "0xdd091524d794aecdb5235b2d816620c2598790835e0f3849808504c2dcb4f1a9",
}


COMPTROLLER, ORACLE, ONE_MARKET, OTHER_MARKET, TOKEN, WETH = (at(0xA0 + number) for number in range(6))


def csu(protocol: str = "compound", chain: str = "ethereum", **entry: str) -> Csu:
    return Csu("local", "compound_v2", protocol, "2", chain, 1, {"comptroller": COMPTROLLER} | entry)


def answered(program: Program[T], book: Book) -> tuple[T, list[list[str]]]:
    """Run a program against a book of answers; also what it asked, round by round."""
    return run_by_book(program, book, [*KNOWN, *MORE])


def market(
    vtoken: str, token: str | None, *, price: int | None, shares: int, rate: int, borrows: int, cash: int
) -> Book:
    """What a cToken answers; `token` None leaves out `underlying()`."""
    book: dict[tuple[str, str], bytes | None] = {
        (vtoken, "totalSupply()"): uint(shares),
        (vtoken, "getCash()"): uint(cash),
        (vtoken, "exchangeRateCurrent()"): uint(rate),
        (vtoken, "exchangeRateStored()"): uint(rate),
        (vtoken, "totalBorrowsCurrent()"): uint(borrows),
    }
    if token is not None:
        book[(vtoken, "underlying()")] = address_word(token)
    if price is not None:
        book[(ORACLE, f"getUnderlyingPrice(address){vtoken}")] = uint(price)
    return book


def base(*markets: str) -> Book:
    return {(COMPTROLLER, "getAllMarkets()"): array(*markets), (COMPTROLLER, "oracle()"): address_word(ORACLE)}


def erc20(token: str, symbol: str, decimals: int) -> Book:
    return {(token, "symbol()"): string(symbol), (token, "decimals()"): uint(decimals)}


# -- signatures


def test_selectors_and_topics_are_those_of_the_reference() -> None:
    assert {name: "0x" + selector(name).hex() for name in KNOWN} == KNOWN
    found = {"LiquidateBorrow": family.LIQUIDATE_BORROW, "LiquidateBorrowedTokens": family.LIQUIDATE_BORROWED_TOKENS}
    assert found == TOPICS


def test_native_coins_are_called_what_the_registry_calls_them() -> None:
    assert {
        name: chain.native_symbol for name, chain in load_registry(declared()).chains.items()
    } == family.NATIVE_SYMBOLS


def test_the_coin_of_an_unknown_chain_is_not_taken_for_ether() -> None:
    book = {**base(ONE_MARKET), **market(ONE_MARKET, None, price=10**18, shares=1, rate=1, borrows=1, cash=1)}
    for chain in ("gnosis", "a chain of mine"):  # where the coin may well cost exactly one dollar
        ((row,), _) = answered(family.snapshot(csu(chain=chain)), book)
        assert row.price_quote == "usd"


# -- events

# Two recorded mainnet logs: address, data, block, block hash, transaction, log index, and what they say.
RECORDED = [
    (
        "0xf650c3d88d12db855b8bf7d11be6c55a4e07dcc9",
        "000000000000000000000000d911560979b78821d7b045c79e36e9cbfc2f6c6f"
        "0000000000000000000000009bf62c518ffe86bd43d57c7026aa1a4fbea83b15"
        "0000000000000000000000000000000000000000000000000000000071af3288"
        "0000000000000000000000006c8c6b02e7b2be14d4fa6022dfd6d75921d90e4e"
        "0000000000000000000000000000000000000000000000000000178a638a26eb",
        "0x0001a89e439c3673b8264f880730784ebd698502bb9dd62949d42a66a4129f23",
        # 1,907.30 USDT (6 decimals) repaid at cUSDT, 258,831.43 cBAT (8 decimals) seized
        ("0xD911560979B78821D7b045C79E36E9CbfC2F6C6F", "0x9bF62C518FfE86bD43D57c7026aA1A4fBeA83b15", 1907307144),
        ("0xf650C3d88D12dB855b8bf7D11Be6C55A4e07dCC9", "0x6C8c6b02E7b2BE14d4fA6022Dfd6d75921D90E4E", 25883142924011),
    ),
    (
        "0x4ddc2d193948926d02f9b1fe9e1daa0718270ed5",
        "00000000000000000000000089c745c97495644a44d19654c8adcaaacb7ec263"
        "000000000000000000000000c440f3c87dc4b6843cabc413916220d4f4fed117"
        "0000000000000000000000000000000000000000000000000005ffd774553a56"
        "00000000000000000000000039aa39c021dfbae8fac545936693ac917d5e7563"
        "000000000000000000000000000000000000000000000000000000004dd92cbb",
        "0x160c0e6db0df5ea0c1cc9b1b31bd90c842ef793c9b2ab496efdc62bdd80eeb52",
        # 0.0017 ETH repaid at cETH, 13.06 cUSDC seized
        ("0x89C745C97495644A44d19654C8aDCAAaCb7EC263", "0xC440f3C87DC4B6843CABc413916220D4f4FeD117", 0x5FFD774553A56),
        ("0x4Ddc2D193948926D02f9B1fE9e1daa0718270ED5", "0x39AA39c021dfbaE8faC545936693aC917d5E7563", 0x4DD92CBB),
    ),
]


@pytest.mark.parametrize(("address", "data", "tx", "who", "what"), RECORDED, ids=["cUSDT", "cETH"])
def test_recorded_liquidations_of_compound(
    address: str, data: str, tx: str, who: tuple[str, str, int], what: tuple[str, str, int]
) -> None:
    log = Log(checksum(address), (family.LIQUIDATE_BORROW,), bytes.fromhex(data), 14756345, "0xb", tx, 268)
    (event,) = family.liquidations(csu(), [log])
    assert (event.liquidator, event.borrower, event.debt_amount_raw) == (checksum(who[0]), checksum(who[1]), who[2])
    assert (event.debt_asset, event.collateral_asset) == (checksum(what[0]), checksum(what[1]))
    assert event.collateral_amount_raw == what[2]
    assert (event.tx, event.block, event.log_index) == (tx, 14756345, 268)


def test_a_liquidation_is_picked_out_of_everything_else_that_happened() -> None:
    others = [
        topic(one)
        for one in (TRANSFER, "AccrueInterest(uint256,uint256,uint256,uint256)", "RepayBorrow(address,address,uint256)")
    ]
    wanted = [
        Log(checksum(address), (family.LIQUIDATE_BORROW,), bytes.fromhex(data), 14756345, "0xb", tx, 0)
        for address, data, tx, _, _ in RECORDED
    ]
    noise = [Log(one.address, (other,), one.data, one.block, "0xb", one.tx, 0) for one in wanted for other in others]
    events = family.liquidations(csu(), [*noise[:3], wanted[0], *noise[3:], wanted[1]])
    assert [event.tx for event in events] == [tx for _, _, tx, _, _ in RECORDED]


@pytest.mark.parametrize("topics", [2, 3])
def test_an_unknown_event_layout_is_not_guessed(topics: int) -> None:
    log = Log(ONE_MARKET, (family.LIQUIDATE_BORROW,) * topics, uint(0) * 4, 1, "0xb", "0xt", 0)
    with pytest.raises(Skip, match="local: LiquidateBorrow in 0xt has an unknown layout") as caught:
        family.liquidations(csu(), [log])
    assert caught.value.reason == "layout"


@given(
    st.lists(
        st.tuples(st.sampled_from(["0x1", "0x2"]), st.integers(1, 2), st.integers(1, 2), st.booleans()), max_size=8
    )
)
def test_each_liquidator_is_matched_to_its_own_liquidation(steps: list[tuple[str, int, int, bool]]) -> None:
    """Any number of liquidations in any transactions, some through the Liquidator, some of the same account twice."""
    gate, logs, expected = at(0x11), [], []
    for number, (tx, borrower, collateral, through) in enumerate(steps):
        someone = at(0x1000 + number)
        words = [address_word(gate if through else someone), address_word(at(borrower)), uint(7)]
        data = b"".join([*words, address_word(at(0x50 + collateral)), uint(9)])
        logs.append(Log(ONE_MARKET, (family.LIQUIDATE_BORROW,), data, 1, "0xb", tx, len(logs)))
        if through:
            named = [someone, at(borrower), at(0x50 + collateral)]
            topics = (family.LIQUIDATE_BORROWED_TOKENS, *("0x" + address_word(one).hex() for one in named))
            data = uint(7) + address_word(ONE_MARKET) + uint(1) + uint(8)
            logs.append(Log(gate, topics, data, 1, "0xb", tx, len(logs)))
        expected.append((someone, gate if through else None))
    events = family.liquidations(csu(), logs)
    assert [(event.liquidator, event.extra.get("through")) for event in events] == expected


# -- recorded forks

FORKS = json.loads((Path(__file__).parent / "data" / "compound_v2_local_node.json").read_text())
# What each fork's native coin is called and how its oracle counts.
QUOTED = {
    "compound_without_a_list": ("ETH", "eth"),
    "compound": ("ETH", "eth"),
    "benqi": ("AVAX", "usd"),
    "layerbank": ("ETH", "usd"),
}


def recorded_csu(fork: str) -> Csu:
    return csu(FORKS[fork]["protocol"], FORKS[fork]["chain"], **FORKS[fork]["entry"])


@pytest.mark.parametrize("fork", QUOTED)
def test_recorded_forks_hold_what_the_formula_says(fork: str) -> None:
    """Interest of 200 blocks by formula from the stored values, cash as the token's own balance."""
    recorded = FORKS[fork]["snapshot"]
    rows = replay(family.snapshot(recorded_csu(fork)), transcript_from_json(recorded["rounds"]))
    told = {row.asset: [str(row.supplied_raw), str(row.borrowed_raw), str(row.cash_raw)] for row in rows}
    assert told == recorded["formula_says"]
    assert [(row.symbol, row.price_quote) for row in rows] == [QUOTED[fork], ("USDC", QUOTED[fork][1])]
    assert all(row.borrowed_raw % 10**6 for row in rows if row.symbol == "USDC")  # there is interest


@pytest.mark.parametrize("fork", QUOTED)
def test_recorded_liquidations_of_forks(fork: str) -> None:
    recorded = FORKS[fork]["liquidation"]
    logs = parse_logs(json.dumps(recorded["logs"]).encode())
    filters = replay(family.emitters(recorded_csu(fork)), transcript_from_json(recorded["emitters"]))
    wanted = {one.address: one.topics0 for one in filters}
    mine = [log for log in logs if log.topics[0] in wanted.get(log.address, ())]
    (event,) = family.liquidations(recorded_csu(fork), mine)
    assert (event.liquidator, event.borrower) == (recorded["liquidator"], recorded["borrower"])
    assert (event.debt_asset, str(event.debt_amount_raw)) == (recorded["market"], recorded["repaid"])
    assert (event.collateral_asset, str(event.collateral_amount_raw)) == (
        recorded["collateral_market"],
        recorded["shares"],
    )
    settled = replay(family.settle(recorded_csu(fork), [event]), transcript_from_json(recorded["rounds"]))
    (done,) = settled.events
    assert (done.debt_asset, done.collateral_asset) == (recorded["debt"], family.NATIVE)
    assert done.collateral_amount_raw == int(recorded["shares"]) * int(done.extra["exchange_rate"]) // 10**18
    assert {one.price_quote for one in settled.facts.values()} == {QUOTED[fork][1]}


# -- reading


def test_a_market_without_underlying_holds_the_native_coin_however_it_says_so() -> None:
    # Compound's cETH has a payable fallback, which answers nothing; other forks revert or answer the zero address.
    for told in (b"", None, address_word(at(0))):
        book = {
            **base(ONE_MARKET),
            **market(ONE_MARKET, None, price=2000 * 10**18, shares=50, rate=10**18, borrows=20, cash=30),
            (ONE_MARKET, "underlying()"): told,
        }
        ((row,), rounds) = answered(family.snapshot(csu()), book)
        assert (row.asset, row.symbol, row.decimals, row.price_quote) == (family.NATIVE, "ETH", 18, "usd")
        assert (row.supplied_raw, row.borrowed_raw, row.cash_raw) == (50, 20, 30)
        assert len(rounds) == 2


def test_plain_reads_stand_before_accruing_ones() -> None:
    book = {
        **base(ONE_MARKET, OTHER_MARKET),
        **market(ONE_MARKET, TOKEN, price=1, shares=1, rate=1, borrows=1, cash=1),
        **market(OTHER_MARKET, None, price=1, shares=1, rate=1, borrows=1, cash=1),
        **erc20(TOKEN, "TOK", 6),
    }
    (_, rounds) = answered(family.snapshot(csu()), book)
    accruing = [name.endswith("Current()") for name in rounds[1]]
    assert accruing == sorted(accruing)
    assert not any(name.endswith("Current()") for asked in (rounds[0], *rounds[2:]) for name in asked)


@pytest.mark.parametrize("lost", ["exchangeRateCurrent()", "totalBorrowsCurrent()"])
def test_what_is_stored_is_read_after_one_more_try_to_accrue_and_as_a_pair(lost: str) -> None:
    """A multicall may run out of gas on the way: that must not pass for a contract that cannot accrue."""
    book = {
        **base(ONE_MARKET, OTHER_MARKET),
        **market(ONE_MARKET, None, price=1, shares=10**18, rate=7, borrows=8, cash=9),
        **market(OTHER_MARKET, TOKEN, price=1, shares=10**18, rate=70, borrows=80, cash=90),
        **erc20(TOKEN, "TOK", 6),
        (ONE_MARKET, lost): None,
        (ONE_MARKET, "exchangeRateStored()"): uint(5),
        (ONE_MARKET, "totalBorrows()"): uint(6),
    }
    (rows, rounds) = answered(family.snapshot(csu()), book)
    assert rounds[-1] == ["accrueInterest()", "exchangeRateStored()", "totalBorrows()"]
    assert [(row.supplied_raw, row.borrowed_raw, row.cash_raw) for row in rows] == [(5, 6, 9), (70, 80, 90)]


@pytest.mark.parametrize(("price", "quote"), [(10**18, "eth"), (2000 * 10**18, "usd")])
def test_where_ether_costs_one_prices_are_in_ether(price: int, quote: str) -> None:
    book = {
        **base(ONE_MARKET, OTHER_MARKET),
        **market(ONE_MARKET, TOKEN, price=5 * 10**26, shares=1, rate=1, borrows=1, cash=1),
        **market(OTHER_MARKET, WETH, price=price, shares=1, rate=1, borrows=1, cash=1),
        **erc20(TOKEN, "USDC", 6),
        **erc20(WETH, "WETH", 18),
    }
    (rows, _) = answered(family.snapshot(csu("ironbank")), book)
    assert [(row.symbol, row.price_quote, row.price_raw, row.price_unit) for row in rows] == [
        ("USDC", quote, 5 * 10**26, 10**30),
        ("WETH", quote, price, 10**18),
    ]


@pytest.mark.parametrize("oracle", [None, at(0)], ids=["reverts", "zero"])
def test_without_an_oracle_there_are_rows_without_prices(oracle: str | None) -> None:
    book = {
        **base(ONE_MARKET),
        **market(ONE_MARKET, TOKEN, price=1, shares=2 * 10**18, rate=5, borrows=4, cash=6),
        **erc20(TOKEN, "TOK", 6),
        (COMPTROLLER, "oracle()"): None if oracle is None else address_word(oracle),
    }
    ((row,), _) = answered(family.snapshot(csu()), book)
    assert (row.supplied_raw, row.borrowed_raw, row.cash_raw, row.price_raw) == (10, 4, 6, None)


@pytest.mark.parametrize(("price", "decimals"), [(0, 6), (5, 37)], ids=["no price", "more than 36 decimals"])
def test_a_price_that_cannot_be_is_missing_not_zero(price: int, decimals: int) -> None:
    book = {
        **base(ONE_MARKET),
        **market(ONE_MARKET, TOKEN, price=price, shares=1, rate=1, borrows=1, cash=1),
        **erc20(TOKEN, "TOK", decimals),
    }
    ((row,), _) = answered(family.snapshot(csu()), book)
    assert row.price_raw is None


@pytest.mark.parametrize(
    ("broken", "answer", "reason", "message"),
    [
        ((COMPTROLLER, "getAllMarkets()"), b"", "not_deployed", "getAllMarkets"),
        ((COMPTROLLER, "getAllMarkets()"), None, "revert", "getAllMarkets"),
        ((ONE_MARKET, "totalSupply()"), b"", "not_deployed", f"totalSupply\\(\\) of {ONE_MARKET}"),
        ((ONE_MARKET, "getCash()"), b"\x01", "layout", f"getCash\\(\\) of {ONE_MARKET} has 1 byte"),
        ((ONE_MARKET, "exchangeRateCurrent()"), b"\x01", "layout", f"exchange rate of {ONE_MARKET} has 1 byte"),
    ],
)
def test_what_cannot_be_read_is_named(broken: tuple[str, str], answer: bytes | None, reason: str, message: str) -> None:
    book = {
        **base(ONE_MARKET),
        **market(ONE_MARKET, TOKEN, price=1, shares=1, rate=1, borrows=1, cash=1),
        **erc20(TOKEN, "TOK", 6),
        broken: answer,
    }
    with pytest.raises(Skip, match=f"local: .*{message}") as caught:
        answered(family.snapshot(csu()), book)
    assert caught.value.reason == reason


def test_before_compounds_comptroller_kept_a_list_the_known_markets_are_asked_for() -> None:
    book = {
        **base(),
        **market(ONE_MARKET, TOKEN, price=1, shares=1, rate=1, borrows=1, cash=1),
        **erc20(TOKEN, "TOK", 6),
        (COMPTROLLER, "getAllMarkets()"): None,
        (COMPTROLLER, f"markets(address){ONE_MARKET}"): uint(1) + uint(75 * 10**16),
        (COMPTROLLER, f"markets(address){OTHER_MARKET}"): uint(0) + uint(0),
    }
    early = csu(first_ctokens=f"{OTHER_MARKET},{ONE_MARKET}")
    ((row,), _) = answered(family.snapshot(early), book)
    assert row.symbol == "TOK"
    (filters, _) = answered(family.emitters(early), book)
    assert [one.address for one in filters] == [ONE_MARKET]
    with pytest.raises(Skip, match="getAllMarkets"):
        answered(family.snapshot(csu()), book)


def test_layerbank_speaks_otherwise() -> None:
    book: Book = {
        (COMPTROLLER, "allMarkets()"): array(ONE_MARKET, OTHER_MARKET),
        (COMPTROLLER, "priceCalculator()"): address_word(ORACLE),
        (ORACLE, f"getUnderlyingPrice(address){ONE_MARKET}"): uint(10**18),
        (ORACLE, f"getUnderlyingPrice(address){OTHER_MARKET}"): uint(2000 * 10**18),
        (ONE_MARKET, "underlying()"): address_word(TOKEN),
        (OTHER_MARKET, "underlying()"): address_word(at(0)),
        **{(one, "totalSupply()"): uint(100) for one in (ONE_MARKET, OTHER_MARKET)},
        **{(one, "getCash()"): uint(40) for one in (ONE_MARKET, OTHER_MARKET)},
        **{(one, "totalBorrow()"): uint(80) for one in (ONE_MARKET, OTHER_MARKET)},
        **{(one, "exchangeRate()"): uint(12 * 10**17) for one in (ONE_MARKET, OTHER_MARKET)},
        **erc20(TOKEN, "USDC", 6),
    }
    (rows, _) = answered(family.snapshot(csu("layerbank", "scroll")), book)
    assert [(row.symbol, row.supplied_raw, row.borrowed_raw, row.cash_raw) for row in rows] == [
        ("USDC", 120, 80, 40),
        ("ETH", 120, 80, 40),
    ]
    # 1e18 is one dollar here, whatever the token's decimals, and says nothing about ether.
    assert {(row.price_unit, row.price_quote) for row in rows} == {(10**18, "usd")}
    event = Liquidation("0xt", 1, "0xb", 0, at(1), at(2), OTHER_MARKET, 50, ONE_MARKET, 7, {"event": "LiquidateBorrow"})
    (settled, _) = answered(family.settle(csu("layerbank", "scroll"), [event]), book)
    (done,) = settled.events
    assert (done.collateral_asset, done.collateral_amount_raw, done.debt_asset) == (family.NATIVE, 60, TOKEN)
    assert sorted(settled.facts) == sorted([family.NATIVE, TOKEN])


def test_sumers_minted_tokens_hold_no_cash() -> None:
    book = {
        **base(ONE_MARKET, OTHER_MARKET),
        **market(ONE_MARKET, TOKEN, price=10**18, shares=100, rate=10**18, borrows=30, cash=70),
        **market(OTHER_MARKET, WETH, price=2000 * 10**18, shares=100, rate=10**18, borrows=30, cash=70),
        **erc20(TOKEN, "suUSD", 18),
        **erc20(WETH, "USDC", 6),
        (ONE_MARKET, "isCToken()"): uint(0),
        (OTHER_MARKET, "isCToken()"): uint(1),
    }
    (rows, _) = answered(family.snapshot(csu("sumer", "meter")), book)
    assert [(row.symbol, row.cash_raw, row.borrowed_raw, row.price_unit) for row in rows] == [
        ("suUSD", 0, 30, 10**18),
        ("USDC", 70, 30, 10**18),
    ]


def test_a_market_that_is_no_longer_listed_still_settles() -> None:
    book = {
        **base(OTHER_MARKET),
        **market(ONE_MARKET, TOKEN, price=3 * 10**30, shares=1, rate=2 * 10**18, borrows=1, cash=1),
        **market(OTHER_MARKET, None, price=2000 * 10**18, shares=1, rate=3 * 10**18, borrows=1, cash=1),
        **erc20(TOKEN, "OLD", 6),
    }
    event = Liquidation("0xt", 1, "0xb", 0, at(1), at(2), ONE_MARKET, 50, ONE_MARKET, 7, {"event": "LiquidateBorrow"})
    (settled, _) = answered(family.settle(csu(), [event]), book)
    (done,) = settled.events
    assert (done.collateral_asset, done.collateral_amount_raw) == (TOKEN, 100)
    assert done.extra["exchange_rate"] == str(2 * 10**18)
    assert settled.facts[TOKEN].price_raw == 3 * 10**30


def test_emitters_are_the_markets_and_where_it_has_them_the_helpers() -> None:
    controller, gate = at(0x21), at(0x22)
    book = {
        **base(ONE_MARKET, OTHER_MARKET),
        (COMPTROLLER, "vaiController()"): address_word(controller),
        (COMPTROLLER, "liquidatorContract()"): address_word(gate),
    }
    (filters, _) = answered(family.emitters(csu("venus", "binance")), book)
    assert {one.address: set(one.topics0) for one in filters} == {
        ONE_MARKET: {family.LIQUIDATE_BORROW, *family.BAD_DEBT},
        OTHER_MARKET: {family.LIQUIDATE_BORROW, *family.BAD_DEBT},
        controller: {family.LIQUIDATE_VAI},
        gate: {family.LIQUIDATE_BORROWED_TOKENS},
    }
    (plain, _) = answered(family.emitters(csu()), base(ONE_MARKET))
    assert [one.address for one in plain] == [ONE_MARKET]
    zero = {**base(ONE_MARKET), (COMPTROLLER, "liquidatorContract()"): address_word(at(0))}
    (unset, _) = answered(family.emitters(csu("venus")), zero)
    assert [one.address for one in unset] == [ONE_MARKET]


def test_bad_debt_becomes_the_token_behind_the_ctoken_also_without_a_liquidation() -> None:
    logs = [
        Log(ONE_MARKET, (family.BAD_DEBT_INCREASED, "0x" + address_word(at(0x77)).hex()), uint(70) + uint(0) + uint(70), 1,
            "0xb", "0xt", 3),
        Log(OTHER_MARKET, (family.BAD_DEBT_RECOVERED,), uint(70) + uint(40), 1, "0xb", "0xt", 4),
    ]  # fmt: skip
    assert family.liquidations(csu(), logs) == []
    debts = family.bad_debt(csu(), logs)
    book = {
        **base(ONE_MARKET),  # the other one is delisted by the end of the day
        **market(ONE_MARKET, TOKEN, price=10**30, shares=1, rate=1, borrows=1, cash=1),
        **market(OTHER_MARKET, WETH, price=10**18, shares=1, rate=1, borrows=1, cash=1),
        (ONE_MARKET, "exchangeRateStored()"): uint(10**18),
        (OTHER_MARKET, "exchangeRateStored()"): uint(10**18),
        **erc20(TOKEN, "TOK", 6),
        **erc20(WETH, "WETH", 18),
    }
    (settled, _) = answered(family.settle(csu(), to_settle([], debts)), book)
    assert [(asset, amount) for _, asset, amount in settled_debts(debts, 0, settled.events)] == [
        (TOKEN, 70),
        (WETH, 30),
    ]
    assert settled.facts[TOKEN].symbol == "TOK"
