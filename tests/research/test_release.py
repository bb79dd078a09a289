"""A release is frozen: the same inputs give the same digest, another content under its name is refused, damage is seen."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from tests.research.test_export import panel

from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.metadata import metadata_document
from cryptolake.registry.loader import load_registry
from cryptolake.research import origin as origins
from cryptolake.research.origin import Origin, ReleaseInputs
from cryptolake.research.release import MANIFEST, release, verify
from cryptolake.sources.onchain.families import declared
from cryptolake.work.releasing import published_as

RELEASED = date(2026, 5, 4)


def made(folder: Path, frame: pl.DataFrame, version: str = "2024.12") -> str:
    document = metadata_document(DAILY_PANEL, frame, csus={}, code_version="0.1.0", registry_version="r" * 64)
    document |= published_as(load_registry(declared()), ["onchain", "defillama"])
    origin = Origin(RELEASED, "0.1.0", "c" * 40, "d" * 64, origins.environment())
    recipe = ReleaseInputs(version, ("market_0",), "utc", None, "r" * 64, 0, first_day=date(2024, 1, 1))
    written = release(
        version, DAILY_PANEL, frame, metadata=document, registry={"csus": []}, origin=origin, recipe=recipe, into=folder
    )
    return written.digest


def test_the_same_inputs_give_the_same_digest_in_any_order_and_anywhere(tmp_path: Path) -> None:
    digest = made(tmp_path / "a", panel())
    assert made(tmp_path / "a", panel()) == digest
    assert made(tmp_path / "b", panel().sample(fraction=1, shuffle=True, seed=1)) == digest
    manifest = (tmp_path / "a/2024.12" / MANIFEST).read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == digest


def test_another_content_under_the_same_name_is_refused(tmp_path: Path) -> None:
    made(tmp_path, panel())
    other = panel().with_columns(pl.col("total_tvl_usd") * 2)
    with pytest.raises(Stop, match=r"2024\.12 exists with other content .*daily_panel"):
        made(tmp_path, other)
    assert made(tmp_path, other, "2024.12.1")


def test_damage_is_seen(tmp_path: Path) -> None:
    made(tmp_path, panel())
    folder = tmp_path / "2024.12"
    assert verify(folder) == []
    (folder / "daily_panel.csv").write_text("changed")
    (folder / "README.md").unlink()
    assert verify(folder) == ["README.md", "daily_panel.csv"]
    with pytest.raises(BadInput, match="holds no release"):
        verify(tmp_path)


def test_it_can_be_cited_and_made_again(tmp_path: Path) -> None:
    made(tmp_path, panel())
    folder = tmp_path / "2024.12"
    citation = yaml.safe_load((folder / "CITATION.cff").read_text())
    assert (citation["version"], citation["type"]) == ("2024.12", "dataset")
    assert citation["identifiers"][0]["value"].startswith("sha256:")
    assert citation["date-released"] == RELEASED, "not the last day of the data"
    environment = (folder / "environment.txt").read_text()
    assert f"polars=={pl.__version__}" in environment
    assert pl.read_parquet(folder / "daily_panel.parquet").equals(panel().sort("csu", "date"))
    root = yaml.safe_load((Path(__file__).resolve().parents[2] / "CITATION.cff").read_text())
    assert root["type"] == "software"


def test_what_it_was_made_of_is_read_again_as_it_was_written() -> None:
    origin = Origin(RELEASED, "0.1.0", None, "d" * 64, origins.environment())
    for last in (None, date(2024, 12, 31)):
        recipe = ReleaseInputs("1", ("a", "b"), "ny", "{}", "r" * 64, 3, last_day=last, lacking=("one day",))
        assert origins.read(origins.written(origin, recipe), origin.environment) == (origin, recipe)
    other = origins.written(origin, recipe).replace(b'"schema_version": 1', b'"schema_version": 9')
    for content, said in ((other, "of form 9"), (b"{}", "not as a release writes it"), (b"", "not as a release")):
        with pytest.raises(BadInput, match=said):
            origins.read(content, "")


def test_a_version_is_a_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be a version"):
        made(tmp_path, panel(), "../x")
