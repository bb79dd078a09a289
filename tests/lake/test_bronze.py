"""Bronze keeps answers byte for byte, tells damage from absence of damage, and never leaves half a file."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.lake.bronze import Bronze

AT = datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
TVL = Partition("tvl", "aave_v3_ethereum", Period.of_day(date(2024, 12, 31)))


def raw(payload: bytes, partition: Partition = TVL, source: str = "onchain") -> Raw:
    return Raw(partition, source, AT, AT, payload, {"chain": "ethereum"}, {"sandbox": "true"}, 42, "0xab")


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=300))
def test_any_bytes_come_back_unchanged(tmp_path: Path, payload: bytes) -> None:
    bronze = Bronze(tmp_path)
    digest = bronze.land(raw(payload))
    kept = bronze.read(TVL, "onchain")
    assert kept == raw(payload)
    assert kept is not None
    assert kept.digest == digest


def test_the_same_answer_gives_the_same_file_and_another_supersedes_it(tmp_path: Path) -> None:
    bronze = Bronze(tmp_path)
    bronze.land(raw(b"{}"))
    path = bronze.raw_path(TVL, "onchain")
    before = path.read_bytes()
    bronze.land(raw(b"{}"))
    assert path.read_bytes() == before
    bronze.land(raw(b"[]"))
    assert len(list(path.parent.glob("*.superseded-*"))) == 1


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:40], lambda b: b"", lambda b: b[:30] + b"x" + b[31:]]
)
def test_a_damaged_answer_is_not_intact(tmp_path: Path, damage) -> None:
    bronze = Bronze(tmp_path)
    bronze.land(raw(b'{"a": 1}' * 20))
    path = bronze.raw_path(TVL, "onchain")
    assert bronze.intact(TVL)
    path.write_bytes(damage(path.read_bytes()))
    assert not bronze.intact(TVL)


def test_the_documented_form_has_the_documented_keys(tmp_path: Path) -> None:
    rows = [{"csu": "aave_v3_ethereum", "date": date(2024, 12, 31), "asset": "0x1", "total_supplied_raw": str(2**255)}]
    Bronze(tmp_path).document(raw(b"{}"), rows)
    document = json.loads((tmp_path / "bronze/tvl/aave_v3_ethereum/2024-12-31.json").read_text())
    assert list(document)[:5] == ["csu", "date", "block", "block_hash", "timestamp"]
    assert document["tvl_raw"] == [{"asset": "0x1", "total_supplied_raw": str(2**255)}]
    assert document["sandbox"] is True


def test_the_twin_holds_the_rows_and_is_reproducible(tmp_path: Path) -> None:
    bronze = Bronze(tmp_path)
    rows = [{"asset": "0x1", "raw": str(2**255), "block": None}, {"asset": "0x2", "raw": "0", "block": 7}]
    path = bronze.compact("tvl", "aave_v3_ethereum", "2024-12", rows)
    first = path.read_bytes()
    assert pl.read_parquet(path).to_dicts() == rows
    assert bronze.compact("tvl", "aave_v3_ethereum", "2024-12", rows).read_bytes() == first


def test_vendor_answers_lie_under_source_dataset_and_period(tmp_path: Path) -> None:
    partition = Partition("stablecoin_supply", "usd-coin", Period.of_day(date(2024, 12, 31)))
    path = Bronze(tmp_path).raw_path(partition, "defillama")
    assert path.relative_to(tmp_path).as_posix() == "bronze/defillama/stablecoin_supply/2024-12-31/usd-coin.raw.json.gz"


def test_a_full_disk_is_one_clear_line_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small real file system cannot be mounted here (needs root)")
    try:
        write_bytes(tmp_path / "small", b"kept")
        with pytest.raises(Stop, match=r"disk is full.*--data"):
            write_bytes(tmp_path / "big", os.urandom(200_000))
        assert [path.name for path in tmp_path.iterdir()] == ["small"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
