"""Family fluid: its arithmetic equals recorded answers of Fluid's own library; its calls and events run on a real node.

The node carries a synthetic contract with the documented storage and interfaces (tests/chain/fluid.py): no package
publishes Fluid's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.chain.fluid import LEFT, STAKED, Fluid, big, play
from tests.chain.morpho_blue import COMPILER
from tests.chain.solc import cannot_build

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Skip
from cryptolake.net.abi import checksum, selector
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.logs import Log
from cryptolake.net.multicall import CallResult, replay, transcript_from_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import fluid, fluid_storage
from cryptolake.sources.onchain.source import OnchainSource

Played = tuple[Fluid, Sequence[str]]

# Packed exchange prices, packed totals -> supply price, borrow price, supplied, borrowed at NOW, as answered by the
# protocol's own LiquidityCalcs on a local node for made-up words; one for each way through its arithmetic.
NOW = 1735689600
RECORDED = {
    "no time passed": (
        0x8000007E05CDC2E6000000F65EC3B6CA19DD21600F67000031704D3,
        0x92500012AA09F76B53C00001E1FB17C230E0000006CAD4A2634,
        (2116303678868, 1082526500300, 17377806205461846416435920, 1600765955106435444607862275387),
    ),
    "nobody earns": (
        0x20000000800000CC5A570963800000F32D8C2B9099DD0221878E000172412BC,
        0x61D13DEEF86230000006BF46C69020000000009BA1D3B0000000151D7A630,
        (2088882427681, 1756232069674, 380493966485003625696781, 230964690563579150066830),
    ),
    "more debt without interest": (
        0x29E843E2000000853F55788D00000126A701C91499DD189324FDFE4D66992B1,
        0x16BFEC8A0A0000000002E3573C0038C562C33A4F2A000721D269A9A512,
        (2531741771086, 1145814742283, 274527900980911265345290384, 250033512649464129138956),
    ),
    "no rate": (
        0x2B78000800000D9C6B748BD00000141756D268199DD0A864A2AC6EC7AC0000,
        0x3CFAF554962A000272256BADF93400001DE7A46309330000000000000E09,
        (2761309179139, 1870683607418, 289221982629042456180575569, 22657802514860697537054280249),
    ),
    "more of both with interest": (
        0x20000000000000CF8360B14B000000E015BAB06699BC21B3D5A10001F2F0303,
        0x33A0000019FB9AF502000000000000001150000001C3077282D,
        (1924874461389, 1820222945090, 32029981138692535708140, 55391593930143597393),
    ),
    "nobody pays": (
        0x200040000000014D9242AC01000000E6BCFBD58299C484BBAD686E920370001,
        0x1B5FF38721ECF81D00000003B890713B000000000BB5F9040F7E1479281C1925,
        (1982026197765, 2865355905026, 1187901754921891678194943566, 107251922997905860534481202),
    ),
    "more supply without interest": (
        0x12B18000007603AD347E800000D9C1B0E05519DCF61ACD2200017B1074A,
        0xDF3F3C000000000021EC300762C931A59C4A1D000000000009F931,
        (1870514995370, 1014001427119, 1116125691527629974315446, 65893095462573783363605),
    ),
}


@pytest.mark.parametrize("case", RECORDED)
def test_arithmetic_is_the_protocols_own(case: str) -> None:
    prices, amounts, answer = RECORDED[case]
    found = fluid_storage.exchange_prices(prices, NOW)
    assert (*found, *fluid_storage.totals(amounts, *found)) == answer


def test_the_example_of_the_protocols_documentation() -> None:
    """8 of 9 borrowed pay 10 % for half a year, half of it is the fee, 10 of 12 supplied earn: 1.05 and 1.02."""
    half_a_year = int(182.5 * 86400)
    supply_ratio, borrow_ratio = 2 * 2000, 2 * 1250
    packed = (
        1000 | 5000 << 16 | 7500 << 30 | (NOW - half_a_year) << 58
        | 10**12 << 91 | 10**12 << 155 | supply_ratio << 219 | borrow_ratio << 234
    )  # fmt: skip
    assert fluid_storage.exchange_prices(packed, NOW) == (1_020_000_000_000, 1_050_000_000_000)


def test_a_snapshot_of_the_protocols_own_contracts_equals_their_resolver() -> None:
    """Recorded on a local node with Fluid's own proxy and resolver over invented storage; see data/README.md."""
    recorded = orjson.loads((Path(__file__).parent / "data" / "fluid_recorded.json").read_bytes())
    csu = Csu("f", "fluid", "fluid", "1", "local", 31337, {"liquidity": recorded["liquidity"]})
    reserves = replay(fluid.snapshot(csu), transcript_from_json(recorded["rounds"]))
    found = {one.asset: [str(one.supplied_raw), str(one.borrowed_raw)] for one in reserves}
    assert found == recorded["resolver"]
    assert [one.symbol for one in reserves] == ["ETH", "USDC", "MKR", "weETH"]
    assert [one.cash_raw for one in reserves] == [1313131313131313131313, 2345678901234, 0, 0]


