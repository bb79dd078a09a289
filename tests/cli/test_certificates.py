"""`verify show` opens any cell: what is known of it, earned from ledger, answer and proof together."""

from __future__ import annotations

import gzip
import json
import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.command import cryptolake
from tests.compat.kept import KEPT

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.raw import Raw
from cryptolake.lake.bronze import Bronze
from cryptolake.state.ledger import Ledger
from cryptolake.work.cells import opened

AT = datetime(2024, 12, 1, 12, tzinfo=UTC)
DAY = Partition.parse("liquidations/aave_v3_ethereum/2024-12-01")
_NAMED = {"what": "emitters", "block": 19, "first": ["one"], "second": ["two"], "again": 2, "calls": 2}
PROOF: dict[str, Any] = {
    "from_block": 10,
    "to_block": 19,
    "windows": [[10, 19, "one", 1]],
    "second": [[10, 19, "two", 2]],
    "voices": {"one": "somebody", "two": "another"},
    "grade": "two_voices",
    "headers": {
        "bounds": [
            {"block": 9, "hash": "0x0", "borne": [["somebody", "another"]]},
            {"block": 19, "hash": "0x2", "borne": [["somebody", "another"]]},
        ],
        "events": [],
    },
    "grounds": [_NAMED | {"named": ["0xa"], "problem": ""}] * 2,
    "noticed": 1.0,
    "problem": "",
    "differences": [],
    "liars": [],
    "blooms": {"blocks": 4, "usable": True, "contradictions": []},
    "verdict": "complete",
}
OPEN: dict[str, Any] = {
    "block": 12,
    "block_hash": "0x1",
    "said": {"one": 1, "two": 2},
    "settled": "",
    "true": None,
    "by": [],
    "liars": [],
    "alike": [],
}


def landed(folder: Path, proof: dict[str, Any], partition: Partition = DAY, **more: str) -> tuple[Bronze, Entry]:
    payload = orjson.dumps(
        {
            "from_block": 10,
            "to_block": 19,
            "block_hash": "0x2",
            "filters": {"0xa": []},
            "logs": [],
            "certificate": proof,
        }
    )
    raw = Raw(partition, "onchain", AT, AT, payload, provenance={"endpoint": "one", **more}, block=19, block_hash="0x2")
    bronze = Bronze(folder)
    return bronze, Entry(partition, "empty", AT, digest=bronze.land(raw), rows=0)


def test_an_answer_that_nobody_contradicts_is_ok_with_the_grade_it_earned(tmp_path: Path) -> None:
    bronze, entry = landed(tmp_path, PROOF)
    cell = opened(DAY, entry, bronze)
    assert (cell.state, cell.grade, cell.says) == ("ok", "two_voices", ())
    assert cell.certificate == PROOF


@pytest.mark.parametrize("grade", [None, "three_voices", 3])
def test_a_grade_that_is_not_written_is_not_claimed(tmp_path: Path, grade: object) -> None:
    bronze, entry = landed(tmp_path, PROOF | {"grade": grade})
    assert opened(DAY, entry, bronze).grade == "one_voice"
    of_tvl = Partition("tvl", DAY.key, DAY.period)
    bronze, entry = landed(tmp_path, {}, of_tvl)
    assert opened(of_tvl, entry, bronze).grade == "one_voice"


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows": [[10, 14, "one", 1]]},
        {"windows": [[10, 14, "one", 1], [16, 19, "one", 1]]},
        {"windows": [[10, 15, "one", 1], [15, 19, "one", 1]]},
        {"windows": []},
        {"from_block": 11},
        {"differences": [OPEN]},
        {"blooms": {"blocks": 1, "usable": True, "contradictions": ["block 12 has a log that was left out"]}},
    ],
)
def test_a_hole_or_a_contradiction_is_never_ok(tmp_path: Path, wrong: dict[str, Any]) -> None:
    bronze, entry = landed(tmp_path, PROOF | wrong)
    cell = opened(DAY, entry, bronze)
    assert cell.state == "suspect"
    assert cell.says


