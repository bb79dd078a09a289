"""Sets of one's own in cryptolake.toml: taken by commands, listed with where they stand; and no documented name is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.docs.examples import DOCS

from cryptolake.errors import BadInput
from cryptolake.settings import load_settings

MINE = """
sets = ["mine"]
days = 3

[market_sets]
mine = [
  "aave_v3_base",
  "compound_v3_eth_usdc",  # the first Comet
]
other = ["aave_v3_ethereum"]
"""


def test_a_set_of_the_settings_file_is_taken_and_listed(tmp_path: Path) -> None:
    (tmp_path / "cryptolake.toml").write_text(MINE)
    planned = cryptolake(tmp_path, "plan", "--json")
    assert json.loads(planned.stdout)["markets"] == ["aave_v3_base", "compound_v3_eth_usdc"]
    assert "of your settings (mine)" in planned.stderr
    chosen = cryptolake(tmp_path, "plan", "--json", "--set", "other")
    assert json.loads(chosen.stdout)["markets"] == ["aave_v3_ethereum"]
    listed = {
        one["set"]: one["listed_in"] for one in json.loads(cryptolake(tmp_path, "markets", "sets", "--json").stdout)
    }
    assert listed["mine"] == listed["other"] == "cryptolake.toml, market_sets"
    assert listed["thesis-43"] == "shipped"
    shown = cryptolake(tmp_path, "markets", "sets")
    assert (shown.returncode, "cryptolake.toml, market_sets" in shown.stdout) == (0, True), shown
    decided = cryptolake(tmp_path, "init", "--yes")
    assert decided.returncode == 0, decided.stderr
    assert (tmp_path / "cryptolake.toml").read_text().endswith(MINE[MINE.index("[market_sets]") :]), (
        "init leaves them alone"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[market_sets]\nthesis-43 = ["aave_v3_base"]\n', ["set thesis-43", "shipped"]),
        ('[market_sets]\nmine = "aave_v3_base"\n', ["market_sets.mine"]),
        ("[market_sets]\nmine = []\n", ["market_sets", "set mine", "list one or take the set out"]),
        ('[market_sets]\nall = ["aave_v3_base"]\n', ["market_sets", "set all", "every market"]),
        ('[sets]\nmine = ["aave_v3_base"]\n', ["sets", "under [market_sets]"]),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_set(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "cryptolake.toml").write_text(text)
    done = cryptolake(tmp_path, "plan")
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_a_set_for_another_folder_is_refused_where_it_is_used_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "cryptolake.toml").write_text(MINE.replace('"aave_v3_base"', '"aave_v3_bse"'))
    for command in (["markets"], ["plan", "--set", "other"], ["plan", "--csu", "aave_v3_base"], ["ledger", "inspect"]):
        done = cryptolake(tmp_path, *command)
        assert (done.returncode, "aave_v3_bse" in done.stderr) == (0, False), done
    for command in (["plan", "--set", "mine"], ["plan"]):  # the settings take it where no market is named
        done = cryptolake(tmp_path, *command)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done
        for word in ("cryptolake.toml, market_sets", "set mine", "aave_v3_base"):
            assert word in done.stderr
    listed = json.loads(cryptolake(tmp_path, "markets", "sets", "--json").stdout)
    faults = {one["set"]: one["fault"] for one in listed}
    assert "aave_v3_bse" in faults["mine"]
    assert {one for one, fault in faults.items() if fault is None} == {one["set"] for one in listed} - {"mine"}
    shown = cryptolake(tmp_path, "markets", "sets")
    assert (shown.returncode, shown.stderr) == (0, ""), shown
    assert "refused: cryptolake.toml, market_sets: set mine: unknown market 'aave_v3_bse'" in " ".join(
        shown.stdout.split()
    )


def test_a_variable_may_hold_them_too_and_is_named(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "markets", "sets", "--json", CRYPTOLAKE_MARKET_SETS='{"mine": ["aave_v3_base"]}')
    listed = {one["set"]: one["listed_in"] for one in json.loads(done.stdout)}
    assert listed["mine"] == "variable CRYPTOLAKE_MARKET_SETS"


def documented() -> list[str]:
    """Every name that docs/settings.md gives to `cryptolake.toml`, whatever table of the page it stands in."""
    found, column = [], None
    for line in (DOCS / "settings.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif column is None:
            column = cells.index("`cryptolake.toml`") if "`cryptolake.toml`" in cells else -1
        elif column >= 0 and (name := re.fullmatch(r"`(\w+)`", cells[column])):
            found.append(name[1])
    return found


def test_the_page_lists_settings_keys_watch_lists_and_alerts() -> None:
    assert {"days", "rpc", "urls", "market_sets", "artemis_api_key", "artemis_config"} <= set(documented())


@pytest.mark.parametrize("name", documented())
def test_a_documented_name_is_never_called_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (f'{name} = "1"\n', f"{name} = 1\n", f'{name} = ["1"]\n', f'[{name}]\nx = "1"\n'):
        (tmp_path / "cryptolake.toml").write_text(text)
        try:
            load_settings()
        except BadInput as error:  # a value of the wrong kind is another matter
            assert "nobody reads" not in str(error)
