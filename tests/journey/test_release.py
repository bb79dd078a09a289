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


def said(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


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
