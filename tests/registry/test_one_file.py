"""What a market and a family cost: one row, one file. Each is added here and travels to the checked panel untouched otherwise.

The family reads the node's own Multicall3, the one contract every test node has: the market's native coin is its only asset.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from tests.chain.anvil import MULTICALL3, Anvil, Tx
from tests.chain.fixtures import require_chain
from tests.chain.scenario import at
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import BadInput
from cryptolake.net.abi import selector
from cryptolake.registry.loader import load_registry, market_rows
from cryptolake.sources import onchain
from cryptolake.sources.onchain.families import declared, families

RUN = CliRunner()
DAYS = ("--start-date", "2024-12-01", "--end-date", "2024-12-02")

# Multicall3 takes coins only with a call; `aggregate` of an empty list is one.
PAY = "0x" + (selector("aggregate((address,bytes)[])") + (32).to_bytes(32, "big") + bytes(32)).hex()

FAMILY = '''
"""Family `till`: a contract that holds coins. Deposits are what it holds, nothing is lent."""

from cryptolake.net.abi import call_data, word
from cryptolake.net.multicall import Call
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.sources.onchain.records import Reserve, Settled

METHODOLOGY = "supplied = cash = the coins the contract holds; nothing is borrowed, nobody is liquidated."
PRIMARY_ENTRY = "till"
ANCHORS = (Anchor("till", "getChainId()", "count"),)
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=True)


def snapshot(csu):
    """The coins held at the block, and as many again borrowed and a half: a fault for the quality rules to find."""
    (answer,) = yield [Call(csu.entry["till"], call_data("getEthBalance(address)", csu.entry["till"]))]
    held = word(answer.data, 0)
    return [Reserve(csu.entry["till"], "COIN", 18, held, held * 3 // 2, held, 0, 10**8, 10**8, "usd")]


def emitters(csu):
    """Nobody is listened to."""
    return []
    yield


def liquidations(csu, logs):
    """There are none."""
    return []


def settle(csu, events):
    """Nothing to value."""
    return Settled([], {})
    yield
'''


def run(*arguments: str, code: int = 0) -> str:
    result = RUN.invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def document(*arguments: str, code: int = 0) -> Any:
    return orjson.loads(run(*arguments, code=code))


@pytest.fixture
def extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files belong to the families' package for the length of the test."""
    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setattr(onchain, "__path__", [*onchain.__path__, str(folder)])
    yield folder
    for path in folder.glob("*.py"):
        sys.modules.pop(f"{onchain.__name__}.{path.stem}", None)


@pytest.fixture
def coins() -> Iterator[Anvil]:
    """A node whose Multicall3 is given 5 coins on the first day and 2 more on the second."""
    require_chain()
    with Anvil() as node:
        for day, value in ((1, 5), (2, 2)):
            node.block(at(day, "10:00:00"), [Tx(node.accounts[0], MULTICALL3, PAY, value * 10**18)])
        node.block(at(3, "10:00:00"))
        node.empty_blocks(80, 12)
        yield node


def rows_file(folder: Path, **row: object) -> str:
    file = folder / "mine.yaml"
    chain = {"chain_id": 31337, "multicall3": {"address": MULTICALL3, "block": 0}}
    file.write_text(yaml.safe_dump({"chains": {"local": chain}, "csus": [row]}))
    return str(file)


def till(**more: object) -> dict[str, object]:
    return {
        "name": "my_till",
        "family": "till",
        "chain": "local",
        "entry": {"till": MULTICALL3},
        "sources": ["a test"],
    } | more


