"""Commands that take something away or replace it: what another place does not hold stays, and the user is told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.server_folder import server_folder

from cryptolake.demo.replay import sandbox_registry
from cryptolake.publish.warehouse import Warehouse

pytestmark = pytest.mark.xdist_group("demo")
Demo = tuple[Path, subprocess.CompletedProcess[str]]
PUBLISHED = ("tvl", "liquidations", "prices", "daily_panel")


@dataclass
class Copy:
    """A copy of the demo's lake with a database of its own, filled by `publish`."""

    folder: Path

    def ask(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return cryptolake(self.folder, "--data", "sandbox", *arguments, **variables)

    def counts(self) -> dict[str, int]:
        with Warehouse.open(self.folder / "sandbox", None) as warehouse:
            return {name: warehouse.query(f"SELECT count(*) FROM {name}").item() for name in PUBLISHED}


@pytest.fixture
def copy(demo: Demo) -> Iterator[Copy]:
    with server_folder("nothing-lost", "sandbox") as folder:
        (folder / "sandbox").mkdir()
        for name in ("bronze", "silver", "gold", "ledger.sqlite", "registry.yaml"):
            one = demo[0] / "sandbox" / name
            (shutil.copytree if one.is_dir() else shutil.copy)(one, folder / "sandbox" / name)
        yield Copy(folder)


def test_a_lost_lake_never_empties_what_is_published(copy: Copy) -> None:
    assert copy.ask("publish").returncode == 0
    before, panel = copy.counts(), (copy.folder / "sandbox/gold/daily_panel.parquet").read_bytes()
    assert all(before.values())
    for layer, table in (("silver", "tvl"), ("silver", "liquidations"), ("silver", "prices"), ("gold", "daily_panel")):
        place = copy.folder / "sandbox" / layer / "delta" / table
        place.rename(place.with_name(f"{table}-lost"))
        result = copy.ask("publish")
        assert result.returncode == 1
        assert f"{table} is empty in the lake" in result.stderr
        assert "rebuild" in result.stderr
        assert copy.counts() == before
        assert (copy.folder / "sandbox/gold/daily_panel.parquet").read_bytes() == panel
        place.with_name(f"{table}-lost").rename(place)
    shutil.rmtree(copy.folder / "sandbox/silver/delta")
    assert copy.ask("rebuild").returncode == 0
    assert copy.counts() == before


def test_a_rebuild_without_all_answers_writes_nothing(copy: Copy) -> None:
    data = copy.folder / "sandbox"
    answers = [data / "bronze" / one / "aave_v3_sandbox/2024-12-05.raw.json.gz" for one in ("tvl", "liquidations")]
    lost = {path: path.read_bytes() for path in answers}
    for path in answers:
        path.unlink()
    twins = {path: path.read_bytes() for path in data.glob("bronze/*/*/*.parquet")}
    tables = sorted(path.name for path in data.glob("*/delta/*/_delta_log/*"))
    refused = copy.ask("rebuild", "--reparse", "--no-publish")
    assert refused.returncode == 1
    assert "2 answers that the ledger knows" in refused.stderr
    assert "ledger repair" in refused.stderr
    assert {path: path.read_bytes() for path in data.glob("bronze/*/*/*.parquet")} == twins, "all there is of that day"
    assert sorted(path.name for path in data.glob("*/delta/*/_delta_log/*")) == tables
    for path, content in lost.items():
        path.write_bytes(content)
    assert copy.ask("rebuild", "--reparse", "--no-publish").returncode == 0


def test_the_demo_spares_another_lake(copy: Copy) -> None:
    other = copy.folder / "other"
    (other / "bronze").mkdir(parents=True)
    assert "name another --folder" in cryptolake(copy.folder, "demo", "--folder", "other").stderr
    assert not (other / "registry.yaml").exists()
    (other / "registry.yaml").write_bytes(sandbox_registry().read_bytes() + b"# mine\n")
    assert "name another --folder" in cryptolake(copy.folder, "demo", "--folder", "other").stderr
    assert (other / "registry.yaml").read_bytes().endswith(b"# mine\n")
