"""A release of some markets and days of a larger lake, prices of vendors included, is made again from its own answers alone."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import orjson
import pytest
from benchmarks.synthetic_lake import World, fill, market
from click.testing import Result
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import Stop

FIRST, LAST = date(2024, 5, 1), date(2024, 5, 4)
MARKETS = {"aave_v3_base": "base", "aave_v3_ethereum": "ethereum", "aave_v3_metis": "metis"}
MINE = ("--csu", "aave_v3_base", "--csu", "aave_v3_metis", "--start-date", "2024-05-02", "--end-date", "2024-05-03")


def run(place: Path, *words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CRYPTOLAKE_PUBLIC_RPC", "0")
        result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of three invented markets that stand in the user's registry file, with a release of two of them on two days."""
    place = tmp_path_factory.mktemp("selection")
    world = World([market(name, chain) for name, chain in MARKETS.items()], assets=2)
    rows = [
        {"name": one.name, "family": "aave_v3", "chain": one.chain, "entry": dict(one.entry), "sandbox": True}
        for one in world.csus
    ]
    (place / "data").mkdir()
    (place / "data/registry.yaml").write_bytes(orjson.dumps({"csus": rows}))
    fill(place / "data", world, FIRST, LAST, quiet_events=3).close()
    for words in (("refine", "--csu", "all"), ("build",), ("release", "1.0", *MINE)):
        assert run(place, *words).exit_code == 0, words
    asset = world.listed(world.csus[0])[0]
    (place / "mine.csv").write_text(
        f"date,chain,asset,price\n2024-05-02,base,{asset},2000\n2024-05-04,base,{asset},1\n"
    )
    assert run(place, "prices", "import", "mine.csv").exit_code == 0
    for words in (("build",), ("release", "1.1", *MINE)):
        assert run(place, *words).exit_code == 0, words
    return place


def test_only_what_the_selection_rests_on_is_asked_for(place: Path, tmp_path: Path) -> None:
    released = place / "data/releases/1.0"
    metadata = json.loads((released / "metadata.json").read_text())
    assert (metadata["markets"], metadata["days"], metadata["rows"]) == (2, 2, 4)
    archived = run(place, "release", "archive", str(released), "--out", str(tmp_path / "some.zip"))
    assert f"{2 * 2 * 4} answers in" in archived.stdout, (
        "two markets, two datasets, all four days: days before bear on these"
    )
    again = ("--data", "again", "release", "rebuild", str(released), "--bronze", "some.zip", "--json")
    done = run(tmp_path, *again)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["differs"] == []


def test_what_may_not_be_passed_on_is_withheld_from_an_archive_and_named(place: Path, tmp_path: Path) -> None:
    released = place / "data/releases/1.1"
    metadata = json.loads((released / "metadata.json").read_text())
    assert {one["source"]: one["pass_on"] for one in metadata["terms"]} == {
        "file": "not_found", "onchain": "yes", "protocol_oracle": "yes"
    }  # fmt: skip
    said = " ".join(run(place, "release", "archive", str(released), "--out", str(tmp_path / "open.zip")).stdout.split())
    assert "Withheld: 1 answer of file (no permission to pass it on was found" in said
    with pytest.raises(Stop, match=r"1 answer of 17 .* price_file/mine/.*\(file\)|1 answer of 17 .*\(file\)"):
        run(tmp_path, "--data", "again", "release", "rebuild", str(released), "--bronze", "open.zip")
    assert run(place, "release", "archive", str(released), "--all", "--out", str(tmp_path / "all.zip")).exit_code == 0
    done = run(tmp_path, "--data", "again", "release", "rebuild", str(released), "--bronze", "all.zip", "--json")
    assert json.loads(done.stdout)["same"] is True, done.output


def test_prices_are_the_cause_between_the_two(place: Path) -> None:
    found = json.loads(run(place, "release", "diff", "data/releases/1.0", "data/releases/1.1", "--json").stdout)
    assert set(found["by_cause"]) <= {"price", "another day"}
    assert {cell["date"] for cell in found["cells"] if cell["cause"] == "price"} == {"2024-05-02"}
