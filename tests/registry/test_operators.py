"""Whose voice an endpoint speaks with, by the registry and by what the user tells: nobody is two, and unknown is one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.net.endpoint import Endpoint, SecretUrl
from cryptolake.net.told import ToldLimits
from cryptolake.net.voices import UNKNOWN, distinct, same_voice, surely_one, voice
from cryptolake.registry.endpoints import endpoints_of
from cryptolake.registry.loader import load_registry
from cryptolake.registry.providers import operator_of, operators, rpc_plans
from cryptolake.sources.onchain.families import declared

NAMES = st.sampled_from(["", "a", "b", "c"])
ENDPOINTS = st.builds(
    lambda operator, upstream: Endpoint("e", SecretUrl("u"), operator=operator, upstream=upstream), NAMES, NAMES
)


def test_every_host_of_a_plan_and_of_an_operator_has_one_owner() -> None:
    hosts = Counter(host for one in operators().values() for host in one.hosts)
    assert max(hosts.values()) == 1
    for plan in rpc_plans().values():
        for host in plan.hosts if plan.name != "local" else ():
            assert operator_of(f"https://eth.{host}/key") is not None, plan.name
    assert all(one.source for one in operators().values())


def test_a_node_on_this_machine_is_nobody_known() -> None:
    assert operator_of("http://127.0.0.1:8545") is None
    assert operator_of("https://notdrpc.org") is None
    assert operator_of("no url") is None


def test_keys_and_addresses_of_one_operator_are_one_voice() -> None:
    chain = load_registry(declared()).chains["ethereum"]
    found = endpoints_of(chain, own=[], rate=None, keys=["one", "two"], plan="free", public=True)
    voices = Counter(voice(one) for one in found)
    assert voices["alchemy"] == 2
    assert same_voice(found[0], found[1])
    assert len(voices) > 2
    assert not any(same_voice(found[0], one) for one in found[2:])


def test_what_the_user_tells_of_an_endpoint_counts() -> None:
    chain = load_registry(declared()).chains["ethereum"]
    one, other = endpoints_of(
        chain, own=["https://a.example", "https://b.example"], rate=None, keys=[], plan="free", public=False
    )
    assert voice(one) == voice(other) == UNKNOWN
    assert same_voice(one, other)
    mine = ToldLimits.model_validate({"operator": "me"}).applied(one)
    assert voice(mine) == "me"
    assert same_voice(mine, other)
    assert not same_voice(mine, ToldLimits.model_validate({"operator": "you"}).applied(other))
    assert ToldLimits.model_validate({"rate": 5}).applied(mine).operator == "me"


@pytest.mark.parametrize(("one", "other"), [("Me", "me"), ("me ", "me"), ("Alchemy", "alchemy"), ("STRASSE", "straße")])
def test_a_name_is_the_same_however_it_is_spelt(one: str, other: str) -> None:
    first, second = (Endpoint("e", SecretUrl("u"), operator=name) for name in (one, other))
    assert same_voice(first, second)
    assert voice(first) == voice(second)


@given(ENDPOINTS, ENDPOINTS)
def test_a_name_in_common_makes_one_voice_of_two(one: Endpoint, other: Endpoint) -> None:
    assert same_voice(one, one)
    assert same_voice(one, other) == same_voice(other, one)
    names = [{each.operator, each.upstream} - {""} for each in (one, other)]
    assert surely_one(one, other) == bool(names[0] & names[1])
    assert same_voice(one, other) == (surely_one(one, other) or not all(names))
    assert same_voice(one, replace(other, operator="", upstream=""))


@given(st.lists(st.sampled_from([UNKNOWN, "a", "b"])))
def test_an_unknown_voice_adds_none_to_known_ones(voices: list[str]) -> None:
    assert distinct(voices) == distinct(dict.fromkeys(voices))
    known = set(voices) - {UNKNOWN}
    assert distinct([*voices, UNKNOWN]) == max(1, len(known))


def test_every_public_endpoint_of_the_registry_is_somebodys() -> None:
    """Else it would bear nobody out."""
    urls = {url for chain in load_registry(declared()).chains.values() for url in chain.public_rpcs}
    assert [url for url in sorted(urls) if operator_of(url) is None] == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://nd-1-2-3.p2pify.com/k", "chainstack"),
        ("https://ethereum-mainnet.core.chainstack.com/k", "chainstack"),
        ("https://go.getblock.io/k", "getblock"),
        ("https://mainnet.gateway.tenderly.co/k", "tenderly"),
        ("https://virginia.rpc.blxrbdn.com", "bloxroute"),
        ("https://eth.nownodes.io/k", "nownodes"),
        ("https://api.zan.top/node/v1/eth/mainnet/k", "zan"),
        ("https://arb1.arbitrum.io/rpc", "arbitrum"),
        ("https://mainnet.base.org", "base"),
    ],
)
def test_hosts_by_other_names_are_their_operators(url: str, name: str) -> None:
    found = operator_of(url)
    assert found is not None
    assert found.name == name
