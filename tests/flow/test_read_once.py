"""An answer is read when it lands and never again, unless the code that reads it changed or what was read is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from benchmarks.synthetic_lake import World, market, partitions, source
from benchmarks.synthetic_lake import fill as fill_without_reading

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.flow.reading import interpret
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger
from cryptolake.work.refine import refine

FIRST, LAST = date(2024, 5, 1), date(2024, 5, 4)
WORLD = World([market("one", "ethereum"), market("two", "base")], assets=3)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The partitions whose answers are read from now on."""
    read: list[str] = []
    parse = OnchainSource.parse

    def counting(self: OnchainSource, raw: Raw) -> Sequence[Row]:
        read.append(str(raw.partition))
        return parse(self, raw)

    monkeypatch.setattr(OnchainSource, "parse", counting)
    # The reader's digest is over the source of `parse`; the code that reads stays the same here.
    digest = parse.__code__.co_code.hex()[:32]
    monkeypatch.setattr(OnchainSource, "reader", lambda _self, key: f"{digest}{key}")
    return read


def land(root: Path) -> Bronze:
    """Every answer of the world, landed and read as a collection does it."""
    fill_without_reading(root, WORLD, FIRST, LAST).close()
    bronze, asked = Bronze(root), source(WORLD)
    for one in partitions(WORLD, FIRST, LAST):
        raw = bronze.read(one, asked.name)
        assert raw is not None
        interpret(asked, raw, bronze)
    return bronze


def test_refining_reads_no_answer_that_was_read_when_it_landed(tmp_path: Path, counted: list[str]) -> None:
    bronze, tables = land(tmp_path), Tables(tmp_path)
    assert sorted(counted) == sorted(map(str, partitions(WORLD, FIRST, LAST)))
    states = {entry.partition: entry for entry in _entries(tmp_path)}
    counted.clear()
    refine(source(WORLD), partitions(WORLD, FIRST, LAST), bronze=bronze, tables=tables, states=states)
    assert counted == []
    first = tables.read(TVL), tables.read(LIQUIDATIONS)
    assert first[0].height
    assert not list(tmp_path.glob("bronze/*/*/*.rows.parquet")), "they are in the month's twin now"
    refine(
        source(WORLD),
        partitions(WORLD, FIRST, LAST),
        bronze=bronze,
        tables=tables,
        states=states,
        fresh=True,
        reparse=True,
    )
    assert sorted(counted) == sorted(map(str, partitions(WORLD, FIRST, LAST)))
    assert tables.read(TVL).equals(first[0])
    assert tables.read(LIQUIDATIONS).equals(first[1])


@pytest.mark.parametrize("harm", ["other reader", "torn", "other answer", "edited"])
def test_a_reading_that_cannot_be_trusted_is_not_used(tmp_path: Path, counted: list[str], harm: str) -> None:
    bronze, tables = land(tmp_path), Tables(tmp_path)
    states = {entry.partition: entry for entry in _entries(tmp_path)}
    (path,) = tmp_path.glob("bronze/tvl/one/2024-05-02.rows.parquet")
    victim = next(one for one in states if str(one) == "tvl/one/2024-05-02")
    raw = bronze.read(victim, "onchain")
    assert raw is not None
    if harm == "torn":
        path.write_bytes(path.read_bytes()[:-20])
    elif harm == "edited":
        edit(path)
    else:
        other = (
            Raw(victim, raw.source, raw.fetched_at, raw.observed_at, b"another answer")
            if harm != "other reader"
            else raw
        )
        bronze.keep_rows(other, [], reader="old code" if harm == "other reader" else source(WORLD).reader("one"))
    counted.clear()
    refine(source(WORLD), partitions(WORLD, FIRST, LAST), bronze=bronze, tables=tables, states=states)
    assert counted == ["tvl/one/2024-05-02"]
    held = tables.read(TVL)
    assert held.filter(held["date"] == date(2024, 5, 2)).height == 2 * WORLD.assets


def test_an_edited_twin_of_a_month_is_not_believed(tmp_path: Path) -> None:
    bronze, tables = land(tmp_path), Tables(tmp_path)
    states = {entry.partition: entry for entry in _entries(tmp_path)}
    everything = partitions(WORLD, FIRST, LAST)
    refine(source(WORLD), everything, bronze=bronze, tables=tables, states=states)
    true = tables.read(TVL)
    twins = list(tmp_path.glob("bronze/tvl/*/2024-05.parquet"))
    assert twins
    for twin in twins:
        edit(twin)
    refine(source(WORLD), everything, bronze=bronze, tables=tables, states=states, fresh=True)
    assert tables.read(TVL).equals(true)
    for twin in twins:  # they are made anew, and stand again
        again = twin.read_bytes()
        refine(source(WORLD), everything, bronze=bronze, tables=tables, states=states, fresh=True)
        assert twin.read_bytes() == again


def edit(path: Path) -> None:
    """Another amount under the same note, as somebody does who wants it to be believed."""
    note = {name: said for name, said in pl.read_parquet_metadata(path).items() if name.startswith("cryptolake")}
    pl.read_parquet(path).with_columns(pl.lit("7").alias("total_supplied_raw")).write_parquet(path, metadata=note)


def _entries(root: Path) -> list[Entry]:
    ledger = Ledger(root / "ledger.sqlite")
    found = list(ledger.states().values())
    ledger.close()
    return found
