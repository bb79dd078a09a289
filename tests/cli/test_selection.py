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
from benchmarks.synthetic_lake import World, fill, market, partitions, source
from click.testing import Result
from tests.stores import stores_of
from typer.testing import CliRunner

from cryptolake.app import App
from cryptolake.cli import _plan_scripts as plan_scripts
from cryptolake.cli import app
from cryptolake.errors import BadInput
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.registry.loader import load_registry
from cryptolake.settings import load_settings
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work.market_days import MarketDays
from cryptolake.work.panel import build
from cryptolake.work.prices import wanted_of
from cryptolake.work.refine import refine
from cryptolake.work.selection import named_partitions

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
        build(stores_of(root, ledger), csus=csus, left_out=())
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


def test_an_export_holds_the_selection_and_its_days_that_nobody_asked_for(
    lake: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "panel.parquet"
    more = ("--start-date", str(FIRST), "--end-date", str(LAST + timedelta(days=1)))
    result = run(*lake, "panel", "export", "--out", str(out), "--set", "study", "--csu", "aave_v3_base", *more)
    frame = pl.read_parquet(out)
    assert frame["csu"].unique().to_list() == ["aave_v3_base"]
    assert frame.sort("date")["status"].to_list()[-1] == "not_asked"
    assert "1 market (aave_v3_base) on 7 days (2024-05-01 .. 2024-05-07)" in " ".join(result.stderr.split())


def test_a_market_that_was_named_and_never_collected_lacks_the_days_of_the_others(lake: tuple[str, ...]) -> None:
    opened = App(load_settings(data=Path(lake[1])))
    both = [opened.registry.csus[name] for name in (STUDY[0], "aave_v3_scroll")]
    found = named_partitions(opened, both, "liquidations")
    days = {name: {one.period.day for one in found if one.key == name} for name in (STUDY[0], "aave_v3_scroll")}
    assert (
        days[STUDY[0]] == days["aave_v3_scroll"] == {FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)}
    )
    alone = named_partitions(opened, both[1:], "liquidations")
    assert len(alone) == load_settings().days


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize(
    "flags",
    [("--csu", "aave_v3_scroll"), ("--set", "study", "--start-date", "2025-01-01", "--end-date", "2025-01-03")],
    ids=["a market", "days"],
)
def test_a_selection_of_which_nothing_was_asked_is_refused(
    lake: tuple[str, ...], tmp_path: Path, command: str, flags: tuple[str, ...]
) -> None:
    words = READING[command] + ((str(tmp_path),) if command == "release" else ())
    with pytest.raises(BadInput, match="`cryptolake run` with the same flags"):
        run(*lake, *words, *flags)


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


def silver_without_other(lake: tuple[str, ...]) -> tuple[Tables, pl.DataFrame]:
    """Take the stray day's rows out of silver: it was answered and has no number now. The rows before, to put them back."""
    tables = Tables(Path(lake[1]))
    before = tables.read(TVL)
    tables.write(TVL, before.filter(pl.col("csu") != OTHER))
    return tables, before


def test_build_is_as_good_as_what_was_chosen_and_says_what_else_is_wrong(lake: tuple[str, ...]) -> None:
    tables, before = silver_without_other(lake)
    try:
        chosen = run(*lake, "build", "--set", "study")
        said = " ".join(chosen.stderr.split())
        assert "2 markets (aave_v3_base, aave_v3_ethereum) on 6 days" in said
        assert "1 other market-day, which you did not choose, has no number" in said
        assert "--set study" in chosen.stdout.rpartition("Next:")[2]
        run(*lake, "build", "--set", "study", "--end-date", str(STRAY))
        run(*lake, "build", "--csu", OTHER, code=1)
        run(*lake, "build", "--start-date", str(STRAY), code=1)
        run(*lake, "build", code=1)
    finally:
        tables.write(TVL, before)
        run(*lake, "build")


def test_a_rebuilt_selection_makes_good_what_silver_lacks_of_others(lake: tuple[str, ...]) -> None:
    """A market's oracle tells the price to all others, so nothing that silver lacks may stay away."""
    tables, before = silver_without_other(lake)
    try:
        run(*lake, "rebuild", "--no-publish", "--set", "study")
        assert tables.read(TVL).sort(TVL.key).equals(before.sort(TVL.key))
    finally:
        tables.write(TVL, before)
        run(*lake, "build")


