"""Whatever the user gets wrong ends in one clear line that says what to do, exit code not 0, and no traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.command import cryptolake


def assert_one_clear_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    last = result.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in result.stderr, last


def test_unknown_market_names_the_near_miss(tmp_path: Path) -> None:
    result = cryptolake(tmp_path, "plan", "--csu", "aave_v3_etherium", "--days", "1")
    assert_one_clear_line(result, 2, "aave_v3_etherium", "aave_v3_ethereum")


def test_unknown_chain(tmp_path: Path) -> None:
    assert_one_clear_line(cryptolake(tmp_path, "plan", "--chain", "etherium"), 2, "etherium", "ethereum")


def test_unknown_dataset(tmp_path: Path) -> None:
    assert_one_clear_line(cryptolake(tmp_path, "plan", "--dataset", "tlv", "--days", "1"), 2, "tlv", "tvl")


@pytest.mark.parametrize("day", ["2024-13-01", "yesterday", "2024-02-30"])
def test_bad_date(tmp_path: Path, day: str) -> None:
    assert_one_clear_line(cryptolake(tmp_path, "plan", "--start-date", day), 2, day)


def test_reversed_dates(tmp_path: Path) -> None:
    result = cryptolake(tmp_path, "plan", "--start-date", "2024-12-31", "--end-date", "2024-12-01")
    assert_one_clear_line(result, 2, "2024-12-31", "after")


def test_malformed_registry_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("csus:\n  - name: x\n    family: [unclosed\n")
    assert_one_clear_line(cryptolake(tmp_path, "--registry", "mine.yaml", "plan", "--days", "1"), 2, "mine.yaml")


def test_absent_registry_file(tmp_path: Path) -> None:
    assert_one_clear_line(cryptolake(tmp_path, "--registry", "none.yaml", "plan", "--days", "1"), 2, "none.yaml")


def test_bad_setting_in_the_environment(tmp_path: Path) -> None:
    result = cryptolake(tmp_path, "plan", "--csu", "aave_v3_ethereum", CRYPTOLAKE_WORKERS="many")
    assert_one_clear_line(result, 2, "workers")


def test_malformed_settings_file(tmp_path: Path) -> None:
    (tmp_path / "cryptolake.toml").write_text("days = = 3\n")
    assert_one_clear_line(cryptolake(tmp_path, "plan"), 2, "cryptolake.toml")


def test_unreachable_endpoint_fails_the_partition_and_keeps_the_secret(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v2/secretkey123"
    flags = ("--csu", "aave_v3_ethereum", "--start-date", "2024-12-31", "--end-date", "2024-12-31")
    result = cryptolake(tmp_path, "collect", *flags, CRYPTOLAKE_RPC_ETHEREUM=url)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr + result.stdout
    assert "failed" in result.stdout
    assert "secretkey123" not in result.stderr + result.stdout
    assert not list(tmp_path.rglob("*.json.gz")), "nothing half-written"
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or b"secretkey123" not in file.read_bytes()


def test_wrong_database_url_hides_the_password(tmp_path: Path) -> None:
    result = cryptolake(tmp_path, "setup", DATABASE_URL="postgresql://me:hunter2hunter2@127.0.0.1:9/none")
    assert_one_clear_line(result, 1, "DATABASE_URL")
    assert "hunter2" not in result.stderr + result.stdout


def test_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_clear_line(cryptolake(tmp_path, "--data", "file/data", "plan", "--days", "1"), 1, "file/data", "--data")


def test_unknown_source_and_entity(tmp_path: Path) -> None:
    assert_one_clear_line(cryptolake(tmp_path, "pull", "defilama"), 2, "defilama", "defillama")
    assert_one_clear_line(cryptolake(tmp_path, "pull", "defillama", "--key", "usdc"), 2, "usdc")


def test_an_unbuilt_family_is_said_aloud_in_the_plan(tmp_path: Path) -> None:
    result = cryptolake(tmp_path, "plan", "--csu", "all", "--days", "1")
    assert result.returncode == 0, result.stderr
    assert "unsupported_family" in result.stdout
