"""Whose voice an endpoint speaks with, by the registry and by what the user tells: nobody is two, and unknown is one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.net.endpoint import Endpoint, SecretUrl
from cryptolake.net.told import ToldLimits
from cryptolake.net.voices import UNKNOWN, are_two, by_voice, distinct, same_voice, surely_one, told_by, voice
from cryptolake.registry.endpoints import endpoints_of
from cryptolake.registry.loader import load_registry
from cryptolake.registry.providers import UNTOLD, normal_form, operator_of, operators, relays, rpc_plans
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.kept_voices import bear_out

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
    others = [one for one in found[2:] if voice(one) != UNKNOWN]
    assert others
    assert not any(same_voice(found[0], one) for one in others)
    assert found[-1].upstream == UNTOLD, "whom nobody bears out is asked last"


def test_who_does_not_tell_whose_nodes_answer_bears_nobody_out() -> None:
    """Whoever is said in the registry to pass questions on to nodes of many says `unknown` there; kept answers know it too."""
    said = {name for name, one in operators().items() if "passes questions on" in one.source or "a relay" in one.source}
    assert said == relays()
    chain = load_registry(declared()).chains["ethereum"]
    own = [*(f"https://eth.{operators()[name].hosts[0]}/key" for name in sorted(said)), "https://eth.llamarpc.com"]
    *through, direct = endpoints_of(chain, own=own, rate=None, keys=[], plan="free", public=False)
    for one in through:
        assert all(same_voice(one, other) for other in (*through, direct))
        assert not surely_one(one, direct), "what is proven of one is not of the other"
        assert not bear_out(one.operator, "alchemy")
    assert len(by_voice([*through, direct], lambda one: one)) == 1
    assert len(by_voice([through[0], direct, replace(direct, operator="me", account="mine")], lambda one: one)) == 2


@given(
    told=st.tuples(st.sampled_from([None, "me", "you"]), st.sampled_from([None, "me", "you"])),
    hosts=st.tuples(*[st.sampled_from(["eth.llamarpc.com", "eth-mainnet.g.alchemy.com", "a.example"])] * 2),
    keys=st.tuples(*[st.sampled_from(["v2/one", "v2/two"])] * 2),
)
def test_what_is_said_of_a_place_in_the_list_makes_no_two_voices_of_one(
    told: tuple[str | None, ...], hosts: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    """One account, or one known host, is one voice whatever the user says of it; and what he says the same of is one too."""
    chain = load_registry(declared()).chains["ethereum"]
    urls = [f"https://{host}/{key}" for host, key in zip(hosts, keys, strict=True)]
    listed = endpoints_of(chain, own=urls, rate=None, keys=[], plan="free", public=True)
    one, other = (
        ToldLimits.model_validate({"operator": said}).applied(endpoint)
        for said, endpoint in zip(told, listed, strict=False)
    )
    known = hosts[0] == hosts[1] != "a.example"
    said = told[0] is not None and told[0] == told[1]
    assert same_voice(one, other) >= (known or said or urls[0] == urls[1])
    assert are_two(told_by(one), told_by(other)) <= (not known and not said)
    assert surely_one(one, other) == (known or said or urls[0] == urls[1])
    for public in listed[2:]:
        assert same_voice(one, public) >= (
            operator_of(urls[0]) is not None and operator_of(urls[0]) == operator_of(public.url.reveal())
        )


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


SPELLINGS = (
    "https://rpc.example.org/v1/KEY",
    "https://RPC.Example.org/v1/KEY",
    "https://rpc.example.org./v1/KEY",
    "https://rpc.example.org:443/v1/KEY",
    "https://rpc.example.org/v1/KEY/",
    "http://rpc.example.org/v1/KEY",
    "http://rpc.example.org:80/v1/KEY//",
    "HTTPS://rpc.example.org.:443/v1/KEY",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_place_is_one_voice_however_it_is_written_and_whatever_is_said_of_it(spelling: str) -> None:
    chain = load_registry(declared()).chains["ethereum"]
    found = endpoints_of(chain, own=[SPELLINGS[0], spelling], rate=None, keys=[], plan="free", public=False)
    one, other = (
        ToldLimits.model_validate({"operator": name}).applied(each) for name, each in zip("ab", found, strict=True)
    )
    assert same_voice(one, other)


@pytest.mark.parametrize(
    "other", ["http://rpc.example.org:8545/v1/KEY", "https://rpc.example.org/v1/KEZ", "https://b.org/v1/KEY"]
)
def test_another_place_is_another_account(other: str) -> None:
    assert normal_form(SPELLINGS[0]) != normal_form(other)
    assert normal_form(normal_form(other)) == normal_form(other)


def test_every_host_of_an_operator_is_known_by_any_spelling() -> None:
    for one in operators().values():
        for host in one.hosts:
            for spelling in (f"https://{host}./x", f"https://{host.upper()}:443/x", f"https://a.{host}./x/"):
                assert operator_of(spelling) == one
