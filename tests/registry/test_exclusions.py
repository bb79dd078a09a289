"""What totals leave out is data: typed, dated, sourced, linted like the markets themselves, and extended by a user's file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from cryptolake.errors import BadInput
from cryptolake.registry.exclusions import REASONS
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.version import registry_version
from cryptolake.sources.onchain.families import declared

TOKEN = "0x50639C42E2FFDEC4F68FB468968a55b3Af944583"
MARKET = "0x" + "ab" * 32
GOOD = f"""\
exclusions:
- csu: morpho_ethereum
  market: '{MARKET}'
  from: '2025-01-02'
  to: 2025-02-03
  reason: bad_debt
  why: A test.
  sources: [a page]
"""


def load(folder: Path, text: str) -> Registry:
    file = folder / "mine.yaml"
    file.write_text(text, "utf-8")
    return load_registry(declared(), file)


def test_the_packages_list_names_known_markets_with_reason_and_source() -> None:
    registry = load_registry(declared())
    assert registry.exclusions
    for one in registry.exclusions:
        assert one.csu in registry.csus
        assert one.reason in REASONS
        assert all(source.startswith("https://") for source in one.sources)
        if one.reason == "bad_debt":  # before the loss it was a market like any other
            assert one.first is not None


def test_a_users_file_adds_and_replaces(tmp_path: Path) -> None:
    ours = load_registry(declared())
    found = load(tmp_path, GOOD)
    (mine,) = set(found.exclusions) - set(ours.exclusions)
    assert (mine.csu, mine.kind, mine.id) == ("morpho_blue_ethereum", "market", MARKET), (
        "an alias stands for its market"
    )
    assert (mine.first, mine.last, mine.reason) == (date(2025, 1, 2), date(2025, 2, 3), "bad_debt")
    assert registry_version(found) != registry_version(ours)
    twice = load(tmp_path, GOOD + GOOD.removeprefix("exclusions:\n").replace("A test", "Another"))
    assert [one.why for one in twice.exclusions if one.id == MARKET] == ["Another."]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("morpho_ethereum", "morfo", "unknown market 'morfo'"),
        (f"market: '{MARKET}'", f"market: '{MARKET[:-1]}'", "64 lower-case hexadecimal digits"),
        (f"market: '{MARKET}'", f"market: {MARKET}", "put it in quotes"),
        (f"market: '{MARKET}'", f"token: '{TOKEN.lower()}'", f"it reads {TOKEN}"),
        (f"market: '{MARKET}'", f"oracle: '{TOKEN[:-1]}'", "is no address"),
        ("  market:", f"  token: '{TOKEN}'\n  market:", "names one of market, token, oracle, not 2"),
        ("2025-02-03", "2024-02-03", "to 2024-02-03 lies before from 2025-01-02"),
        ("2025-02-03", "soon", "must be a day"),
        ("bad_debt", "ugly", "must be one of"),
        ("  why: A test.\n", "", "why must say"),
        ("[a page]", "[]", "at least one source"),
        ("reason:", "reson:", "unknown key 'reson'; did you mean 'reason'?"),
    ],
)
def test_every_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(BadInput) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert said in str(caught.value)
    assert "mine.yaml:2" in str(caught.value)
