"""One selection for every command: what was chosen is what is read, and what was not chosen changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import typer
from benchmarks.synthetic_lake import World, fill, market, partitions, source
from click.testing import Result
from typer.testing import CliRunner

from cryptolake.cli import app, plan_scripts
from cryptolake.errors import BadInput
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.registry.loader import load_registry
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work.panel import build
from cryptolake.work.refine import refine

RUN = CliRunner()
FIRST, LAST, STRAY = date(2024, 5, 1), date(2024, 5, 6), date(2024, 9, 9)
STUDY, OTHER = ("aave_v3_base", "aave_v3_ethereum"), "aave_v3_metis"


def run(*arguments: str, code: int = 0) -> Result:
    result = RUN.invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module", autouse=True)
def one_reader() -> Iterator[None]:
    """The invented answers stand under real markets' names, whose own reader does not know them: their twins must count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnchainSource, "reader", lambda _self, key: key)
        yield


@pytest.fixture(scope="module")
def lake(one_reader: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Six days of two markets, and one stray day of a third; a registry file that names the two `study`."""
    root = tmp_path_factory.mktemp("selection")
    chains = {name: csu.chain for name, csu in load_registry(declared()).csus.items()}
    lake = Tables(root)
    for names, first, last in ((STUDY, FIRST, LAST), ((OTHER,), STRAY, STRAY)):
        world = World([market(name, chains[name]) for name in names], assets=2)
        ledger = fill(root, world, first, last, quiet_events=2)
        refine(source(world), partitions(world, first, last), bronze=Bronze(root), tables=lake)
        csus = {name: load_registry(declared()).csus[name] for name in (*STUDY, OTHER)}
        build(tables=lake, ledger=ledger, csus=csus)
        ledger.close()
    (root / "registry.yaml").write_text(f"sets:\n  study: [{', '.join(STUDY)}]\n")
    return ("--data", str(root), "--registry", str(root / "registry.yaml"))


READING: dict[str, tuple[str, ...]] = {
    "describe": ("panel", "describe", "--json"),
    "quality": ("quality", "--no-store", "--json"),
    "release": ("release", "1.0", "--json", "--into"),
}


def selection(lake: tuple[str, ...], tmp_path: Path, command: str, *flags: str) -> dict[str, Any]:
    words = READING[command] + ((str(tmp_path),) if command == "release" else ())
    result = RUN.invoke(app, [*lake, *words, *flags])
    assert result.exit_code in (0, 1), result.output
    found: dict[str, Any] = orjson.loads(result.stdout)["selection"]
    return found


@pytest.mark.parametrize("command", READING)
def test_a_stray_day_of_another_market_does_not_touch_a_set(
    lake: tuple[str, ...], tmp_path: Path, command: str
) -> None:
    found = selection(lake, tmp_path, command, "--set", "study")
    assert found["markets"] == list(STUDY)
    assert (found["first_day"], found["last_day"]) == (str(FIRST), str(LAST))
    assert found["never_asked"] == 0, "balanced: the stray day belongs to somebody else"


@pytest.mark.parametrize("command", READING)
def test_without_a_selection_a_command_says_what_it_took(lake: tuple[str, ...], tmp_path: Path, command: str) -> None:
    found = selection(lake, tmp_path, command)
    assert found["markets"] == sorted([*STUDY, OTHER])
    assert found["last_day"] == str(STRAY)
    days = (LAST - FIRST).days + 1
    assert found["never_asked"] == len(STUDY) + days, "the two on the stray day, the third on all others"


@pytest.mark.parametrize("command", READING)
def test_days_that_nobody_asked_for_are_rows_that_say_so(lake: tuple[str, ...], tmp_path: Path, command: str) -> None:
    dates = ("--start-date", str(FIRST), "--end-date", str(LAST + timedelta(days=4)))
    found = selection(lake, tmp_path, command, "--set", "study", *dates)
    assert found["never_asked"] == 4 * len(STUDY)


def test_an_export_holds_the_selection_and_its_pending_days(lake: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "panel.parquet"
    more = ("--start-date", str(FIRST), "--end-date", str(LAST + timedelta(days=1)))
    result = run(*lake, "panel", "export", "--out", str(out), "--set", "study", "--csu", "aave_v3_base", *more)
    frame = pl.read_parquet(out)
    assert frame["csu"].unique().to_list() == ["aave_v3_base"]
    assert frame.sort("date")["status"].to_list()[-1] == "pending"
    assert "1 market (aave_v3_base) on 7 days (2024-05-01 .. 2024-05-07)" in " ".join(result.stderr.split())


def test_refine_without_days_takes_every_day_that_was_asked_for(lake: tuple[str, ...]) -> None:
    tables = Tables(Path(lake[1]))
    before = tables.read(TVL)
    tables.write(TVL, before.filter(pl.col("csu") == OTHER))
    run(*lake, "refine", "--set", "study")
    assert tables.read(TVL).sort(TVL.key).equals(before.sort(TVL.key))


def test_refine_of_what_was_never_collected_is_refused(lake: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="nothing was collected yet for this selection"):
        run(*lake, "refine", "--csu", "aave_v3_optimism")


def test_plan_without_a_market_says_that_it_is_about_one(lake: tuple[str, ...]) -> None:
    result = run(*lake, "plan", "--days", "3", "--json")
    assert orjson.loads(result.stdout)["markets"] == ["aave_v3_ethereum"]
    assert "No market was selected: this is about the test market aave_v3_ethereum" in " ".join(result.stderr.split())
    chosen = run(*lake, "plan", "--days", "3", "--json", "--set", "study")
    assert orjson.loads(chosen.stdout)["markets"] == list(STUDY)
    assert "No market was selected" not in chosen.stderr


def test_a_selection_that_no_market_meets_is_refused(lake: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="no market meets all of the flags"):
        run(*lake, "collect", "--set", "study", "--chain", "ink")


def test_every_command_that_takes_markets_takes_a_set() -> None:
    waiting: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    taking: list[str] = []
    lacking: list[str] = []
    while waiting:
        name, command = waiting.pop()
        waiting += [(f"{name} {one}", inner) for one, inner in getattr(command, "commands", {}).items()]
        flags = {flag for one in command.params for flag in one.opts}
        if "--csu" in flags:
            taking.append(name)
            lacking += [name] * ("--set" not in flags)
    assert taking
    assert lacking == []


@pytest.mark.parametrize(
    ("given", "chosen"),
    [([], ["--set", "thesis-43"]), (["--chain", "base"], ["--chain", "base"]), (["--set", "x"], ["--set", "x"])],
)
def test_the_plans_script_for_all_means_its_43_markets(
    monkeypatch: pytest.MonkeyPatch, given: list[str], chosen: list[str]
) -> None:
    """The command itself is not run here: that it takes these words is what the tests above are about."""
    seen: list[list[str]] = []
    monkeypatch.setattr("sys.argv", ["collect_all_csus.py", *given])
    monkeypatch.setattr(plan_scripts, "main", lambda: seen.append(sys.argv[1:]))
    with pytest.raises(SystemExit) as ended:
        plan_scripts.collect_all_csus()
    assert ended.value.code == 0
    assert seen == [["collect", *chosen, "--resume"]]
