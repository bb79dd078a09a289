"""The rows that ship with the package: complete, linted, fast to load, and found by name, alias and selection."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import pytest
import yaml

from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.lint import PRIMARY_ENTRY
from cryptolake.registry.loader import load_registry, select
from cryptolake.registry.stablecoins import stablecoins

DATA = files("cryptolake.registry") / "data"


def test_every_market_and_chain_is_there() -> None:
    registry = load_registry()
    assert (len(registry.csus), len(registry.chains)) == (177, 41)
    by_family = Counter(csu.family for csu in registry.csus.values())
    assert by_family["aave_v3"] == 36
    assert by_family["compound_v2"] == 46
    assert by_family["compound_v3"] == 28
    assert set(by_family) == set(PRIMARY_ENTRY)
    listed = [csu for csu in registry.csus.values() if csu.in_seed_43 or csu.in_thesis_46]
    assert len(listed) == 47
    assert not any(csu.sandbox for csu in registry.csus.values())


def test_each_file_holds_its_own_family() -> None:
    for file in (DATA / "markets").iterdir():
        rows = yaml.safe_load(file.read_text("utf-8"))["csus"]
        assert {row["family"] for row in rows} == {file.name.removesuffix(".yaml")}


def test_names_and_aliases_lead_to_one_row() -> None:
    registry = load_registry()
    assert registry.csu("aave_v3_ethereum_lido").name == "aave_v3_ethereum_prime"
    assert registry.chain("mainnet").name == "ethereum"
    for csu in registry.csus.values():
        assert all(registry.csu(name) is csu for name in (csu.name, *csu.aliases))


@pytest.mark.parametrize(("typed", "meant"), [("aave_v3_etherium", "aave_v3_ethereum"), ("benqi", "benqi")])
def test_an_unknown_market_names_near_misses(typed: str, meant: str) -> None:
    registry = load_registry()
    if typed in registry.csus:
        pytest.skip(f"{typed} is a market")
    with pytest.raises(BadInput, match=typed) as caught:
        registry.csu(typed)
    assert meant in str(caught.value)
    assert "\n" not in str(caught.value)


def test_selection_joins_criteria() -> None:
    registry = load_registry()
    assert len(select(registry)) == 177
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
    assert len(lines) == 208
    addresses = [cell for line in lines[1:] for cell in line.split(",") if cell.startswith("0x") and len(cell) == 42]
    assert len(addresses) >= 207
    assert all(checksum(address) == address for address in addresses)


def test_the_stablecoins_of_the_plan_with_their_pegs() -> None:
    coins = stablecoins()
    assert {coins[key].peg for key in ("celo-euro", "celo-real-creal", "dai")} == {
        "peggedEUR",
        "peggedREAL",
        "peggedUSD",
    }
    assert len({coin.id for coin in coins.values()}) == len(coins) >= 13
    assert list(coins) == sorted(coins)
