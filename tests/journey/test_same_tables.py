"""The demo's recordings give the tables that commit db9889a made of them: nothing a user cites has changed since."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.compat.kept import TABLES, compare

from cryptolake.publish.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("demo")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_then_is_made_again(demo: tuple[Path, subprocess.CompletedProcess[str]], table: str) -> None:
    folder, result = demo
    assert result.returncode == 0, result.stderr
    with Warehouse.open(folder / "sandbox", None) as warehouse:
        compare(warehouse, table)