@pytest.mark.chain
def test_a_family_file_is_linted_checked_planned_collected_refined_and_judged(
    tmp_path: Path, extra: Path, coins: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    (extra / "till.py").write_text(FAMILY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYPTOLAKE_RPC_LOCAL", coins.url)
    monkeypatch.setenv("CRYPTOLAKE_PUBLIC_RPC", "false")
    here = ("--data", str(tmp_path / "data"), "--registry", rows_file(tmp_path, **till()))
    market = ("--csu", "my_till", *DAYS)

    assert "till" in families()
    assert document(*here, "markets", "--family", "till", "--json")[0]["built"] is True
    (checked,) = document(*here, "markets", "check", "--live", "--csu", "my_till", "--json")
    by_field = {one["field"]: one["verdict"] for one in checked["findings"]}
    assert by_field["till.getChainId()"] == "confirmed", "the family's anchor was asked"
    assert document(*here, "plan", *market, "--json")["set_aside"] == {}
    run(*here, "collect", *market)
    run(*here, "refine", *market)
    run(*here, "build")
    found = document(*here, "quality", "--no-store", "--json", code=1)
    broken = {one["check"]: one["rows"] for one in found["checks"] if one["rows"]}
    assert broken["borrowed_far_above_supplied"] == 2, "the family's own accounting is what the rule applied"
    assert "accounting_known" not in broken


def test_a_family_that_only_declares_itself_says_unsupported(
    tmp_path: Path, extra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (extra / "plough.py").write_text("PRIMARY_ENTRY = 'till'\nANCHORS = ()\n")
    monkeypatch.chdir(tmp_path)
    here = ("--data", str(tmp_path / "data"), "--registry", rows_file(tmp_path, **till(family="plough")))
    assert document(*here, "markets", "--family", "plough", "--json")[0]["built"] is False
    assert document(*here, "plan", "--csu", "my_till", *DAYS, "--json")["set_aside"] == {
        "my_till": "unsupported_family"
    }


def test_half_a_family_is_refused_with_its_file_and_what_it_lacks(extra: Path) -> None:
    (extra / "half.py").write_text("PRIMARY_ENTRY = 'till'\nANCHORS = ()\ndef snapshot(csu): ...\n")
    with pytest.raises(BadInput, match=r"onchain\.half: this family lacks METHODOLOGY, ACCOUNTING, emitters"):
        declared()


@pytest.mark.parametrize("name", ["PROTOCOL_ANCHOR", "discover_y"])
def test_a_misspelt_declaration_is_refused_with_its_file(extra: Path, name: str) -> None:
    (extra / "till.py").write_text(f"{FAMILY}\n{name} = {{}}\n")
    with pytest.raises(BadInput, match=rf"^cryptolake\.sources\.onchain\.till: nobody reads '{name}'; did you mean "):
        declared()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PRIMARY_ENTRY = ", "PRIMARY_ENTRY = 5 or "),
        ("ANCHORS = ", "ANCHORS = 5 or "),
        ("ANCHORS = ", "ANCHORS = (5,) or "),
        ("ANCHORS = ", "PROTOCOL_ANCHORS = {'a': 5}\nANCHORS = "),
        ("METHODOLOGY = ", "METHODOLOGY = 5 or "),
        ("ACCOUNTING = ", "ACCOUNTING = 5 or "),
        *(
            (f"def {name}(", f"{name} = 5\ndef other_{name}(")
            for name in ("snapshot", "emitters", "liquidations", "settle")
        ),
    ],
)
def test_a_declaration_of_another_kind_is_refused_with_its_file(extra: Path, old: str, new: str) -> None:
    assert old in FAMILY
    (extra / "till.py").write_text(FAMILY.replace(old, new, 1))
    with pytest.raises(BadInput, match=r"^cryptolake\.sources\.onchain\.till: [A-Za-z_]+ is not a? ?"):
        declared()


def test_a_row_of_an_undeclared_family_is_refused_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"mine\.yaml:\d+: market my_till: unknown family 'till'"):
        load_registry(declared(), Path(rows_file(tmp_path, **till())))


@pytest.mark.parametrize("family", sorted(declared()))
def test_one_more_row_of_any_family_is_all_a_market_takes(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = declared()[family].primary_entry or "pool"
    file = rows_file(tmp_path, **till(name="one_more", family=family, entry={role: MULTICALL3}))
    monkeypatch.chdir(tmp_path)
    here = ("--data", str(tmp_path / "data"), "--registry", file)
    listed = document(*here, "markets", "--json")
    assert {one["name"] for one in listed} == {*market_rows(), "one_more"}
    planned = document(*here, "plan", "--csu", "one_more", *DAYS, "--json")
    assert planned["markets"] == ["one_more"]
    assert planned["set_aside"] == ({} if declared()[family].readable else {"one_more": "unsupported_family"})
    assert date.fromisoformat(planned["end_date"]) - date.fromisoformat(planned["start_date"]) == timedelta(days=1)
