"""`why` opens any figure of the panel, and what it prints adds up to the figure."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest
from tests.command import cryptolake

from cryptolake.app import App
from cryptolake.demo.replay import sandbox_registry
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.totals import EVENT_SUMS, PARTIAL, SUMS
from cryptolake.lake.tables import Tables
from cryptolake.settings import Settings
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work.why import why

pytestmark = pytest.mark.xdist_group("demo")
MARKET = "aave_v3_sandbox"
FIGURES = [name for name, dtype in DAILY_PANEL.polars_schema().items() if dtype.is_numeric()]
ADDED = (
    "unfiltered_tvl_usd",
    *SUMS,
    *EVENT_SUMS,
    *PARTIAL,
    "utilization_rate",
    "num_assets",
    "liquidation_count",
    "liquidations_dust_count",
)


@pytest.fixture
def app(lake: Path) -> Iterator[App]:
    """The demo's lake, opened."""
    opened = App(Settings(data=lake / "data", registry=sandbox_registry()))
    yield opened
    opened.close()


def test_what_is_said_of_every_figure_of_every_day_adds_up_to_it(app: App) -> None:
    panel = app.tables.read(DAILY_PANEL)
    csu = app.registry.csu(MARKET)
    for row in panel.iter_rows(named=True):
        for column in FIGURES:
            found = why(app, csu, row["date"], column)
            assert found.value == row[column]
            assert found.formula
            assert found.meaning
            assert found.answers
            if column in ADDED and found.value is not None:
                assert found.adds_up == pytest.approx(found.value, rel=1e-12), (row["date"], column)
            assert all(term.usd is None or term.usd == term.amount * (term.price or 0.0) for term in found.terms)


def test_the_answer_it_names_is_the_one_that_lies_there(app: App) -> None:
    day = app.tables.read(DAILY_PANEL)["date"][0]
    (answer,) = why(app, app.registry.csu(MARKET), day, "total_tvl_usd").answers
    kept = orjson.loads(gzip.decompress((app.folder.root / answer.path).read_bytes()))
    payload = str(kept["payload"]).encode("latin-1")
    assert hashlib.sha256(payload).hexdigest() == answer.digest
    assert answer.cell.state == "ok"


def test_a_column_without_figures_is_named_with_those_that_have_some(app: App) -> None:
    day = app.tables.read(DAILY_PANEL)["date"][0]
    for column in ("status", "no_such_column"):
        with pytest.raises(BadInput, match="total_tvl_usd"):
            why(app, app.registry.csu(MARKET), day, column)


def test_a_figure_that_its_tables_do_not_bear_out_is_not_explained(app: App, lake: Path) -> None:
    tables = Tables(lake / "data")
    tables.write(TVL, tables.read(TVL).with_columns(pl.col("cash_usd") * 2))
    with pytest.raises(Stop):
        why(app, app.registry.csu(MARKET), app.tables.read(DAILY_PANEL)["date"][0], "total_tvl_usd")


def test_the_command_prints_the_sum_and_ends_by_what_it_found(lake: Path) -> None:
    options = ("--data", "data", "--registry", str(sandbox_registry()), "why", MARKET)
    shown = cryptolake(lake, *options, "2024-12-05", "liquidations_usd")
    assert shown.returncode == 0, shown.stderr
    assert "60,000" in shown.stdout
    assert "protocol_oracle" in shown.stdout
    assert ".raw.json.gz" in shown.stdout
    assert max(map(len, shown.stdout.replace(str(sandbox_registry()), "").splitlines())) <= 110
    unpriced = cryptolake(lake, *options, "2024-12-10", "liquidations_usd", "--json")
    assert unpriced.returncode == 1
    document = json.loads(unpriced.stdout)
    assert (document["value"], document["state"], document["reason"]) == (None, "missing_price", "unpriced_event")
    assert document["terms"][0]["usd"] is None
