"""A row that names another contract gives no certified zero: every role of a row is replaced by live contracts of its world.

Tokens, implementations, oracles, libraries, price feeds and the market's own other parts, on a real node; and siblings, the
same market at other addresses (`twins`). What is replaced either changes no number or makes the answer loud. Where nothing
tells a sibling, the row says so (`interchangeable`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.chain import aave_v2, cap, compound_v3, fluid, morpho_blue
from tests.chain.anvil import MULTICALL3, Anvil
from tests.chain.compiled import compiler_missing
from tests.chain.fixtures import require_chain
from tests.chain.gearbox import GearboxMarket
from tests.chain.scenario import play as play_aave
from tests.chain.solc import cannot_build
from tests.chain.venus_days import Days
from tests.sources.answering import at
from tests.sources.twins import Town, places, raised, replaced, town

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import CryptolakeError
from cryptolake.net.abi import address_word, call_data, checksum
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.multicall import Call, CallResult, replay, transcript_from_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.anchors import interchangeable
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.discovery import Discoveries
from cryptolake.sources.onchain.families import declared, discovering, families
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain]
REPLACED = 20  # of each role, by lot
OF_A_TOWN = 150  # rows of each town, by lot
FACTORY, STAKED, MODEL = (checksum("0x" + "00" * 18 + end) for end in ("1e4d", "57ad", "13a7"))


@dataclass(frozen=True)
class World:
    """A node with one market on it, the market's true row, and days in which it lived."""

    node: Anvil
    csu: Csu
    days: tuple[date, ...]

    def contracts(self) -> list[str]:
        """Every contract there is: made by a transaction, seen in an event, or behind a proxy (EIP-1967)."""
        rpc, found = self.node.rpc, set[str]()
        for number in range(self.node.number() + 1):
            for tx in rpc("eth_getBlockByNumber", hex(number), False)["transactions"]:
                receipt = rpc("eth_getTransactionReceipt", tx)
                found |= {receipt["contractAddress"] or "", *(log["address"] for log in receipt["logs"])}
        slot = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a50d6b4d2b0c9d5f1d"
        for one in [*found - {""}]:
            found.add("0x" + rpc("eth_getStorageAt", one, slot, "latest")[-40:])
        return sorted(checksum(one) for one in found - {"", "0x" + "0" * 40})

    def pool(self, http: Http) -> Pool:
        endpoint = Endpoint("anvil", SecretUrl(self.node.url), Limits(rate=1e5))
        return Pool("local", 31337, [endpoint], http, sleep=lambda _: None)

    def town(self, siblings: int = 12) -> Town:
        """The market and its siblings, as the node answers at its newest final block."""
        with closing(Http()) as http:
            pool = self.pool(http)
            blocks = Blocks(pool)
            header = blocks.header(pool.finalized())
            csu = self.csu
            if (family := discovering(csu.family)) is not None:
                history = BlockRange(0, header.number + 1)
                csu = family.discover(csu, Discoveries(None, 0.0).upto(pool, family.discovery(csu), history).logs)
            return town(csu, pool, blocks, header, siblings)

    def read(self, **entry: str) -> dict[Partition, Any]:
        """What the row gives with other addresses: by partition its rows, or None where it was missed."""
        csu = replace(self.csu, entry={**self.csu.entry, **entry})
        chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0)
        http = Http()
        pool = self.pool(http)
        source = OnchainSource(registry=Registry({csu.name: csu}, {"local": chain}), csus=[csu], pools=lambda _: pool)
        wanted = [Partition("liquidations", "local", Period.of_day(day)) for day in self.days]
        wanted.append(Partition("tvl", "local", Period.of_day(self.days[-1])))
        found: dict[Partition, Any] = dict.fromkeys(wanted)
        try:
            for trip in source.trips(wanted):
                try:
                    for one in source.fetch(trip):
                        if isinstance(one, Raw):
                            found[one.partition] = [
                                {name: value for name, value in row.items() if "price" not in name}
                                for row in source.parse(one)
                            ]
                except CryptolakeError:
                    pass  # loud
        finally:
            http.close()
        return found


