"""Published totals beside ours: compared where there is an answer, asked for where an endpoint is the user's, else said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from tests.orchestration.conftest import sandbox_variables
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.demo.replay import Replay
from cryptolake.errors import BadInput

ROW: dict[str, Any] = {
    "name": "events", "markets": ["aave_v3_sandbox"], "first": "2024-12-05", "last": "2024-12-06",
    "column": "liquidation_count", "value": 1, "tolerance": 0, "says": "Counted.", "sources": ["a post"],
}  # fmt: skip
TVL = {**ROW, "name": "tvl", "column": "total_tvl_usd", "first": "2024-12-05", "last": "2024-12-05", "tolerance": 0.02}


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def pack(place: Path, *rows: dict[str, Any]) -> str:
    file = place / "totals.yaml"
    file.write_text(yaml.safe_dump({"totals": list(rows)}))
    return str(file)


def check(
    place: Path, *rows: dict[str, Any], flags: tuple[str, ...] = ()
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    result = run("truth", "check", "--file", pack(place, *rows), "--json", *flags)
    found = json.loads(result.stdout)
    return result.exit_code, {one["name"]: one for one in found["totals"]}, found["would_ask"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYPTOLAKE_PUBLIC_RPC", "0")
    return tmp_path


def test_offline_it_says_what_it_would_ask_and_compares_nothing(place: Path) -> None:
    result = run("truth", "check", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1, "a check that checked nothing is none"
    assert len(found["totals"]) >= 8
    assert {one["verdict"] for one in found["totals"]} == {"not asked"}
    assert found["would_ask"]["calls"] > 0
    assert json.loads(run("truth", "plan", "--json").stdout) == found["would_ask"]
    said = " ".join(run("truth", "check", "--name", "compound_v3_eth").stdout.split())
    assert "Set ALCHEMY_KEY_1" in said
    assert "on ethereum." in said


def test_with_an_endpoint_of_ones_own_it_asks_and_compares(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Replay() as replay:
        for name, value in sandbox_variables(replay, place / "data").items():
            monkeypatch.setenv(name, value)
        code, found, left = check(place, ROW, flags=("--no-ask",))
        assert (code, found["events"]["verdict"], left["answers"]) == (1, "not asked", 2)
        code, found, left = check(place, ROW, TVL)
        assert left["answers"] == 0
        assert not (place / "data/postgres").exists(), "comparing publishes nothing"
        ours = {name: one["ours"] for name, one in found.items()}
        assert all(value is not None for value in ours.values())
        code, found, _ = check(place, {**ROW, "value": ours["events"]}, {**TVL, "value": ours["tvl"] * 1.01})
        assert (code, {one["verdict"] for one in found.values()}) == (0, {"same"})
        assert found["tvl"]["difference"] == pytest.approx(1 / 1.01 - 1)
    # Without anybody to ask: what is known is compared, and what is not keeps the whole from agreeing.
    wrong, longer = {**TVL, "value": ours["tvl"] * 1.05}, {**ROW, "name": "longer", "last": "2024-12-09"}
    code, found, left = check(place, {**ROW, "value": ours["events"]}, wrong, longer, flags=("--no-ask",))
    assert code == 1
    assert {name: one["verdict"] for name, one in found.items()} == {
        "events": "same", "tvl": "differs", "longer": "incomplete"
    }  # fmt: skip
    assert (found["longer"]["market_days_lacking"], found["longer"]["ours"]) == (3, None)
    assert left["answers"] == 3


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"markets": ["nobody"]}, "unknown market 'nobody'"),
        ({"markets": {"family": "aave_v3", "protocol": "nobody"}}, "markets lists names"),
        ({"column": "flags"}, "none of daily_panel's numbers"),
        ({"first": "2024-12-09"}, "days, in order"),
        ({"tolerance": 2}, "a share from 0 to 1"),
        ({"sources": []}, "says and sources"),
        ({"sauce": 1}, "unknown key 'sauce'"),
    ],
)
def test_a_faulty_total_is_named(change: dict[str, Any], fault: str, place: Path) -> None:
    row = {**ROW, "markets": ["aave_v3_ethereum"], **change}
    with pytest.raises(BadInput, match=fault):
        run("truth", "plan", "--file", pack(place, row))


def test_a_name_that_none_has_is_refused(place: Path) -> None:
    with pytest.raises(BadInput, match="no total is called so"):
        run("truth", "plan", "--name", "nobody")