def test_a_selection_nobody_collected_is_no_empty_success(lake: tuple[str, ...], tmp_path: Path) -> None:
    nothing = ("--csu", "aave_v3_optimism")
    for words in (
        ("rebuild", "--no-publish"),
        ("build",),
        ("ledger", "inspect"),
        ("ledger", "export", "--to", str(tmp_path)),
    ):
        with pytest.raises(BadInput, match=r"of this selection"):
            run(*lake, *words, *nothing)


def test_the_ledger_counts_and_hands_out_the_chosen_market_days(lake: tuple[str, ...], tmp_path: Path) -> None:
    days = (LAST - FIRST).days + 1

    def counted(*flags: str) -> int:
        found = orjson.loads(run(*lake, "ledger", "inspect", "--json", *flags).stdout)["datasets"]
        return sum(sum(states.values()) for states in found.values())

    per_day = counted("--csu", OTHER)  # one day of one market, by every dataset
    assert counted("--set", "study") == days * len(STUDY) * per_day
    assert counted("--set", "study", "--start-date", str(LAST)) == len(STUDY) * per_day
    assert counted() == counted("--end-date", str(STRAY)) == (days * len(STUDY) + 1) * per_day
    with pytest.raises(BadInput, match="one market and day already"):
        run(*lake, "ledger", "inspect", f"tvl/{OTHER}/{STRAY}", "--set", "study")
    with pytest.raises(BadInput, match="name another folder with --to"):
        run(*lake, "ledger", "export", "--set", "study")
    run(*lake, "ledger", "export", "--set", "study", "--end-date", str(FIRST), "--to", str(tmp_path))
    progress = orjson.loads((tmp_path / "tvl_progress.json").read_bytes())
    assert {name: said["completed_dates"] for name, said in progress.items()} == {key: [str(FIRST)] for key in STUDY}
    tasks = orjson.loads((tmp_path / "checkpoint.json").read_bytes())["completed_tasks"]
    assert {(one["csu"], one["date"]) for one in tasks} == {(name, str(FIRST)) for name in STUDY}
    files = ("ledger", "import", str(tmp_path / "tvl_progress.json"), "--json")
    taken = orjson.loads(run(*lake, *files, "--csu", STUDY[0]).stdout)
    assert (taken["known"], taken["left_out"]) == (1, 1)


def test_prices_are_those_of_the_tokens_that_the_markets_hold(lake: tuple[str, ...]) -> None:
    tables = Tables(Path(lake[1]))
    held = tables.read(TVL)

    def listed(*flags: str) -> set[tuple[str, str]]:
        rows = orjson.loads(run(*lake, "prices", "list", "--json", *flags).stdout)
        return {(one["chain"], one["asset"]) for one in rows if one["chain"] != "any"}

    of_study = set(held.filter(pl.col("csu").is_in(STUDY)).select("chain", "asset").unique().iter_rows())
    assert of_study <= listed("--set", "study")
    assert "metis" not in {chain for chain, _ in listed("--set", "study")}
    assert {chain for chain, _ in listed("--csu", OTHER)} == {"metis"}
    assert {chain for chain, _ in listed("--start-date", str(STRAY))} == {"metis"}
    only = MarketDays(frozenset(STUDY), LAST, LAST)
    wanted = wanted_of(tables, "prices", everything=True, only=only)
    assert {(one.key, one.period.day) for one in wanted if one.key != "any"} == {("base", LAST), ("ethereum", LAST)}
    versions = orjson.loads(run(*lake, "prices", "versions", "--json", "--csu", OTHER).stdout)
    assert versions["tvl"]["rows"] == held.filter(pl.col("csu") == OTHER).height


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


@pytest.mark.parametrize("days", [(), ("--start-date", str(FIRST), "--end-date", str(LAST))], ids=["all", "days"])
def test_verify_reads_the_snapshots_of_the_selection_too(lake: tuple[str, ...], days: tuple[str, ...]) -> None:
    """Invented liquidations have no certificate: what is complete here are snapshots."""

    def complete() -> int:
        result = RUN.invoke(app, [*lake, "verify", "--json", "--set", "study", *days])
        assert result.stdout, (result.output, repr(result.exception))
        found = orjson.loads(result.stdout)
        assert sum(found["counts"].values()) == 2 * len(STUDY) * 6
        return int(found["counts"]["complete"])

    path = Path(lake[1]) / "bronze/tvl" / STUDY[0] / f"{FIRST}.raw.json.gz"
    kept = path.read_bytes()
    assert complete() == len(STUDY) * 6
    path.unlink()
    assert complete() == len(STUDY) * 6 - 1
    path.write_bytes(kept)
