"""`panel describe` and `panel var` over an invented lake: flags, text, document and page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import polars as pl
import pytest
from benchmarks.synthetic_lake import World, fill, market, partitions, source
from click.testing import Result
from tests.stores import stores_of
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.contracts.entry import Entry
from cryptolake.errors import BadInput
from cryptolake.gold.completeness import VALUES, complete_days
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger
from cryptolake.work.complete import complete_by_market
from cryptolake.work.panel import build
from cryptolake.work.refine import refine

FIRST, LAST = date(2024, 5, 1), date(2024, 6, 14)
MARKETS = ("aave_v3_base", "aave_v3_ethereum", "aave_v3_metis")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("panel")
    with pytest.MonkeyPatch.context() as patch:
        # Invented answers stand under real markets' names, whose own reader does not know them.
        patch.setattr(OnchainSource, "reader", lambda _self, key: key)
        csus = {name: load_registry(declared()).csus[name] for name in MARKETS}
        world = World([market(name, csu.chain) for name, csu in csus.items()], assets=2)
        ledger = fill(root, world, FIRST, LAST, quiet_events=2)
        refine(source(world), partitions(world, FIRST, LAST), bronze=Bronze(root), tables=Tables(root))
        build(stores_of(root, ledger), csus=csus, left_out=())
        ledger.close()
        yield root


def run(lake: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, ["--data", str(lake), *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_tests_say_what_they_assume(lake: Path, tmp_path: Path) -> None:
    page = tmp_path / "panel.html"
    text = " ".join(run(lake, "panel", "describe", "--lags", "1", "--trend", "--html", str(page)).stdout.split())
    for name in ("Choi", "Levin-Lin-Chu", "Hadri", "CIPS", "Pesaran CD", "assumes"):
        assert name in text
        assert name in page.read_text()
    document = orjson.loads(run(lake, "panel", "describe", "--json").stdout)
    tests = {one["test"]: one for one in document["panel_tests"]}
    assert tests["Maddala-Wu"]["assumes_independent_markets"] is True
    assert tests["CIPS"]["assumes_independent_markets"] is False
    assert {one["test"] for one in document["dependence"]} >= {"Pesaran CD", "Scaled LM"}


@pytest.mark.parametrize("lags", ["BIC", "-1", "61", "1.5"])
def test_a_lag_order_that_is_none_is_refused(lake: Path, lags: str) -> None:
    with pytest.raises(BadInput, match="AIC, SIC, Hall or a number"):
        run(lake, "panel", "describe", "--lags", lags)


VAR = ("panel", "var", "--variable", "total_tvl_usd_log_d", "--variable", "total_borrowed_usd_log_d")


def test_a_panel_var_is_printed_documented_and_drawn(lake: Path, tmp_path: Path) -> None:
    page = tmp_path / "var.html"
    text = run(lake, *VAR, "--draws", "40", "--horizon", "3", "--html", str(page)).stdout
    assert "3 markets" in text
    assert "day 3" in text
    assert page.read_text().count("<svg") == 4
    document = orjson.loads(run(lake, *VAR, "--draws", "40", "--horizon", "3", "--json").stdout)
    assert document["variables"] == list(VAR[3::2])
    assert len(document["coefficients"]) == 4
    assert len(document["responses"]) == 2 * 2 * 4
    assert document["selection"]["markets"] == list(MARKETS)
    assert len(document["dataset_version"]) == 64
    assert any("3 markets" in one for one in document["warnings"])


@pytest.mark.parametrize(
    ("name", "said"), [("tvl", "no such variable 'tvl'"), ("utilization_rate_log", "write utilization_rate")]
)
def test_a_variable_that_no_export_has_is_refused(lake: Path, name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        run(lake, "panel", "var", "--variable", name, "--variable", "total_tvl_usd_log_d")


def test_everybody_counts_the_same_complete_days(lake: Path, tmp_path: Path) -> None:
    described = orjson.loads(run(lake, "panel", "describe", "--json").stdout)["complete"]
    checks = CliRunner().invoke(app, ["--data", str(lake), "quality", "--json", "--no-store"])  # ends by what it finds
    checked = orjson.loads(checks.stdout)["complete"]
    shown = orjson.loads(run(lake, "monitor", "--json").stdout)["complete"]
    file = tmp_path / "panel.parquet"
    run(lake, "panel", "export", "--format", "parquet", "--out", str(file))
    exported = pl.read_parquet(file).drop_nulls(list(VALUES)).height
    assert described == checked == exported == sum(shown.values()) > 0
    assert set(shown) == set(MARKETS)


def test_a_day_that_is_asked_again_is_not_shown_as_complete(lake: Path, tmp_path: Path) -> None:
    """The page counts in the panel as it was built last, which knows nothing of what the ledger learned since."""
    shutil.copy(lake / "ledger.sqlite", tmp_path / "ledger.sqlite")
    tables, ledger = Tables(lake), Ledger(tmp_path / "ledger.sqlite")
    before = complete_by_market(tables, ledger, MARKETS).by_market
    panel = complete_days(tables.read(DAILY_PANEL))
    assert before == {csu: panel.filter(pl.col("csu") == csu).height for csu in MARKETS}
    csu, day = panel.row(0)
    partition = next(one for one in ledger.states() if one.key == csu and one.period.day == day)
    ledger.append(Entry(partition, "failed", datetime.now(UTC), reason="damaged"))
    after = complete_by_market(tables, ledger, MARKETS, FIRST, LAST).by_market
    assert after == {**before, csu: before[csu] - 1}
    assert sum((complete_by_market(tables, ledger, MARKETS, day, day).by_market or {}).values()) == (
        panel.filter(pl.col("date") == day).height - 1
    )
    ledger.close()
    assert (
        complete_by_market(Tables(tmp_path), Ledger(tmp_path / "other.sqlite"), MARKETS).why == "no panel was built yet"
    )
