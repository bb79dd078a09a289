"""A price file comes into a lake: every table of silver is written once, and the figures are those of a lake that had it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cryptolake.app import App
from cryptolake.demo.replay import sandbox_registry
from cryptolake.errors import BadInput
from cryptolake.settings import Settings
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work import lending
from cryptolake.work import prices as river

pytestmark = pytest.mark.xdist_group("demo")


def test_a_file_is_valued_in_one_writing_of_silver(lake: Path) -> None:
    app = App(Settings(data=lake / "data", registry=sandbox_registry()))
    try:
        held = app.tables.read(TVL)
        told = held.filter(pl.col("own_price").is_not_null()).select("date", "chain", "asset", pl.col("own_price") * 2)
        told.rename({"own_price": "price"}).unique().write_csv(lake / "mine.csv")
        before = river.versions(app)
        river.import_file(app, lake / "mine.csv")
        after = river.versions(app)
        written = {name: (after[name] or 0) - (before[name] or 0) for name in before}
        assert written == dict.fromkeys(before, 1) | {"isolated_markets": 0}, "that table carries no value"
        assert lending.not_in_silver(app).is_empty()
        valued = app.tables.read(TVL)
        assert set(valued.filter(pl.col("own_price").is_not_null())["price_source"]) == {"file"}
    finally:
        app.close()


def test_the_file_that_was_brought_last_counts_also_when_it_was_brought_before(lake: Path) -> None:
    app = App(Settings(data=lake / "data", registry=sandbox_registry()))
    try:
        held = app.tables.read(TVL).filter(pl.col("own_price").is_not_null())
        told = held.select("date", "chain", "asset", pl.col("own_price").alias("price")).unique()
        for name, factor in (("mine", 2), ("other", 3)):
            told.with_columns(pl.col("price") * factor).write_csv(lake / f"{name}.csv")
        for name, factor in (("mine", 2), ("other", 3), ("mine", 2), ("mine", 2)):
            river.import_file(app, lake / f"{name}.csv")
            valued = app.tables.read(TVL).filter(pl.col("own_price").is_not_null())
            assert valued["price"].to_list() == pytest.approx((valued["own_price"] * factor).to_list()), name
        assert len([one for one in app.ledger.states() if one.dataset == "imported_prices"]) == 3, (
            "the last is there already"
        )
    finally:
        app.close()


def test_a_source_that_stands_twice_in_the_order_is_refused(lake: Path) -> None:
    app = App(Settings(data=lake / "data", registry=sandbox_registry(), price_order="file,file"))
    try:
        with pytest.raises(BadInput, match="'file' stands in it twice"):
            river.reprice(app)
    finally:
        app.close()
