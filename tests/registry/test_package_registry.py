"""The rows that ship with the package: complete, linted, fast to load, and found by name, alias and selection."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import pytest
import yaml

from cryptolake.contracts.receipt_rules import NOT_SUPPORTED
from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.chains import UNSAID
from cryptolake.registry.loader import load_registry, select
from cryptolake.registry.stablecoins import stablecoins
from cryptolake.sources.onchain.families import declared, families

DATA = files("cryptolake.registry") / "data"


def rows_of(file: Traversable) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.safe_load(file.read_text("utf-8"))["csus"]
    return rows


def test_every_row_of_the_files_is_a_market_of_a_declared_family() -> None:
    registry = load_registry(declared())
    written = [row for file in sorted((DATA / "markets").iterdir(), key=str) for row in rows_of(file)]
    assert sorted(registry.csus) == sorted(row["name"] for row in written)
    assert set(registry.chains) == set(yaml.safe_load((DATA / "chains.yaml").read_text("utf-8"))["chains"])
    assert {csu.family for csu in registry.csus.values()} <= set(declared())
    assert not any(csu.sandbox for csu in registry.csus.values())


def test_every_declared_family_has_markets_and_those_that_cannot_be_read_say_so() -> None:
    registry = load_registry(declared())
    assert set(declared()) == {csu.family for csu in registry.csus.values()}
    assert {name for name, one in declared().items() if one.readable} == set(families())
    assert all(one.accounting is not None for one in declared().values() if one.readable)


def test_each_file_holds_its_own_family() -> None:
    for file in (DATA / "markets").iterdir():
        assert {row["family"] for row in rows_of(file)} == {file.name.removesuffix(".yaml")}


def test_names_and_aliases_lead_to_one_row() -> None:
    registry = load_registry(declared())
    assert registry.csu("aave_v3_ethereum_lido").name == "aave_v3_ethereum_prime"
    assert registry.chain("mainnet").name == "ethereum"
    for csu in registry.csus.values():
        assert all(registry.csu(name) is csu for name in (csu.name, *csu.aliases))


@pytest.mark.parametrize(("typed", "meant"), [("aave_v3_etherium", "aave_v3_ethereum"), ("benqi", "benqi")])
def test_an_unknown_market_names_near_misses(typed: str, meant: str) -> None:
    registry = load_registry(declared())
    if typed in registry.csus:
        pytest.skip(f"{typed} is a market")
    with pytest.raises(BadInput, match=typed) as caught:
        registry.csu(typed)
    assert meant in str(caught.value)
    assert "\n" not in str(caught.value)


def test_selection_joins_criteria() -> None:
    registry = load_registry(declared())
    assert select(registry) == [registry.csus[name] for name in sorted(registry.csus)]
    on_base = select(registry, chains=["base"], families=iter(["compound_v3"]))
    assert on_base
    assert all(csu.chain == "base" and csu.family == "compound_v3" for csu in on_base)
    assert [csu.name for csu in select(registry, csus=["aave_v3_ethereum"], chains=["eth"])] == ["aave_v3_ethereum"]
    assert select(registry, csus=["aave_v3_ethereum"], chains=["base"]) == []
    with pytest.raises(BadInput, match="unknown family 'aave'"):
        select(registry, families=["aave"])
    with pytest.raises(BadInput, match="ethereum"):
        select(registry, chains=["etherium"])


def test_chainlink_feeds_pass_the_checksum() -> None:
    lines = (DATA / "chainlink_feeds.csv").read_text("utf-8").splitlines()
    addresses = [cell for line in lines[1:] for cell in line.split(",") if cell.startswith("0x") and len(cell) == 42]
    assert len(addresses) >= len(lines) - 1
    assert all(checksum(address) == address for address in addresses)


def test_the_stablecoins_of_the_plan_with_their_pegs() -> None:
    coins = stablecoins()
    assert {coins[key].peg for key in ("celo-euro", "celo-real-creal", "dai")} == {
        "peggedEUR",
        "peggedREAL",
        "peggedUSD",
    }
    assert len({coin.id for coin in coins.values()}) == len(coins)
    assert list(coins) == sorted(coins)


def test_every_chain_says_how_its_receipts_are_hashed_or_why_they_prove_nothing() -> None:
    for chain in load_registry(declared()).chains.values():
        assert chain.receipts_why != UNSAID, chain.name
    rows = yaml.safe_load((DATA / "chains.yaml").read_text("utf-8"))["chains"]
    assert {name for name, row in rows.items() if row["receipts"]["rule"] == NOT_SUPPORTED} == {
        name for name, chain in load_registry(declared()).chains.items() if chain.receipts is None
    }
    stacks = {name for name, row in rows.items() if row["kind"] == "L2 (op-stack)"}
    assert {load_registry(declared()).chain(name).receipts for name in stacks} == {"op_stack"}
