"""Data Package, Croissant and Zenodo metadata of a release: every file is in them as it is, and their own validators agree."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.research.test_export import panel
from tests.research.test_release import made

from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL

VALIDATORS = Path(__file__).resolve().parents[2] / "build/validators/bin/python"

# What the deposit form of Zenodo asks for at least, and all that it takes of what we write, after its documentation.
NEEDED = {"title", "upload_type", "description", "creators", "access_right", "license", "publication_date"}
TAKEN = NEEDED | {"version", "keywords", "language", "notes", "dates"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packages")
    made(place, panel(markets=2, days=12))
    return place / "2024.12"


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_the_data_package_lists_every_file_as_it_is(folder: Path) -> None:
    document = read(folder, "datapackage.json")
    listed = {one["path"]: one for one in document["resources"]}
    assert set(listed) == {one.name for one in folder.iterdir()} - {"datapackage.json", "MANIFEST.sha256"}
    for name, one in listed.items():
        content = (folder / name).read_bytes()
        assert (one["bytes"], one["hash"]) == (len(content), f"sha256:{hashlib.sha256(content).hexdigest()}"), name
    assert len({one["name"] for one in document["resources"]}) == len(listed)
    assert document["licenses"] == [{"name": "CC-BY-4.0", "path": "https://creativecommons.org/licenses/by/4.0/"}]
    assert [one["title"].split(":")[0] for one in document["sources"]] == ["defillama", "onchain"]


def test_its_schema_is_that_of_the_csv(folder: Path) -> None:
    (table,) = [one for one in read(folder, "datapackage.json")["resources"] if "schema" in one]
    fields = table["schema"]["fields"]
    with (folder / "daily_panel.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [one["name"] for one in fields] == list(rows[0]) == list(DAILY_PANEL.columns)
    parse = {
        "date": date.fromisoformat,
        "number": float,
        "integer": int,
        "string": str,
        "boolean": bool,
    }
    for one in fields:
        for text in (row[one["name"]] for row in rows if row[one["name"]]):
            if one["type"] == "datetime":
                assert datetime.strptime(text, one["format"]).tzinfo == UTC
            else:
                parse[one["type"]](text)
        rules = one.get("constraints", {})
        assert all(row[one["name"]] in ("", *rules["enum"]) for row in rows) if "enum" in rules else True
    assert table["schema"]["primaryKey"] == list(DAILY_PANEL.key)


def test_croissant_names_every_column_and_data_file(folder: Path) -> None:
    document = read(folder, "croissant.json")
    (records,) = document["recordSet"]
    frame = pl.read_parquet(folder / "daily_panel.parquet")
    assert [one["source"]["extract"]["column"] for one in records["field"]] == frame.columns
    for one in document["distribution"]:
        assert one["sha256"] == hashlib.sha256((folder / one["contentUrl"]).read_bytes()).hexdigest()
    assert document["datePublished"] == "2026-05-04"
    assert document["version"] == "2024.12.0"


def test_zenodo_takes_it(folder: Path) -> None:
    document = read(folder, ".zenodo.json")
    assert NEEDED <= set(document) <= TAKEN
    assert (document["upload_type"], document["access_right"]) == ("dataset", "open")
    assert (document["license"], document["publication_date"]) == ("cc-by-4.0", "2026-05-04")
    assert all(one["name"] and set(one) <= {"name", "orcid", "affiliation"} for one in document["creators"])
    assert document["description"].startswith("<p>")
    assert {one["type"] for one in document["dates"]} <= {"Collected", "Valid", "Withdrawn"}


def test_methods_are_rendered_from_the_data(folder: Path) -> None:
    text = (folder / "methods.md").read_text()
    frame = pl.read_parquet(folder / "daily_panel.parquet")
    for column in ("status", "liquidations_status"):
        side = "TVL" if column == "status" else "liquidations"
        for status, count in frame[column].value_counts().iter_rows():
            assert f"| {side} | {status} | {count:,} |" in text
    assert DAILY_PANEL.methodology in text
    assert "| no answer |" in text


DESCRIPTOR = """
import sys
from frictionless import Package

package = Package(sys.argv[1])
faults = [str(one) for one in Package.metadata_validate(package.to_descriptor())]
for resource in package.resources:
    # The validator reads a missing time in a Parquet file as an error of its own; the codebook describes that file.
    if resource.format != "parquet" and resource.name != "codebook.json":
        faults += [str(one.errors) for one in [resource.validate()] if not one.valid]
print(chr(10).join(faults))
"""


@pytest.mark.services
def test_frictionless_finds_nothing(folder: Path) -> None:
    command = [str(VALIDATORS), "-c", DESCRIPTOR, "datapackage.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.services
def test_mlcroissant_finds_nothing_and_reads_the_rows(folder: Path) -> None:
    code = "import mlcroissant as ml; d = ml.Dataset('croissant.json'); assert not d.metadata.issues.warnings;"
    code += "print(sum(1 for _ in d.records('daily_panel')))"
    done = subprocess.run([str(VALIDATORS), "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) == 24


def test_the_dictionary_has_every_column_of_every_table(folder: Path) -> None:
    text = (folder / "dictionary.md").read_text()
    for file in folder.glob("*.parquet"):
        part = text.split(f"## {file.name}\n")[1].split("\n## ")[0]
        assert all(f"| `{column}` |" in part for column in pl.read_parquet_schema(file)), file.name
