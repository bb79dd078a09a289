"""The main job end to end: the demo's files, tables and numbers, and what happens when it is run again or damaged."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from tests.command import cryptolake, widest
from tests.server_folder import server_folder

from cryptolake.catalogue import contracts
from cryptolake.demo.journey import NOTE, STEPS
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.state.ledger import Ledger

pytestmark = pytest.mark.xdist_group("demo")
Demo = tuple[Path, subprocess.CompletedProcess[str]]
TRIP = Path(__file__).resolve().parents[2] / "docs" / "trip.md"


def test_the_demo_ends_with_a_table_and_the_next_command(demo: Demo) -> None:
    _, result = demo
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    for words in ("daily_panel", "sandbox", "732", "query --sql"):
        assert words in result.stdout
    assert widest(result.stdout) <= 100


# The recorded chain has one Aave 3.0 market: what only other families, later versions or other wishes fill.
_OF_OTHER_MARKETS = {
    "isolated_markets": "markets that anyone may open",
    "flagged_markets": "markets that anyone may open",
    "event_days": "days on which something known happened, of which the invented ones are none",
    "exclusions": "what the registry leaves out of markets that anyone may open",
    "bad_debt": "versions that tell of it",
    "quotes": "tokens whose price more than their market's own oracle tells",
    "event_prices": "whoever wants prices at the events' blocks: nobody by default",
}


def test_every_table_has_something_to_show(demo: Demo) -> None:
    data = demo[0] / "sandbox"
    tables = Tables(data)
    with Warehouse.open(data, None) as warehouse:
        published = {one.name: warehouse.read(one).height for one in contracts() if one.in_postgres}
    kept = {one.name: tables.read(one).height for one in contracts() if one.in_lake}
    assert {name for name, rows in {**published, **kept}.items() if not rows} <= set(_OF_OTHER_MARKETS)
    shown = demo[1].stdout
    assert [one.name for one in contracts() if one.name not in shown] == []


def test_every_source_was_asked_and_answered(demo: Demo) -> None:
    sql = "select source_name, operation, status, count(*) n from pulls group by 1, 2, 3"
    rows = json.loads(cryptolake(demo[0], "--data", "sandbox", "query", "--json", "--sql", sql).stdout)
    assert {(row["source_name"], row["operation"]) for row in rows} >= {(one.source, one.operation) for one in STEPS}
    assert {row["status"] for row in rows} == {"success"}


def test_every_answer_says_that_it_is_of_the_sandbox(demo: Demo) -> None:
    data = demo[0] / "sandbox"
    bronze, ledger = Bronze(data), Ledger(data / "ledger.sqlite")
    sources = {one.source for one in STEPS} | {"onchain"}
    seen = set()
    for partition in ledger.states():
        for source in sources:
            if (raw := bronze.read(partition, source)) is not None:
                seen.add((source, raw.provenance.get("answers")))
                assert raw.provenance["sandbox"] == "true", partition
    ledger.close()
    assert seen == {(one.source, one.answers) for one in STEPS} | {("onchain", None)}


def test_the_next_lines_work_and_say_that_it_is_a_sandbox(demo: Demo) -> None:
    folder, result = demo
    lines = result.stdout.partition("Next:")[2].split("\n  ")[1:]
    assert {shlex.split(line)[3] for line in lines} == {"why", "query", "monitor", "coins", "quality"}
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "cryptolake"
        answer = cryptolake(folder, *arguments)
        assert answer.returncode == 0, answer.stderr
        assert NOTE in answer.stderr
        assert len(answer.stdout.splitlines()) > 3
        assert widest(answer.stdout) <= 100


def test_the_folder_is_the_one_that_was_named(tmp_path: Path) -> None:
    both = cryptolake(tmp_path, "--data", "one", "demo", "--folder", "two")
    assert both.returncode == 2
    assert "contradict" in both.stderr
    (tmp_path / "mine" / "bronze").mkdir(parents=True)
    taken = cryptolake(tmp_path, "--data", "mine", "demo")
    assert taken.returncode == 2
    assert "mine holds data that are not this version's sandbox" in taken.stderr
    assert not (tmp_path / "mine" / "ledger.sqlite").exists()


def test_the_users_own_database_and_keys_are_left_alone(tmp_path: Path) -> None:
    nobody = "postgresql://someone:secret@127.0.0.1:9/none"
    with server_folder("own", "mine") as folder:
        variables = {"DATABASE_URL": nobody, "COINGECKO_DEMO_API_KEY": "CG-mine", "CRYPTOLAKE_ARTEMIS_CONFIG": "no.csv"}
        result = cryptolake(folder, "--data", "mine", "demo", **variables)
        assert result.returncode == 0, result.stderr
        assert "DATABASE_URL= cryptolake --data mine query" in result.stdout
        words = ("--data", "mine", "query", "--json", "--sql", "select count(*) n from metrics")
        asked = cryptolake(folder, *words, DATABASE_URL="")
        assert json.loads(asked.stdout)[0]["n"] > 0, asked.stderr


def test_every_documented_file_is_there(demo: Demo) -> None:
    data = demo[0] / "sandbox"
    for name in (
        "bronze/tvl/aave_v3_sandbox/2024-12-14.json",
        "bronze/liquidations/aave_v3_sandbox/2024-12-05.json",
        "bronze/tvl/aave_v3_sandbox/2024-12.parquet",
        "silver/tvl/aave_v3_sandbox.parquet",
        "silver/liquidations/aave_v3_sandbox.parquet",
        "gold/daily_panel.parquet",
        "gold/metadata.json",
        "checkpoints/tvl_progress.json",
        "checkpoints/liquidations_progress.json",
    ):
        assert (data / name).stat().st_size > 0, name
    assert not list(data.rglob("*.tmp"))
    progress = json.loads((data / "checkpoints/tvl_progress.json").read_text())["aave_v3_sandbox"]
    assert len(progress["completed_dates"]) == 14
    assert progress["failed_dates"] == []
    assert json.loads((data / "gold/metadata.json").read_text())["sandbox"] is True
    assert json.loads((data / "sandbox.json").read_text())["sandbox"] is True


def test_zero_missing_and_present_are_told_apart(demo: Demo) -> None:
    panel = pl.read_parquet(demo[0] / "sandbox/gold/daily_panel.parquet")
    rows = {row["date"]: row for row in panel.iter_rows(named=True)}
    assert len(rows) == 14
    assert rows[date(2024, 12, 6)]["liquidations_usd"] == 0.0
    assert rows[date(2024, 12, 5)]["liquidation_count"] == 3
    assert rows[date(2024, 12, 10)]["liquidations_usd"] is None
    assert rows[date(2024, 12, 10)]["status"] == "missing_price"


def test_the_database_holds_what_the_files_hold(demo: Demo) -> None:
    folder, _ = demo
    panel = pl.read_parquet(folder / "sandbox/gold/daily_panel.parquet")
    sql = "select csu, date, total_tvl_usd, liquidations_usd from daily_panel order by csu, date"
    answer = cryptolake(folder, "--data", "sandbox", "query", "--json", "--sql", sql)
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)
    assert [row["total_tvl_usd"] for row in rows] == panel["total_tvl_usd"].to_list()
    assert [row["liquidations_usd"] for row in rows] == panel["liquidations_usd"].to_list()


def test_the_metrics_follow_the_documented_conflict_rules(demo: Demo) -> None:
    folder, _ = demo
    supplies = "metrics where source = 'defillama' and metric_name = 'STABLECOIN_SUPPLY'"
    sql = f"select asset, count(*) n, count(distinct pulled_at) d from {supplies} group by 1 order by 1"
    rows = json.loads(cryptolake(folder, "--data", "sandbox", "query", "--json", "--sql", sql).stdout)
    assert [row["asset"] for row in rows] == ["tether", "usd-coin"]
    assert all(row["n"] == row["d"] == 366 + 1 for row in rows), "a leap year, and today by the pull"
    pulls = "select operation, status, records_count from pulls order by pull_id limit 2"
    rows = json.loads(cryptolake(folder, "--data", "sandbox", "query", "--json", "--sql", pulls).stdout)
    assert [tuple(row.values()) for row in rows] == [("backfill", "success", 732), ("pull", "success", 2)]


def test_a_second_run_changes_no_byte_and_mends_damage(demo: Demo) -> None:
    folder, _ = demo
    data = folder / "sandbox"
    files = [*data.glob("silver/*/*.parquet"), data / "gold/daily_panel.parquet"]
    before = {path: path.read_bytes() for path in files}
    damaged = data / "bronze/tvl/aave_v3_sandbox/2024-12-07.raw.json.gz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    corrected = "select source, asset, metric_name, pulled_at, old_value, new_value from metric_revisions order by id"
    question = ("--data", "sandbox", "query", "--json", "--sql", corrected)
    revisions = cryptolake(folder, *question).stdout
    result = cryptolake(folder, "demo", PYTHONHASHSEED="2")
    assert result.returncode == 0, result.stderr
    assert cryptolake(folder, *question).stdout == revisions, "what was corrected is not corrected again"
    assert "collect: 1/1 tvl/aave_v3_sandbox/2024-12-07" in result.stderr
    assert {path: path.read_bytes() for path in files} == before


def test_the_monitor_shows_every_day(demo: Demo) -> None:
    result = cryptolake(demo[0], "--data", "sandbox", "monitor", "--csu", "aave_v3_ethereum", "--json")
    assert json.loads(result.stdout)["periods"] == []
    document = json.loads(cryptolake(demo[0], "--data", "sandbox", "monitor", "--json").stdout)
    assert document["counts"]["done"] + document["counts"]["empty"] >= 28
    assert "2024-12-05: ✅ TVL + Liquidations" in cryptolake(demo[0], "--data", "sandbox", "monitor").stdout


def test_the_trip_page_quotes_the_real_files(demo: Demo) -> None:
    data, text = demo[0] / "sandbox", TRIP.read_text()
    files = re.findall(r"<!-- file: (\S+) -->\n```json\n(.*?)```", text, flags=re.DOTALL)
    tables = re.findall(r"<!-- table: (\S+) where (.*?) -->\n```json\n(.*?)```", text, flags=re.DOTALL)
    assert files
    assert tables
    for name, quoted in files:
        content = (data / name).read_text().splitlines()
        for line in quoted.splitlines():
            assert line in content, f"{name}: {line}"
    for name, conditions, quoted in tables:
        frame = pl.read_parquet(data / name)
        for column, value in (condition.split("=") for condition in conditions.split()):
            frame = frame.filter(pl.col(column).cast(pl.String) == value)
        assert frame.height == 1
        row = frame.row(0, named=True)
        assert {column: row[column] for column in json.loads(quoted)} == json.loads(quoted)