@given(st.integers(0, 2**120))
def test_big_numbers_lose_only_what_does_not_fit(amount: int) -> None:
    supplied, borrowed = fluid_storage.totals(big(amount) | big(amount) << 192, 10**12, 10**12)
    assert supplied == borrowed <= amount
    assert amount - supplied < 2 ** max(0, amount.bit_length() - 56)


def test_a_price_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="exchange price of 0"):
        fluid_storage.exchange_prices(1 << 91, NOW)


def test_topics_and_selectors_are_the_documented_ones() -> None:
    assert fluid.LOG_LIQUIDATE == "0x80fd9cc6b1821f4a510e45ffce6852ea3404807b5d3d833ffa85664408afcb66"
    documented = {
        "readFromStorage(bytes32)": "b5c736e4",
        "totalVaults()": "8d654023",
        "getVaultAddress(uint256)": "e6bd26a2",
        "constantsView()": "b7791bf2",
        "getCurrentBlockTimestamp()": "0f28c97d",
    }
    assert {one: selector(one).hex() for one in documented} == documented


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """Three days of a synthetic Fluid on a running node."""
    require_chain()
    if (why := cannot_build(COMPILER)) is not None:
        pytest.skip(why)
    with Anvil() as node:
        yield play(node)


def source_on(one: Fluid, chain_id: int = 31337) -> OnchainSource:
    entry = {"liquidity": checksum(one.liquidity), "vault_factory": checksum(one.factory)}
    csu = Csu("local", "fluid", "fluid", "1", "local", chain_id, entry, deployed_block=one.deployed_block)
    chain = Chain("local", 31337, multicall3_address="0xcA11bde05977b3631167028862bE2a173976CA11", multicall3_block=0)
    pool = Pool("local", 31337, [Endpoint("anvil", SecretUrl(one.node.url), Limits(rate=10_000))], Http())
    return OnchainSource(registry=Registry({"local": csu}, {"local": chain}), csus=[csu], pools=lambda _: pool)


def rows(source: OnchainSource, dataset: str, day: int) -> Sequence[Row]:
    (trip,) = source.trips([Partition(dataset, "local", Period.of_day(date(2024, 12, day)))])
    (raw,) = source.fetch(trip)
    assert isinstance(raw, Raw), raw
    return source.parse(raw)


