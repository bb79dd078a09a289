"""`prices import --columns`: the user's own names of what a price file has, and what is said of a wrong one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from cryptolake.cli import app

RUN = CliRunner()
TOKEN = "0x000000000000000000000000000000000000dEaD"


def imported(folder: Path, columns: str) -> tuple[int, str]:
    """Exit code and what was said."""
    file = folder / "cache.parquet"
    rows = {"day": [date(2024, 12, 5)], "chain": ["ethereum"], "token": [TOKEN], "close": [2.5]}
    pl.DataFrame(rows).write_parquet(file)
    result = RUN.invoke(app, ["--data", str(folder / "data"), "prices", "import", str(file), "--columns", columns])
    return result.exit_code, f"{result.output} {result.exception or ''}"


def test_a_parquet_file_comes_in_under_its_own_names(tmp_path: Path) -> None:
    code, said = imported(tmp_path, "date=day, asset=token,price=close")
    assert code == 0, said
    assert "cache.parquet" in said


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("day", "write each of our names once"),
        ("date=day,date=close", "write each of our names once"),
        ("dat=day,asset=token,price=close", "unknown column 'dat'"),
        ("date=days,asset=token,price=close", "column days is missing; it has day, chain, token, close"),
    ],
)
def test_a_wrong_name_is_told_and_nothing_is_kept(tmp_path: Path, columns: str, words: str) -> None:
    code, said = imported(tmp_path, columns)
    assert code != 0
    assert words in said
    assert not list((tmp_path / "data").rglob("*.raw.json.gz"))