def market(
    node: Anvil,
    family: str,
    days: tuple[date, ...],
    protocol: str = "",
    facts: tuple[str, str] | None = None,
    **entry: str,
) -> World:
    named = {role: checksum(address) for role, address in entry.items()}
    told = {} if facts is None else {facts[0]: checksum(facts[1])}
    return World(node, Csu("local", family, protocol or family, "", "local", 31337, named, facts=told), days)


def december(first: int, last: int) -> tuple[date, ...]:
    return tuple(date(2024, 12, 1) + timedelta(days=number - 1) for number in range(first, last + 1))


def aave(node: Anvil) -> World:
    made = play_aave(node).market
    named = {"pool": made.pool, "pool_addresses_provider": made.provider, "oracle": made.oracle}
    return market(node, "aave_v3", december(4, 12), **named, protocol_data_provider=made.data_provider)


def old_aave(node: Anvil) -> World:
    made = aave_v2.play(node).ether
    return market(node, "aave_v2", december(3, 6), pool=made.pool, pool_addresses_provider=made.provider)


def comet(node: Anvil) -> World:
    played = compound_v3.play(node, compound_v3.synthetic())
    fact = ("base_token", played.usdc.base.asset)
    return market(node, "compound_v3", december(4, 9), "compound", fact, comet=played.usdc.comet)


def caps(node: Anvil) -> World:
    """With a stand-in for the staked token, which names the vault whatever it is asked."""
    made = cap.play(node).market
    node.rpc("anvil_setCode", STAKED, answering(made.vault))
    node.empty_blocks(70, 12)
    named = {"cap_token_vault": made.vault, "lender": made.lender, "delegation": made.delegation}
    fact = ("usdc", made.tokens["USDC"].asset)
    return market(node, "cap", december(3, 8), "cap", fact, **named, oracle=made.oracle, staked_token=STAKED)


def morpho(node: Anvil) -> World:
    """With a stand-in for the rate model, which names Morpho whatever it is asked: the published mock names nobody."""
    made = morpho_blue.play(node)
    node.rpc("anvil_setCode", MODEL, answering(made.address))
    tx = {
        "from": node.accounts[0],
        "to": made.address,
        "data": "0x" + call_data("enableIrm(address)", MODEL).hex(),
        "gas": "0x100000",
    }
    node.rpc("eth_sendTransaction", tx)
    node.empty_blocks(70, 12)
    return market(node, "morpho_blue", december(2, 6), "morpho", morpho=made.address, adaptive_curve_irm=MODEL)


def fluids(node: Anvil) -> World:
    """With a stand-in for the lending factory, which names its Liquidity contract whatever it is asked."""
    made, _ = fluid.play(node)
    node.rpc("anvil_setCode", FACTORY, answering(made.liquidity))
    node.empty_blocks(70, 12)
    named = {"liquidity": made.liquidity, "vault_factory": made.factory, "lending_factory": FACTORY}
    return market(node, "fluid", december(1, 3), **named)


def aave_v2_missing() -> str | None:
    there = aave_v2.ARTIFACTS.is_dir()
    return None if there else "the published Aave V2 contracts are not installed; run: npm ci --ignore-scripts"


def answering(address: str) -> str:
    """Code that gives this address for every call."""
    return "0x73" + address[2:] + "60005260206000f3"


WORLDS: dict[str, tuple[Callable[[Anvil], World], Callable[[], str | None]]] = {
    "aave_v3": (aave, lambda: None),
    "aave_v2": (old_aave, aave_v2_missing),
    "compound_v3": (comet, compiler_missing),
    "cap": (caps, compiler_missing),
    "morpho_blue": (morpho, morpho_blue.cannot_play),
    "fluid": (fluids, lambda: cannot_build(morpho_blue.COMPILER)),
}
SLOW = {"aave_v2"}  # read in their towns only


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    require_chain()
    play, lacking = WORLDS[request.param]
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield play(node)


