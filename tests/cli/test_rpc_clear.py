"""`rpc clear` says who is not believed and why, and believes one again; `verify` says who errs alike."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_certificates import DAY, OPEN, PROOF, landed
from tests.command import cryptolake

from cryptolake.net.liars import Liars
from cryptolake.state.ledger import Ledger


def certificate(name: str, told: str) -> dict[str, Any]:
    return {
        "liars": [name],
        "voices": {name: told},
        "asked_at": "2024-12-02T00:00:00+00:00",
        "differences": [{"block": 7, "liars": [name]}],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    liars = Liars(tmp_path / "data" / "liars")
    liars.learn("ethereum", certificate("ethereum-own-1", "somebody"))
    liars.learn("base", certificate("base-own-2", "unknown:0123456789abcdef"))
    return tmp_path


def cleared(folder: Path, *words: str, code: int = 0) -> list[dict[str, Any]]:
    ended = cryptolake(folder, "--data", "data", "rpc", "clear", *words, "--json")
    assert ended.returncode == code, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout) if not code else []
    return found


def test_it_lists_everybody_who_is_not_believed(folder: Path) -> None:
    assert {(one["chain"], one["endpoint"], one["voice"], one["block"]) for one in cleared(folder)} == {
        ("ethereum", "ethereum-own-1", "somebody", 7),
        ("base", "base-own-2", "unknown:0123456789abcdef", 7),
    }
    shown = cryptolake(folder, "--data", "data", "rpc", "clear")
    assert shown.returncode == 0
    for word in ("Proven to drop logs", "ethereum-own-1", "somebody", "base-own-2"):
        assert word in shown.stdout


@pytest.mark.parametrize("name", ["ethereum-own-1", "somebody", "base-own-2", "unknown:0123456789abcdef"])
def test_one_is_believed_again_by_its_name_or_by_who_it_is(folder: Path, name: str) -> None:
    (believed,) = cleared(folder, name)
    assert name in (believed["endpoint"], believed["voice"])
    assert believed["endpoint"] not in [one["endpoint"] for one in cleared(folder)]
    assert len(cleared(folder)) == 1
    cleared(folder, name, code=2)  # nothing is proven of it any more


def test_what_was_proven_before_it_was_cleared_names_nobody_again(folder: Path) -> None:
    cleared(folder, "somebody")
    liars = Liars(folder / "data" / "liars")
    liars.learn("ethereum", certificate("ethereum-own-1", "somebody"))
    assert len(cleared(folder)) == 1
    later = certificate("ethereum-own-3", "somebody") | {"asked_at": "2999-01-01T00:00:00+00:00"}
    liars.learn("ethereum", later)
    assert len(cleared(folder)) == 2


def test_a_name_of_nobody_is_refused_with_the_remedy(folder: Path) -> None:
    ended = cryptolake(folder, "--data", "data", "rpc", "clear", "nobody")
    assert ended.returncode == 2
    assert "rpc clear` lists them" in ended.stderr
    assert len(cleared(folder)) == 2


@pytest.mark.parametrize("settled", ["block_hash", "receipts_root"])
def test_verify_names_operators_that_err_alike(tmp_path: Path, settled: str) -> None:
    told = OPEN | {"settled": settled, "true": 2, "by": ["x", "y"], "alike": ["one", "two"]}
    _, entry = landed(tmp_path / "data", PROOF | {"differences": [told]})
    with closing(Ledger(tmp_path / "data" / "ledger.sqlite")) as ledger:
        ledger.append_many([entry])
    words = ("--data", "data", "verify", "--csu", DAY.key)
    ended = cryptolake(tmp_path, *words, "--json")
    assert json.loads(ended.stdout)["alike"] == ["one and two"], ended.stderr
    assert "one and two err alike in 1 market-day" in " ".join(cryptolake(tmp_path, *words).stdout.split())
