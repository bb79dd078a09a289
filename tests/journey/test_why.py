"""`why` opens any figure of the panel, and what it prints adds up to the figure."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest
import yaml
from tests.command import cryptolake

from cryptolake.app import App
from cryptolake.contracts.prices import ORACLE
from cryptolake.demo.replay import sandbox_registry
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.tables import Tables
from cryptolake.settings import Settings
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work.why import why, why_of

pytestmark = pytest.mark.xdist_group("demo")
MARKET = "aave_v3_sandbox"
FIGURES = [name for name, dtype in DAILY_PANEL.polars_schema().items() if dtype.is_numeric()]


@pytest.fixture
def app(lake: Path) -> Iterator[App]:
    """The demo's lake, opened."""
    opened = App(Settings(data=lake / "data", registry=sandbox_registry()))
    yield opened
    opened.close()


def test_what_is_said_of_every_figure_of_every_day_adds_up_to_it(app: App) -> None:
    adds_up(app, app.tables.read(DAILY_PANEL))


def adds_up(app: App, panel: pl.DataFrame) -> None:
    """Every figure of these rows is opened."""
    csu = app.registry.csu(MARKET)
    for row in panel.iter_rows(named=True):
        for column, found in zip(FIGURES, why_of(app, csu, row["date"], FIGURES), strict=True):
            assert found.value == row[column]
            assert found.formula
            assert found.meaning
            assert found.answers
            if found.value is not None:
                assert found.adds_up == pytest.approx(found.value, rel=1e-12), (row["date"], column)
            assert all(term.usd is None or term.usd == term.amount * (term.price or 0.0) for term in found.terms)
            said = {told.asset: told.price for told in found.prices}
            assert all(said[term.asset] == term.price for term in found.terms)


def test_it_adds_up_where_totals_leave_something_out(app: App, lake: Path) -> None:
    held = app.tables.read(TVL)
    token = held.sort("cash_usd", descending=True)["asset"][0]
    rows = yaml.safe_load(sandbox_registry().read_text())
    rows["exclusions"] = [
        {"csu": MARKET, "token": token, "reason": "inflated", "why": "In this test.", "sources": ["this test"]}
    ]
    told = lake / "registry.yaml"
    told.write_text(yaml.safe_dump(rows))
    assert cryptolake(lake, "--data", "data", "--registry", str(told), "build").returncode in {0, 1}
    opened = App(Settings(data=lake / "data", registry=told))
    try:
        panel = opened.tables.read(DAILY_PANEL).filter(pl.col("excluded").is_not_null())
        assert panel.filter(pl.col("unfiltered_tvl_usd") > pl.col("total_tvl_usd")).height
        adds_up(opened, panel.head(2))
        day = panel["date"][0]
        csu = opened.registry.csu(MARKET)
        found = why(opened, csu, day, "total_tvl_usd")
        assert [one["id"] for one in found.left_out] == [token]
        assert {term.asset for term in found.terms if term.left_out} == {token}
        assert [term.amount for term in found.terms if term.left_out] == [0.0]
        assert not why(opened, csu, day, "unfiltered_tvl_usd").left_out
        registry = ("--data", "data", "--registry", str(told))
        shown = cryptolake(lake, *registry, "why", MARKET, str(day), "total_tvl_usd")
        assert "left out" in shown.stdout
        assert printed_sum(shown.stdout) == pytest.approx(found.value, abs=0.005)
    finally:
        opened.close()


def printed_sum(text: str) -> float:
    """What the line of the sum says, which the printed products come to but for their rounding to cents."""
    table = text.partition("Amount x price")[2].splitlines()
    rows = [row for row in table if re.search(r"\d\.\d\d\W*$", row)]
    end = next(place for place, row in enumerate(rows) if re.match(r"\W*sum", row))
    *products, total = (float(re.findall(r"[\d,]+\.\d\d", row)[-1].replace(",", "")) for row in rows[: end + 1])
    assert sum(products) == pytest.approx(total, abs=0.005 * len(products) + 1e-6)
    return total


def test_prices_have_the_name_of_whoever_told_them(app: App) -> None:
    csu = app.registry.csu(MARKET)
    shared = {(one["date"], one["asset"]): one["quoted_by"] for one in app.tables.read(PRICES).iter_rows(named=True)}
    held = app.tables.read(TVL)
    oracles = set(held.filter(pl.col("oracle_price").is_not_null()).select("date", "asset").iter_rows())
    for day in held["date"].unique():
        own, shown = why_of(app, csu, day, ["total_tvl_own_usd", "total_tvl_usd"])
        assert {(told.source, told.quoted_by) for told in own.prices if told.price is not None} == {(ORACLE, MARKET)}
        for told in shown.prices:
            if told.price is not None:
                assert told.quoted_by == (MARKET if told.source == ORACLE else shared[day, told.asset])
            heard = [one["source"] for one in told.others]
            assert (ORACLE in heard) is (told.source != ORACLE and (day, told.asset) in oracles)


def test_one_figure_is_opened_as_among_others(app: App) -> None:
    csu, day = app.registry.csu(MARKET), app.tables.read(DAILY_PANEL)["date"][4]
    for one in why_of(app, csu, day, FIGURES)[::5]:
        assert why(app, csu, day, one.column) == one


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
