"""A release is made again from its own folder and the answers, byte for byte; whatever is missing or differs is named."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.command import cryptolake
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import BadInput, CryptolakeError, Stop

pytestmark = pytest.mark.xdist_group("demo")
ANSWER = "bronze/tvl/aave_v3_sandbox/2024-12-03.raw.json.gz"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE_PUBLIC_RPC", "0")


def run(folder: Path, *words: str) -> Result:
    """A command in this process; what it raises is raised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def said(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def made(demo: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's lake valued in an order of its own, with its release `1.0`."""
    place = tmp_path_factory.mktemp("released")
    for name in ("bronze", "silver", "gold"):
        shutil.copytree(demo[0] / "sandbox" / name, place / "data" / name)
    for name in ("ledger.sqlite", "registry.yaml"):
        shutil.copy(demo[0] / "sandbox" / name, place / "data" / name)
    assert run(place, "reprice", "--order", "protocol_oracle,chainlink", "--no-publish").exit_code == 0
    assert run(place, "release", "1.0").exit_code == 0
    return place


@pytest.fixture
def released(made: Path, tmp_path: Path) -> Path:
    """The release, in a copy of that lake."""
    shutil.copytree(made / "data", tmp_path / "data")
    return tmp_path / "data/releases/1.0"


def rebuild(released: Path, bronze: Path, into: Path, *words: str) -> Result:
    return run(into.parent, "--data", str(into), "release", "rebuild", str(released), "--bronze", str(bronze), *words)


def test_the_readme_s_command_gives_the_same_digest(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (released / "README.md").read_text()
    assert "cryptolake release rebuild PATH/TO/1.0 --bronze PATH/TO/ANSWERS" in readme
    # The settings of whoever makes it again decide nothing.
    monkeypatch.setenv("CRYPTOLAKE_PRICE_ORDER", "chainlink")
    monkeypatch.setenv("CRYPTOLAKE_DAY_BOUNDARY", "ny")
    archive = tmp_path / "answers.zip"
    assert run(tmp_path, "release", "archive", str(released), "--out", str(archive)).exit_code == 0
    again = rebuild(released, archive, tmp_path / "again", "--json")
    assert again.exit_code == 0, again.output
    assert said(again)["same"] is True
    assert said(again)["digest"] == said(again)["first_digest"]
    assert (tmp_path / "again/releases/1.0/MANIFEST.sha256").read_bytes() == (released / "MANIFEST.sha256").read_bytes()
    names = zipfile.ZipFile(archive).namelist()
    assert len(names) == 28
    assert ANSWER in names


def test_another_machine_gives_the_same_bytes(released: Path, tmp_path: Path) -> None:
    """One processor instead of several, and another order of sets and dictionaries' hashes."""
    words = ("--data", "again", "release", "rebuild", str(released), "--bronze", str(tmp_path / "data"), "--json")
    done = cryptolake(tmp_path, *words, POLARS_MAX_THREADS="1", PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["differs"] == []


def test_its_registry_is_a_registry_file(released: Path) -> None:
    words = ("--registry", str(released / "registry.json"))
    assert said(run(released, *words, "markets", "show", "aave_v3_sandbox", "--json"))["name"] == "aave_v3_sandbox"
    lake = released.parents[2]
    assert run(lake, *words, "release", "1.0").exit_code == 0, "the same release: nothing changes"


def _remove(lake: Path, _released: Path) -> None:
    (lake / "data" / ANSWER).unlink()


def _damage(lake: Path, _released: Path) -> None:
    path = lake / "data" / ANSWER
    document = json.loads(gzip.decompress(path.read_bytes()))
    path.write_bytes(gzip.compress(json.dumps({**document, "payload": document["payload"] + " "}).encode()))


def _edit_release(_lake: Path, released: Path) -> None:
    (released / "recipe.json").write_text((released / "recipe.json").read_text().replace("utc", "ny"))


def _lose_ledger(_lake: Path, released: Path) -> None:
    (released / "ledger.parquet").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_remove, r"1 answer of 28 .* cannot be found .*tvl/aave_v3_sandbox/2024-12-03 \(onchain\)"),
        (_damage, r"1 answer of 28 .* cannot be found .*tvl/aave_v3_sandbox/2024-12-03 \(onchain\)"),
        (_edit_release, r"recipe\.json"),
        (_lose_ledger, r"ledger\.parquet"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_written(
    spoil: Any, told: str, released: Path, tmp_path: Path
) -> None:
    spoil(tmp_path, released)
    for words in ((), ("--json",)):
        with pytest.raises(Stop, match=told):
            rebuild(released, tmp_path / "data", tmp_path / "again", *words)
    assert not list((tmp_path / "again").glob("**/*.parquet"))


def test_an_answer_that_was_superseded_since_is_found(released: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / ANSWER
    document = json.loads(gzip.decompress(path.read_bytes()))
    path.rename(path.with_name(f"{path.name}.superseded-{document['digest'][:12]}"))
    path.write_bytes(b"another one")
    assert rebuild(released, tmp_path / "data/bronze", tmp_path / "again").exit_code == 0


def test_what_differs_is_named(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another code gives other numbers: here the sums of the panel."""
    from cryptolake.gold import daily_panel
    from cryptolake.work import rebuilding

    true = daily_panel.build

    def other(*arguments: Any) -> Any:
        rows = true(*arguments)
        return rows.with_columns(rows["gross_tvl_usd"] * 2)

    monkeypatch.setattr(daily_panel, "build", other)
    monkeypatch.setattr(rebuilding, "code_digest", lambda: "0" * 64)
    done = rebuild(released, tmp_path / "data", tmp_path / "again", "--json")
    assert done.exit_code == 1
    found = said(done)
    assert found["same"] is False
    assert {"daily_panel.csv", "daily_panel.parquet", "metadata.json"} <= set(found["differs"])
    assert "ledger.parquet" not in found["differs"]
    assert any("the code is another one" in note for note in found["notes"])


def test_a_folder_that_holds_a_lake_is_left_alone(released: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds a lake already"):
        rebuild(released, tmp_path / "data", tmp_path / "data")


@pytest.mark.parametrize(
    ("place", "told"), [("nowhere", "there are no answers at"), ("data/registry.yaml", "is no archive of answers")]
)
def test_no_answers_are_no_answers(place: str, told: str, released: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=told):
        rebuild(released, tmp_path / place, tmp_path / "again")


def test_a_release_of_an_earlier_version_says_so(released: Path, tmp_path: Path) -> None:
    (released / "recipe.json").unlink()
    manifest = released / "MANIFEST.sha256"
    manifest.write_text("".join(line for line in manifest.read_text().splitlines(True) if "recipe" not in line))
    with pytest.raises(CryptolakeError, match="take the release anew"):
        rebuild(released, tmp_path / "data", tmp_path / "again")


def test_the_day_of_release_is_that_of_the_first_time(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written again a year later it is the same release; `date-released` is the day of the first time."""
    from datetime import UTC, datetime

    from cryptolake.work import releasing

    first = (released / "MANIFEST.sha256").read_bytes()
    day = datetime.now(UTC).date()
    assert abs((day - _day(released)).days) <= 1

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(day.year + 1, 6, 1, tzinfo=tz)

    monkeypatch.setattr(releasing, "datetime", Later)
    lake = released.parents[2]
    assert run(lake, "release", "1.0").exit_code == 0
    assert (released / "MANIFEST.sha256").read_bytes() == first
    assert run(lake, "release", "1.1").exit_code == 0
    assert _day(released.with_name("1.1")).year == day.year + 1


def _day(released: Path) -> Any:
    import yaml

    return yaml.safe_load((released / "CITATION.cff").read_text())["date-released"]


def test_a_price_of_the_user_s_is_the_cause_of_what_it_changes(released: Path, tmp_path: Path) -> None:
    hole = said(run(tmp_path, "prices", "list", "--missing", "--json"))
    (tmp_path / "mine.csv").write_text(f"date,chain,asset,price\n2024-12-10,sandbox,{hole[0]['asset']},2000\n")
    assert run(tmp_path, "prices", "import", "mine.csv").exit_code == 0
    assert run(tmp_path, "reprice", "--no-publish").exit_code == 0
    assert run(tmp_path, "release", "1.1").exit_code == 0
    words = ("release", "diff", str(released), str(released.with_name("1.1")))
    files = ("--out", "cells.csv", "--changelog", "CHANGES.md")
    found = said(run(tmp_path, *words, "--json", *files))
    assert set(found["by_cause"]) == {"price"}
    assert {cell["date"] for cell in found["cells"]} == {"2024-12-10"}
    assert {"total_tvl_usd", "status"} <= {cell["column"] for cell in found["cells"]}
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == 1 + found["changed_cells"]
    assert "| price |" in (tmp_path / "CHANGES.md").read_text()
    assert "no cell changed" in run(tmp_path, "release", "diff", str(released), str(released)).stdout


def test_a_cited_id_leads_to_its_tables_and_code(released: Path, tmp_path: Path) -> None:
    from cryptolake.version import commit

    cited = json.loads((released / "metadata.json").read_text())["dataset_version"]
    (release, panel) = said(run(tmp_path, "at", f"sha256:{cited[:12]}", "--json"))
    assert (release["what"], release["commit"], panel["what"], panel["commit"]) == (
        "release", commit(), "panel", commit()
    )  # fmt: skip
    assert {"daily_panel.parquet", "recipe.json"} <= set(release["tables"])
    assert {"daily_panel", "tvl", "liquidations", "prices", "refined"} <= set(panel["tables"])
    days = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-02", "--end-date", "2024-12-05")
    assert run(tmp_path, "panel", "export", "--out", "some.parquet", *days).exit_code == 0
    some = json.loads((tmp_path / "some.parquet.codebook.json").read_text())
    by_file = said(run(tmp_path, "at", some["dataset_version"], "--in", str(tmp_path), "--json"))
    assert [(one["what"], one["tables"]) for one in by_file] == [
        ("export", {"daily_panel": f"version {some['panel_version']}"})
    ]
    # The panel goes on, and the rows as they were are found all the same.
    assert run(tmp_path, "reprice", "--order", "chainlink", "--no-publish").exit_code == 0
    (before,) = said(run(tmp_path, "at", some["dataset_version"], *days, "--json"))
    assert (before["what"], before["where"]) == ("panel", f"version {some['panel_version']}")
    with pytest.raises(Stop, match=r"nor any of \d+ versions"):
        run(tmp_path, "at", some["dataset_version"])
    with pytest.raises(BadInput, match="no version id"):
        run(tmp_path, "at", "1234567")
