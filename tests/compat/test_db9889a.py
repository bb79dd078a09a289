"""A data folder that commit db9889a made is opened by today's commands and gives the same tables."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.command import cryptolake
from tests.compat.kept import KEPT, LENDING, RENAMED, TABLES, as_named_today, comparable, compare, kept, without_totals
from tests.server_folder import server_folder

from cryptolake.catalogue import contracts
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.versions import changes, promises, read_document
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.sources.onchain.grading import graded
from cryptolake.state.ledger import Ledger

pytestmark = pytest.mark.xdist_group("compat")
DAYS = [f"2024-12-{day:02}" for day in range(1, 15)]
FILES = {
    "tvl": "silver/tvl/aave_v3_sandbox.parquet",
    "liquidations": "silver/liquidations/aave_v3_sandbox.parquet",
    "prices": "silver/prices.parquet",
    "daily_panel": "gold/daily_panel.parquet",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which `data` is a copy of what that commit left behind, without its PostgreSQL."""
    with server_folder("compat", "data") as made:
        shutil.copytree(KEPT / "data", made / "data")
        yield made


def run(folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints; it must end with this code."""
    result = cryptolake(folder, "--data", "data", *words)
    assert result.returncode == code, f"{words}: {result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
    return result.stdout


def test_no_contract_was_broken_since() -> None:
    then = read_document((KEPT / "contracts.json").read_bytes(), "db9889a")
    found = changes(then, promises(contracts()))
    assert [one for one in found if one.breaks] == []
    renamed = {one.where for one in found if one.kind == "renamed" and "." in one.where}
    assert renamed == {f"{table}.{column}" for table, columns in RENAMED.items() for column in columns}


@pytest.mark.parametrize("name", LENDING)
def test_its_delta_tables_and_files_are_read_as_they_were(name: str) -> None:
    (table,) = (one for one in contracts() if name in (one.name, *one.formerly))
    then = as_named_today(name, kept(name))
    # The lake and its files keep zoned instants where PostgreSQL answers naive ones, and 32-bit dates: same values.
    file = as_named_today(name, pl.read_parquet(KEPT / "data" / FILES[name]))
    for now in (Tables(KEPT / "data").read(table), file):
        same = now.select(then.columns)
        assert_frame_equal(same, then.cast(same.schema), check_row_order=False, check_exact=True)  # type: ignore[arg-type]


def test_commands_open_it(folder: Path) -> None:
    monitor = json.loads(run(folder, "monitor", "--json"))
    assert monitor["counts"].get("failed", 0) == 0
    text = run(folder, "monitor")
    assert [day for day in DAYS if f"{day}: ✅ TVL + Liquidations" in text] == DAYS
    assert "gap                  0" in run(folder, "verify")
    assert "not_refined" in run(folder, "quality", code=1), "no figure without evidence"
    assert "Its answer is kept and whole" in run(folder, "ledger", "inspect", f"tvl/aave_v3_sandbox/{DAYS[4]}")
    plan = run(folder, "plan", "--csu", "aave_v3_sandbox", "--start-date", DAYS[0], "--end-date", DAYS[-1])
    assert "0 calls" in plan, "what that commit collected is not asked again"
    run(folder, "query", "--sql", "select count(*) from metrics")


def test_figures_wait_until_silver_says_what_it_was_made_of(folder: Path) -> None:
    """That commit kept no record of it: `build` alone says so with the remedy, invents nothing and ends with 1."""
    said = " ".join(run(folder, "build", code=1).split())
    assert "28 answered market-days are pending" in said
    assert re.search(r"run `cryptolake (--data \S+ )?refine`", said), said
    run(folder, "refine")
    run(folder, "build")
    run(folder, "quality")


def test_its_answers_are_graded_by_their_certificates(folder: Path) -> None:
    """That commit knew no grades: ledger, panel and verification all say what the certificates prove; nothing is asked.

    Its certificates say of logs alone who compared them: of headers and contracts they hold nothing, which is one voice.
    """
    data = folder / "data"
    with closing(Ledger(data / "ledger.sqlite")) as ledger:
        for day, share in ((DAYS[2], 1.0), (DAYS[3], 0.5)):
            _compare(Bronze(data), ledger, Partition.parse(f"liquidations/aave_v3_sandbox/{day}"), share)
        assert {one.grade for one in ledger.states().values()} == {None}
    verified = json.loads(run(folder, "verify", "--json"))
    run(folder, "refine")
    run(folder, "build")
    with closing(Ledger(data / "ledger.sqlite")) as ledger:
        recorded = {
            (one.partition.dataset, str(one.partition.period)): one.grade
            for one in ledger.states().values()
            if one.partition.dataset in MARKET_DATASETS
        }
    assert recorded == {(dataset, day): "one_voice" for dataset in MARKET_DATASETS for day in DAYS}
    (panel,) = (one for one in contracts() if one.name == "daily_panel")
    rows = (
        Tables(data).read(panel).select(pl.col("date").cast(pl.String), "tvl_evidence", "liquidations_evidence").rows()
    )
    assert sorted(rows) == [(day, "one_voice", "one_voice") for day in DAYS]
    assert json.loads(run(folder, "verify", "--json"))["grades"] == verified["grades"]
    assert {grade: count for grade, count in verified["grades"].items() if count} == {"one_voice": len(DAYS)}
    run(folder, "verify", "--min-grade", "two_voices", code=1)
    half = Bronze(data).read(Partition.parse(f"liquidations/aave_v3_sandbox/{DAYS[3]}"), ONCHAIN)
    assert half is not None
    assert graded(half).noticed == 0.5, "how much of its logs was compared is known all the same"
    shown = json.loads(run(folder, "verify", "show", f"liquidations/aave_v3_sandbox/{DAYS[0]}", "--json"))
    assert (shown["grade"], shown["weak"]) == ("one_voice", "no other endpoint was asked then")
    assert "0 calls" in run(folder, "plan", "--csu", "aave_v3_sandbox", "--start-date", DAYS[0], "--end-date", DAYS[-1])


def _compare(bronze: Bronze, ledger: Ledger, partition: Partition, share: float) -> None:
    """Have a day's certificate tell that a share of its blocks was compared, as earlier versions wrote it."""
    raw, entry = bronze.read(partition, "onchain"), ledger.state(partition)
    assert raw is not None
    assert entry is not None
    content = json.loads(raw.payload)
    given = content["certificate"]
    start, end = given["from_block"], given["to_block"] + 1
    said = {"start": start, "end": start + round(share * (end - start)), "first": "alchemy-1", "second": "x-publicnode"}
    given["opinions"] = [said | {"verdict": "same", "missing": 0, "extra": 0, "third": "", "sides_with": ""}]
    digest = bronze.land(replace(raw, payload=json.dumps(content).encode()))
    ledger.append(replace(entry, digest=digest))


@pytest.mark.parametrize("steps", [("refine", "build", "publish"), ("rebuild",)], ids=" ".join)
def test_its_tables_are_made_again_as_they_were(folder: Path, steps: tuple[str, ...]) -> None:
    for step in steps:
        run(folder, step)
    with Warehouse.open(folder / "data", None) as warehouse:
        for table in TABLES:
            if table != "metrics":  # vendors' rows are in PostgreSQL alone, which the folder is without
                compare(warehouse, table)
    for name, path in FILES.items():
        now, then = pl.read_parquet(folder / "data" / path), as_named_today(name, pl.read_parquet(KEPT / "data" / path))
        if name == "daily_panel":
            then = without_totals(then, now)
        assert_frame_equal(
            comparable(name, now.select(then.columns)), comparable(name, then), check_exact=True, check_row_order=False
        )
