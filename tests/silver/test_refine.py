"""Bronze to silver in any order gives the same tables; re-pricing reads no answer and keeps the version before."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from benchmarks.synthetic_lake import World, fill, market, partitions, source

from cryptolake.contracts.partition import Partition
from cryptolake.errors import Stop
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver import liquidations, prices, quotes, tvl
from cryptolake.state.ledger import Ledger
from cryptolake.work.refine import SILVER, refine, reprice

FIRST = date(2024, 1, 29)
LAST = FIRST + timedelta(days=5)  # over the end of a month


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    root = tmp_path_factory.mktemp("lake")
    world = World([market("one", "ethereum"), market("two", "ethereum"), market("three", "base")], assets=5)
    fill(root, world, FIRST, LAST, quiet_events=7).close()
    return root, world


def tables_of(tables: Tables) -> dict[str, pl.DataFrame]:
    return {table.name: tables.read(table) for table in SILVER}


def same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> bool:
    return all(one[name].equals(other[name]) for name in one) and one.keys() == other.keys()


@pytest.mark.parametrize("seed", [0, *(pytest.param(one, marks=pytest.mark.soak) for one in range(1, 6))])
def test_day_by_day_in_any_order_equals_all_at_once(lake: tuple[Path, World], tmp_path: Path, seed: int) -> None:
    root, world = lake
    every = partitions(world, FIRST, LAST)
    whole = Tables(tmp_path / "whole")
    refine(source(world), every, bronze=Bronze(root), tables=whole, fresh=True)
    wanted = tables_of(whole)
    assert wanted["tvl"].height == 3 * 6 * 5
    assert wanted["liquidations"].height == 7 * 6
    assert wanted["tvl"]["price"].null_count() == 0
    dice = random.Random(seed)
    pieces = [
        [one for one in every if (one.key, one.period) == pair] for pair in sorted({(p.key, p.period) for p in every})
    ]
    dice.shuffle(pieces)
    step = Tables(tmp_path / "step")
    for piece in pieces:
        dice.shuffle(piece)
        refine(source(world), piece, bronze=Bronze(root), tables=step)
    assert same(tables_of(step), wanted)


def test_twins_give_what_the_answers_give_and_are_not_trusted_blindly(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    every = partitions(world, FIRST, LAST)
    ledger = Ledger(root / "ledger.sqlite")
    bronze, first, second = Bronze(root), Tables(tmp_path / "a"), Tables(tmp_path / "b")
    for twin in root.glob("bronze/*/*/*.parquet"):
        twin.unlink()
    refine(source(world), every, bronze=bronze, tables=first, states=ledger.states(), fresh=True)
    twins = {path: path.read_bytes() for path in root.glob("bronze/*/*/*.parquet")}
    assert len(twins) == 3 * 3 * 2

    class Unreadable:
        """Stands for the source where no answer may be read again."""

        name = "onchain"
        reader = staticmethod(source(world).reader)
        bad_debt_reader = staticmethod(source(world).bad_debt_reader)

        def bad_debt(self, raw: object) -> list[dict[str, object]]:
            raise AssertionError("an answer was read although its twin is good")

        isolated_reader = staticmethod(source(world).isolated_reader)

        def parse(self, raw: object) -> list[dict[str, object]]:
            raise AssertionError("an answer was read although its twin is good")

    refine(Unreadable(), every, bronze=bronze, tables=second, states=ledger.states(), fresh=True)  # type: ignore[arg-type]
    assert same(tables_of(first), tables_of(second))
    damaged = min(twins)
    damaged.write_bytes(twins[damaged][:200])
    refine(source(world), every, bronze=bronze, tables=second, states=ledger.states(), fresh=True)
    assert same(tables_of(first), tables_of(second))
    assert damaged.read_bytes() == twins[damaged]
    ledger.close()


def test_a_new_answer_replaces_the_old_one(lake: tuple[Path, World], tmp_path: Path) -> None:
    _, world = lake
    root = tmp_path / "again"
    fill(root, world, FIRST, LAST, quiet_events=7).close()
    bronze, tables = Bronze(root), Tables(tmp_path / "t")
    every = partitions(world, FIRST, LAST)
    refine(source(world), every, bronze=bronze, tables=tables)
    before = tables.read(tvl.TABLE)
    other = World(world.csus, assets=5, seed=8)
    fill(root, other, LAST, LAST, quiet_events=0).close()
    ledger = Ledger(root / "ledger.sqlite")
    asked = [one for one in every if one.period.day == LAST and one.key == "one"]
    refine(source(world), asked, bronze=bronze, tables=tables, states=ledger.states())
    after = tables.read(tvl.TABLE)
    changed = (pl.col("csu") == "one") & (pl.col("date") == LAST)
    amounts = ["csu", "date", "asset", "supplied_raw"]
    assert after.filter(~changed).select(amounts).equals(before.filter(~changed).select(amounts))
    assert not after.filter(changed)["supplied_raw"].equals(before.filter(changed)["supplied_raw"])
    assert tables.read(liquidations.TABLE).filter((pl.col("csu") == "one") & (pl.col("date") == LAST)).is_empty()
    ledger.close()


def test_reprice_needs_no_bronze_and_keeps_the_version_before(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    tables = Tables(tmp_path)
    refine(source(world), partitions(world, FIRST, LAST), bronze=Bronze(root), tables=tables)
    before, number = tables.read(tvl.TABLE), tables.version(tvl.TABLE)
    asset = before["asset"][0]
    file = told(before.filter(pl.col("asset") == asset), 3)
    reprice(tables=tables, quotes=file, pricing=prices.Pricing(ladder=("file", "protocol_oracle")))
    after = tables.read(tvl.TABLE)
    mine = (pl.col("asset") == asset) & (pl.col("chain") == before["chain"][0])
    assert after.filter(mine)["price_source"].unique().to_list() == ["file"]
    assert after.filter(mine)["price_flag"].unique().to_list() == ["disagrees"]
    tripled = (before.filter(mine)["supplied_usd"] * 3).to_list()
    assert after.filter(mine)["supplied_usd"].to_list() == pytest.approx(tripled)
    assert after.filter(~mine)["supplied_usd"].equals(before.filter(~mine)["supplied_usd"])
    assert tables.read(tvl.TABLE, version=number).equals(before)
    assert tables.read(quotes.TABLE).filter(pl.col("source") == "file").height == file.height


def told(rows: pl.DataFrame, times: float) -> pl.DataFrame:
    """A file that says so many times what the markets' own oracles say."""
    return (
        rows.filter(pl.col("oracle_quote") == "usd")
        .select(
            *("date", "chain", "asset"),
            pl.lit("file").alias("source"),
            pl.lit("mine.csv").alias("quoted_by"),
            (pl.col("oracle_price") * times).alias("quote_price"),
            pl.lit("usd").alias("quote"),
            pl.col("block_time").alias("observed_at"),
            pl.lit(0.0).alias("age_s"),
            pl.lit(1.0).alias("weight"),
        )
        .unique(subset=["date", "chain", "asset"])
    )


def test_amounts_are_rounded_once(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    refine(source(world), partitions(world, FIRST, FIRST), bronze=Bronze(root), tables=Tables(tmp_path))
    for row in Tables(tmp_path).read(tvl.TABLE).iter_rows(named=True):
        assert row["supplied"] == int(row["supplied_raw"]) / 10 ** row["decimals"]


def test_a_table_of_another_contract_is_not_written_into(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    tables = Tables(tmp_path)
    from deltalake import write_deltalake

    write_deltalake(str(tables.path(tvl.TABLE)), pl.DataFrame({"csu": ["one"], "date": [FIRST]}).to_arrow())
    asked: list[Partition] = partitions(world, FIRST, FIRST)
    with pytest.raises(Stop, match="cryptolake rebuild"):
        refine(source(world), asked, bronze=Bronze(root), tables=tables)
    refine(source(world), asked, bronze=Bronze(root), tables=tables, fresh=True)
    assert tables.read(tvl.TABLE).height == 15