@pytest.mark.chain
@pytest.mark.xdist_group("morpho")
class TestOnTheNode:
    """Everything that needs the chain, on one worker."""

    @pytest.mark.parametrize(("day", "listed"), [(1, 2), (2, 4), (3, 4)])
    def test_every_token_on_every_day(self, played: Played, day: int, listed: int) -> None:
        one, _ = played
        found = rows(source_on(one), "tvl", day)
        assert [row["asset"] for row in found] == [checksum(token) for token in list(one.tokens.values())[:listed]]
        for symbol, row in zip(one.tokens, found, strict=False):
            assert row["symbol"] == symbol
            assert row["price_raw"] is None
            truth = [0, 0] if symbol == "weETH" else one.truth(symbol, one.last_block_of(day))
            assert [int(str(row[f"total_{side}_raw"])) for side in ("supplied", "borrowed")] == truth

    def test_interest_runs_on_a_quiet_day(self, played: Played) -> None:
        one, _ = played
        before, after = (rows(source_on(one), "tvl", day) for day in (2, 3))
        for old, new in zip(before[:3], after[:3], strict=True):
            for side in ("total_supplied_raw", "total_borrowed_raw"):
                assert int(str(new[side])) > int(str(old[side]))

    def test_cash_is_what_is_held_in_coin_token_and_stake(self, played: Played) -> None:
        one, _ = played
        for chain_id, staked in ((31337, 0), (1, STAKED)):
            held = {row["symbol"]: int(str(row["cash_raw"])) for row in rows(source_on(one, chain_id), "tvl", 3)}
            assert held == {"ETH": 42 * 10**18 + 5, "USDC": 123_456_789_012, "MKR": 0, "weETH": LEFT + staked}

    def test_liquidations_of_plain_and_smart_vaults(self, played: Played) -> None:
        one, hashes = played
        found = [row for day in (1, 2, 3) for row in rows(source_on(one), "liquidations", day)]
        assert [row["tx"] for row in found] == list(hashes)
        assert all(row["borrower"] is None for row in found)
        eth, usdc = (checksum(one.tokens[symbol]) for symbol in ("ETH", "USDC"))
        first, smart, last, emptied = found
        for row, amounts in ((first, (3 * 10**18, 9_999_000_001)), (last, (10**17, 350_000_000))):
            assert (row["collateral_asset"], row["collateral_symbol"], row["collateral_decimals"]) == (eth, "ETH", 18)
            assert (row["debt_asset"], row["debt_symbol"], row["debt_decimals"]) == (usdc, "USDC", 6)
            assert (int(str(row["collateral_amount_raw"])), int(str(row["debt_amount_raw"]))) == amounts
            assert row["liquidator"] == checksum(one.node.accounts[6])
            assert orjson.loads(str(row["extra"]))["vault"] == checksum(one.vaults["T1"])
        extra, block = orjson.loads(str(smart["extra"])), one.last_block_of(2)
        for side, users, shares in (("collateral", 8, 5 * 10**17), ("debt", 9, 4 * 10**17)):
            parts = [one.part(symbol, users, shares, block) for symbol in ("ETH", "USDC")]
            assert all(parts)
            assert (smart[f"{side}_asset"], smart[f"{side}_symbol"]) == (eth, "ETH")
            assert extra[f"{side}_tokens"] == f"{eth} {usdc}"
            assert extra[f"{side}_tokens_raw"] == f"{parts[0]} {parts[1]}"
            assert (extra[f"{side}_pool"], extra[f"{side}_shares"]) == (checksum(one.pool), str(shares))
            in_eth = parts[0] + parts[1] * 10**12 / 3500
            assert int(str(smart[f"{side}_amount_raw"])) == pytest.approx(in_eth, rel=1e-9)  # the pool keeps 32 bits
        assert (emptied["collateral_asset"], emptied["collateral_symbol"]) == (checksum(one.pool), "ETH/USDC DEX")
        assert (emptied["collateral_amount_raw"], emptied["collateral_decimals"]) == (str(10**15), 18)
        assert emptied["debt_asset"] == eth, "the other side's shares still hold tokens"

    def test_without_its_vault_factory_no_day_is_without_liquidations(self, played: Played) -> None:
        one, _ = played
        source = source_on(replace(one, factory="0x" + "00" * 19 + "77"))
        (trip,) = source.trips([Partition("liquidations", "local", Period.of_day(date(2024, 12, 1)))])
        (miss,) = source.fetch(trip)
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("failed", "identity")


CSU = Csu("f", "fluid", "fluid", "1", "ethereum", 1, {"liquidity": "0x52Aa899454998Be5b000Ad077a46Bbe360F4e497"})


def test_an_unknown_layout_is_refused_by_name() -> None:
    def log(data: bytes) -> Log:
        vault = checksum("0x" + "12" * 20)
        return Log(vault, (fluid.LOG_LIQUIDATE,), data, 5, "0x" + "ab" * 32, "0x" + "cd" * 32, 3)

    with pytest.raises(Skip, match="unknown layout"):
        fluid.liquidations(CSU, [log(bytes(96))])
    (event,) = fluid.liquidations(CSU, [log(bytes(128))])
    program = fluid.settle(CSU, [event])
    next(program)
    with pytest.raises(Skip, match="512 bytes, 416 or 576 known"):
        program.send([CallResult(True, bytes(512))])