def test_what_differed_and_how_it_was_settled_is_shown(tmp_path: Path) -> None:
    settled = OPEN | {"settled": "block_hash", "true": 2, "by": ["another"], "liars": ["one"], "alike": ["one", "two"]}
    bronze, entry = landed(
        tmp_path / "data", PROOF | {"differences": [settled], "liars": ["one"], "problem": "why not"}
    )
    with closing(Ledger(tmp_path / "data" / "ledger.sqlite")) as ledger:
        ledger.append_many([entry])
    shown = cryptolake(tmp_path, "--data", "data", "verify", "show", str(DAY))
    assert shown.returncode == 0, shown.stdout
    told = " ".join(shown.stdout.split())
    assert "one had 1 log, two had 2 logs; settled by block_hash, 2 logs" in told
    for part in ("Proven wrong: one", "why not", "one (somebody)"):
        assert part in told
    assert "one and two err alike" in told
    assert bronze.read(DAY, "onchain") is not None


@pytest.mark.parametrize(
    ("state", "reason", "shown"),
    [
        ("claimed", None, "pending"),
        ("landed", None, "pending"),
        ("failed", "rpc", "failed"),
        ("failed", "not_yet", "pending"),
        ("gone", "not_deployed", "not_deployed"),
        ("gone", "entitlement", "failed"),
        ("done", "suspect", "suspect"),
        ("empty", "suspect", "suspect"),
    ],
)
def test_the_ledgers_word_and_reason_make_the_state(
    tmp_path: Path, state: State, reason: str | None, shown: str
) -> None:
    bronze, entry = landed(tmp_path, PROOF)
    cell = opened(DAY, replace(entry, state=state, reason=reason), bronze)
    assert cell.state == shown
    assert reason is None or reason in cell.says


def test_a_lost_or_exchanged_answer_is_a_failure(tmp_path: Path) -> None:
    bronze, entry = landed(tmp_path, PROOF)
    assert opened(DAY, replace(entry, digest="0" * 64), bronze).state == "failed"
    bronze.raw_path(DAY, "onchain").unlink()
    cell = opened(DAY, entry, bronze)
    assert (cell.state, cell.grade) == ("failed", None)
    assert "missing" in cell.says[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which `data` is what an earlier version collected."""
    shutil.copytree(KEPT / "data", tmp_path / "data")
    return tmp_path


def cells(folder: Path) -> list[Entry]:
    with closing(Ledger(folder / "data" / "ledger.sqlite")) as ledger:
        return [entry for one, entry in sorted(ledger.states().items()) if one.dataset in MARKET_DATASETS]


@pytest.mark.parametrize("dataset", MARKET_DATASETS)
def test_every_cell_of_an_earlier_version_can_be_opened(folder: Path, dataset: str) -> None:
    entry = next(one for one in cells(folder) if one.partition.dataset == dataset and one.state in {"done", "empty"})
    shown = cryptolake(folder, "--data", "data", "verify", "show", str(entry.partition))
    assert shown.returncode == 0, shown.stderr
    assert str(entry.partition) in shown.stdout
    told = json.loads(cryptolake(folder, "--data", "data", "verify", "show", str(entry.partition), "--json").stdout)
    assert (told["state"], told["rows"], told["digest"]) == ("ok", entry.rows, entry.digest)
    assert (told["certificate"] is not None) is (dataset == "liquidations")


def test_a_cell_that_was_tampered_with_ends_in_failure(folder: Path) -> None:
    entry = next(one for one in cells(folder) if one.partition.dataset == "liquidations" and one.state == "done")
    path = Bronze(folder / "data").raw_path(entry.partition, "onchain")
    envelope = orjson.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(orjson.dumps(envelope | {"payload": envelope["payload"].replace("0x", "0X", 1)})))
    shown = cryptolake(folder, "--data", "data", "verify", "show", str(entry.partition))
    assert shown.returncode == 1
    assert "failed" in shown.stdout


def test_what_is_no_cell_or_was_never_asked_is_said(tmp_path: Path) -> None:
    never = cryptolake(tmp_path, "verify", "show", "tvl/aave_v3_ethereum/2024-12-01")
    assert (never.returncode, "not_asked" in never.stdout) == (1, True)
    for words in (
        "tvl",
        "tvl/aave_v3_etherum/2024-12-01",
        "prices/aave_v3_ethereum/2024-12-01",
        "tvl/aave_v3_ethereum/soon",
    ):
        refused = cryptolake(tmp_path, "verify", "show", words)
        assert refused.returncode == 2
        assert len(refused.stderr.strip().splitlines()) == 1
    assert "aave_v3_ethereum" in cryptolake(tmp_path, "verify", "show", "tvl/aave_v3_etherum/2024-12-01").stderr
    misplaced = cryptolake(tmp_path, "verify", "--json", "show", "tvl/aave_v3_ethereum/2024-12-01")
    assert misplaced.returncode == 2
