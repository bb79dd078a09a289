"""Named sets of markets: the plan's own, a user's, and every mistake in one named with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryptolake.errors import BadInput
from cryptolake.registry.loader import Registry, configured, load_registry, select, set_names
from cryptolake.sources.onchain.families import declared

MINE = """\
csus:
- {name: mine, family: aave_v3, chain: base, sandbox: true, entry: {pool: '0x94099942864EA81cCF197E9D71ac53310b1468D8'}}
sets:
  my-study: [mine, aave_v3_ethereum_lido]
"""


def load(folder: Path, text: str) -> Registry:
    (folder / "mine.yaml").write_text(text, "utf-8")
    return load_registry(declared(), folder / "mine.yaml")


def test_the_studys_lists_are_as_long_as_they_are_called() -> None:
    """These two are fixed by the study, whatever is added to the registry. 46 entries are 44 markets: two are named twice."""
    sets = load_registry(declared()).sets
    assert {"thesis-43", "thesis-46"} <= set(sets)
    assert len(sets["thesis-43"]) == 43
    assert len(sets["thesis-46"]) == 44


def test_every_set_selects_its_markets() -> None:
    registry = load_registry(declared())
    assert sorted(registry.sets) == sorted(set_names())
    for name, members in registry.sets.items():
        assert [csu.name for csu in select(registry, sets=[name])] == sorted(members)
        assert all(name in registry.sets_with(member) for member in members)
    both = select(registry, sets=registry.sets, chains=["base"])
    assert both
    assert all(csu.chain == "base" and registry.sets_with(csu.name) for csu in both)


def test_a_set_of_ones_own_takes_aliases_and_own_markets(tmp_path: Path) -> None:
    registry = load(tmp_path, MINE)
    assert registry.set_of("my-study") == ("aave_v3_ethereum_prime", "mine")
    assert set(registry.sets) == {*set_names(), "my-study"}


def test_a_set_of_the_same_name_replaces_and_a_replaced_market_stays_a_member(tmp_path: Path) -> None:
    assert load(tmp_path, "sets: {thesis-43: [aave_v3_ethereum]}\n").set_of("thesis-43") == ("aave_v3_ethereum",)
    replaced = MINE.replace("name: mine", "name: aave_v3_base").replace("[mine, ", "[")
    assert load(tmp_path, replaced).sets["thesis-43"] == load_registry(declared()).sets["thesis-43"]


def test_the_flag_of_older_files_makes_a_member(tmp_path: Path) -> None:
    registry = load(tmp_path, MINE.replace("sandbox: true,", "sandbox: true, in_seed_43: true,"))
    assert "mine" in registry.set_of("thesis-43")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sets: {a: [aave_v3_etherium]}\n", ["mine.yaml:1", "set a", "aave_v3_etherium", "aave_v3_ethereum"]),
        ("sets: {a: []}\n", ["set a", "at least one market"]),
        ("sets: {a: aave_v3_base}\n", ["set a", "at least one market"]),
        ("sets: {all: [aave_v3_base]}\n", ["set all", "every market"]),
        ("sets: {A b: [aave_v3_base]}\n", ["set A b", "lower-case"]),
        ("sets: {aave_v3_base: [aave_v3_base]}\n", ["a market has this name"]),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path, text)
    for word in words:
        assert word in str(caught.value)


TOML = "cryptolake.toml, market_sets"


def own(sets: dict[str, list[str]], extra: Path | None = None) -> Registry:
    return load_registry(declared(), extra, sets, listed_in=TOML)


def test_sets_of_the_settings_are_sets_like_the_others_and_say_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE, "utf-8")
    registry = own({"b": ["aave_v3_base"], "a": ["aave_v3_ethereum_lido", "mine"]}, tmp_path / "mine.yaml")
    assert registry.set_of("a") == ("aave_v3_ethereum_prime", "mine")
    assert [one.name for one in select(registry, sets=["b"])] == ["aave_v3_base"]
    assert set(registry.sets) == {*set_names(), "my-study", "a", "b"}
    assert registry.origins == {"a": TOML, "b": TOML, "my-study": f"{tmp_path / 'mine.yaml'}:4"}
    assert load_registry(declared()).origins == {}, "what the package ships"


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"a": []}, ["set a", "at least one market"]),
        ({"all": ["aave_v3_base"]}, ["set all", "every market"]),
        ({"A b": ["aave_v3_base"]}, ["set A b", "lower-case"]),
        ({"thesis-43": ["aave_v3_base"]}, ["set thesis-43", "there already (shipped)", "another name"]),
        ({"a": [], "thesis-46": ["nobody"]}, ["2 faults", "set a", "set thesis-46"]),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, sets: dict[str, list[str]], words: list[str]) -> None:
    (tmp_path / "mine.yaml").write_text(MINE, "utf-8")
    with pytest.raises(BadInput) as caught:
        own(sets, tmp_path / "mine.yaml")
    for word in (TOML, *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ({"a": ["aave_v3_etherium"]}, ["set a", "aave_v3_etherium", "aave_v3_ethereum"]),
        ({"a": ["aave_v3_base", "nobody", "no one"]}, ["set a", "'nobody'", "'no one'"]),
        ({"aave_v3_base": ["aave_v3_base"]}, ["a market has this name"]),
        ({"my-study": ["aave_v3_base"]}, ["set my-study", "there already", "mine.yaml:4"]),
    ],
)
def test_a_set_that_does_not_fit_this_registry_is_refused_when_it_is_used(
    tmp_path: Path, sets: dict[str, list[str]], words: list[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(MINE, "utf-8")
    registry = own({**sets, "fits": ["mine"]}, tmp_path / "mine.yaml")
    assert registry.set_of("fits") == ("mine",)
    assert set(registry.sets) == {*set_names(), "my-study", "fits"}
    assert list(registry.refused) == list(sets)
    for name in sets:
        with pytest.raises(BadInput) as caught:
            select(registry, sets=[name])
        for word in (TOML, *words):
            assert word in str(caught.value)
        with pytest.raises(BadInput, match=re.escape(str(caught.value))):
            configured(registry, [], [name])


def test_an_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"unknown set 'thesis'; did you mean thesis-4"):
        select(load_registry(declared()), sets=["thesis"])
    with pytest.raises(BadInput, match=r"unknown set 'qqq'; known: .*thesis-43"):
        select(load_registry(declared()), sets=["qqq"])
