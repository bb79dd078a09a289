"""A row that names another contract gives no certified zero: every role of a row is replaced by live contracts of its world.

Tokens, implementations, oracles, libraries, price feeds and the market's own other parts, on a real node. What is replaced
either changes no number or makes the answer loud.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from tests.chain import cap, compound_v3, fluid, morpho_blue
from tests.chain.anvil import MULTICALL3, Anvil
from tests.chain.compiled import compiler_missing
from tests.chain.fixtures import require_chain
from tests.chain.scenario import play as play_aave
from tests.chain.solc import cannot_build

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import CryptolakeError
from cryptolake.net.abi import checksum
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain]
REPLACED = 40  # of each role, by lot
FACTORY = "0x" + "00" * 18 + "1e4d"


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

    def read(self, **entry: str) -> dict[Partition, Any]:
        """What the row gives with other addresses: by partition its rows, or None where it was missed."""
        csu = Csu(**{**{name: getattr(self.csu, name) for name in Csu.__slots__}, "entry": {**self.csu.entry, **entry}})
        chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0)
        http = Http()
        endpoint = Endpoint("anvil", SecretUrl(self.node.url), Limits(rate=1e5))
        pool = Pool("local", 31337, [endpoint], http, sleep=lambda _: None)
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


def market(node: Anvil, family: str, days: tuple[date, ...], protocol: str = "", **entry: str) -> World:
    named = {role: checksum(address) for role, address in entry.items()}
    return World(node, Csu("local", family, protocol or family, "", "local", 31337, named), days)


def december(first: int, last: int) -> tuple[date, ...]:
    return tuple(date(2024, 12, 1) + timedelta(days=number - 1) for number in range(first, last + 1))


def aave(node: Anvil) -> World:
    made = play_aave(node).market
    named = {"pool": made.pool, "pool_addresses_provider": made.provider, "oracle": made.oracle}
    return market(node, "aave_v3", december(4, 12), **named, protocol_data_provider=made.data_provider)


def comet(node: Anvil) -> World:
    played = compound_v3.play(node, compound_v3.synthetic())
    return market(node, "compound_v3", december(4, 9), comet=played.usdc.comet)


def caps(node: Anvil) -> World:
    made = cap.play(node).market
    named = {"cap_token_vault": made.vault, "lender": made.lender, "delegation": made.delegation}
    return market(node, "cap", december(3, 8), **named, oracle=made.oracle)


def morpho(node: Anvil) -> World:
    made = morpho_blue.play(node)
    return market(node, "morpho_blue", december(2, 6), "morpho", morpho=made.address, adaptive_curve_irm=made.irm)


def fluids(node: Anvil) -> World:
    """With a stand-in for the lending factory, which names its Liquidity contract whatever it is asked."""
    made, _ = fluid.play(node)
    node.rpc("anvil_setCode", FACTORY, "0x73" + made.liquidity[2:] + "60005260206000f3")
    node.empty_blocks(70, 12)
    named = {"liquidity": made.liquidity, "vault_factory": made.factory, "lending_factory": FACTORY}
    return market(node, "fluid", december(1, 3), **named)


WORLDS: dict[str, tuple[Callable[[Anvil], World], Callable[[], str | None]]] = {
    "aave_v3": (aave, lambda: None),
    "compound_v3": (comet, compiler_missing),
    "cap": (caps, compiler_missing),
    "morpho_blue": (morpho, morpho_blue.cannot_play),
    "fluid": (fluids, lambda: cannot_build(morpho_blue.COMPILER)),
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    require_chain()
    play, lacking = WORLDS[request.param]
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield play(node)


def test_no_replaced_address_gives_a_certified_zero(world: World) -> None:
    truth = world.read()
    assert all(rows is not None for rows in truth.values())
    assert any(rows for partition, rows in truth.items() if partition.dataset == "liquidations")
    assert any(int(str(row["total_supplied_raw"])) for row in truth[max(truth, key=lambda one: one.dataset)])
    contracts, lot = world.contracts(), random.Random(15)
    assert len(contracts) > 5
    tried = loud = 0
    for role, address in world.csu.entry.items():
        others = [one for one in contracts if one != address and not is_sibling(world, role, one)]
        for other in lot.sample(others, min(REPLACED, len(others))):
            found = world.read(**{role: other})
            for partition, rows in found.items():
                assert rows is None or rows == truth[partition], (role, other, partition)
            tried, loud = tried + 1, loud + any(rows is None for rows in found.values())
    assert tried >= 5
    assert loud >= tried / 4


def is_sibling(world: World, role: str, contract: str) -> bool:
    """Whether it is another market of the family by itself: two rows of one contract are refused when the registry is read."""
    if role != "comet" or contract == world.csu.entry[role]:
        return False
    at = hex(world.node.number())
    indexed = world.node.rpc
    try:
        said = indexed("eth_call", {"to": contract, "data": "0xb9f0baf7"}, at)  # totalsBasic()
    except Exception:  # noqa: BLE001  # a node's error: no such getter
        return False
    return said != "0x" and int(said[:66], 16) > 0