def test_no_replaced_address_gives_a_certified_zero(world: World, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["world"] in SLOW:
        pytest.skip("its town is read instead: a conversation with this node takes too long")
    truth = world.read()
    assert all(rows is not None for rows in truth.values())
    assert any(rows for partition, rows in truth.items() if partition.dataset == "liquidations")
    assert any(int(str(row["total_supplied_raw"])) for row in truth[max(truth, key=lambda one: one.dataset)])
    contracts, lot = world.contracts(), random.Random(15)
    assert len(contracts) > 5
    tried = loud = 0
    for role, address in world.csu.entry.items():
        others = [one for one in contracts if one != address]
        for other in lot.sample(others, min(REPLACED, len(others))):
            found = world.read(**{role: other})
            for partition, rows in found.items():
                assert rows is None or rows == truth[partition], (role, other, partition)
            tried, loud = tried + 1, loud + any(rows is None for rows in found.values())
    assert tried >= 5
    assert loud >= tried / 4


def test_no_sibling_passes_for_the_market(world: World) -> None:
    no_sibling_passes(world.town())


@pytest.mark.xdist_group("venus")
def test_no_sibling_passes_for_venus(venus_core: Days, venus_pool: Days) -> None:
    core, pool = venus_core.market, venus_pool.market
    native = {"native_ctoken": core.tokens["BNB"].vtoken, "comptroller": core.comptroller}
    no_sibling_passes(market(venus_core.node, "compound_v2", (), "venus", **native).town())
    fact = ("ctoken", pool.tokens["USDC"].vtoken)
    no_sibling_passes(market(venus_pool.node, "compound_v2", (), "venus", fact, comptroller=pool.comptroller).town())


@pytest.mark.xdist_group("gearbox")
def test_no_sibling_passes_for_gearbox(gearbox_market: GearboxMarket) -> None:
    made = gearbox_market
    named = {"address_provider_v300": made.provider_v300, "address_provider_v310": made.provider_v310}
    more = {"address_provider_v1": made.v2.provider, "legacy_market_configurators": made.legacy}
    no_sibling_passes(market(made.node, "gearbox", (), "gearbox", **named, **more).town())


def no_sibling_passes(where: Town) -> None:
    """Every role of a row, replaced by contracts of its town: the truth, or loud, or said to be interchangeable."""
    assert where.read(where.csu) == where.truth
    alike = interchangeable(where.csu, declared()[where.csu.family])
    lot = random.Random(15)
    rows = [
        (role, old, new, kind)
        for role, old in places(where.csu)
        for kind, news in (("sibling", [one[old] for one in where.siblings]), ("other", where.others))
        for new in news
        if new not in where.csu.entry[role]
    ]
    siblings = [one for one in rows if one[3] == "sibling"]
    others = [one for one in rows if one[3] == "other"]
    tried = siblings + lot.sample(others, min(OF_A_TOWN - len(siblings), len(others)))
    passed = set()
    for role, old, new, kind in tried:
        for name, value in where.read(replaced(where.csu, role, old, new)).items():
            if isinstance(value, CryptolakeError) or value == where.truth[name]:
                continue
            assert (kind, role in alike) == ("sibling", True), (role, new, name, value)
            passed.add(role)
    assert len(tried) >= min(OF_A_TOWN, len(rows))
    assert passed <= set(alike)


def recorded_vaults() -> tuple[Csu, dict[Call, CallResult]]:
    """Euler, whose vaults no package publishes: recorded answers, and what its factory and perspectives are asked besides."""
    recorded = json.loads((Path(__file__).parent / "data" / "euler_v2_local_node.json").read_text("utf-8"))
    entry = {"evault_factory": at(1), "perspectives": ",".join(recorded["perspectives"])}
    csu = Csu("local", "euler_v2", "euler", "2", "local", 31337, entry)
    rounds = transcript_from_json(recorded["snapshots"][0]["rounds"])
    answers = {call: answer for stored in rounds for call, answer in stored}
    answers[Call(at(1), call_data("implementation()"))] = CallResult(True, address_word(at(2)))
    return csu, answers


def test_no_sibling_passes_for_a_market_of_recorded_vaults() -> None:
    csu, answers = recorded_vaults()
    family = families()["euler_v2"]
    truth = {name: replay(getattr(family, name)(csu), [list(answers.items())]) for name in ("snapshot", "emitters")}
    no_sibling_passes(raised(csu, truth, answers, {one.asset for one in truth["snapshot"]}))
