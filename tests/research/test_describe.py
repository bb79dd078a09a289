"""The description counts what is there, knows a random walk from noise, and its page needs nothing from outside."""

from __future__ import annotations

import importlib.util
import re
from datetime import date, timedelta
from html import escape
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.research.test_export import panel

from cryptolake.research.describe import describe
from cryptolake.research.description_page import html
from cryptolake.research.unitroot import Examination, examine, longest_run

DAY = date(2024, 1, 1)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "panel_var.py"


def test_balance_reasons_and_the_largest_rectangle() -> None:
    found = describe(panel())
    rows = {row["csu"]: row for row in found.balance.iter_rows(named=True)}
    assert (rows["market_0"]["t"], rows["market_0"]["gaps"], rows["market_0"]["longest_run"]) == (60, 0, 60)
    assert (rows["market_1"]["t"], rows["market_1"]["gaps"], rows["market_1"]["longest_run"]) == (59, 1, 54)
    assert (rows["market_3"]["t"], str(rows["market_3"]["first"])) == (50, "2024-01-11")
    assert dict(found.missing.select("reason", "tvl").iter_rows()) == {"ok": 229, "not_deployed": 10, "failed": 1}
    assert found.window is not None
    assert (len(found.window.units), found.window.days) == (4, 50)
    assert found.share_present == pytest.approx(229 / 240)


def series(kind: str, seed: int, days: int = 300) -> list[float]:
    steps = np.random.default_rng(seed).normal(size=days)
    return [float(one) for one in (np.cumsum(steps) if kind == "walk" else steps)]


def frame(kind: str, units: int) -> pl.DataFrame:
    rows = [
        (f"u{unit}", DAY + timedelta(day), value)
        for unit in range(units)
        for day, value in enumerate(series(kind, unit))
    ]
    return pl.DataFrame(rows, schema=["csu", "date", "x"], orient="row")


def p_values(found: Examination) -> dict[str, float]:
    return {test.name: test.p for test in found.tests if test.p is not None}


def test_a_random_walk_and_noise_are_told_apart() -> None:
    walks, noise = examine(frame("walk", 10), "x"), examine(frame("noise", 10), "x")
    assert sum(one.verdict == "unit root" for one in walks.screens) >= 7
    assert sum(one.verdict == "stationary" for one in noise.screens) >= 7
    of_walks, of_noise = p_values(walks), p_values(noise)
    assert set(of_walks) == set(of_noise) >= {"Choi inverse normal", "Im-Pesaran-Shin W-t-bar", "Levin-Lin-Chu", "CIPS"}
    # Hadri's null is the other way round.
    assert of_walks.pop("Hadri") < 1e-6
    assert of_noise.pop("Hadri") > 0.01
    assert all(p > 0.05 for p in of_walks.values())
    assert all(p <= 0.01 for p in of_noise.values())


def test_tests_that_assume_independent_markets_say_so_and_cips_does_not() -> None:
    found = examine(frame("walk", 10), "x")
    assert {test.name for test in found.tests if not test.independent} == {"CIPS"}
    assert {test.name for test in found.dependence} >= {"Pesaran CD", "Mean correlation"}


@pytest.mark.parametrize(("markets", "instead"), [(4, "CIPS, which allows for it"), (10, "believe CIPS")])
def test_common_shocks_are_noticed_and_said(markets: int, instead: str) -> None:
    common = np.random.default_rng(9).normal(0, 0.05, 60)
    own = np.random.default_rng(10)
    apart = panel(markets)
    together = apart.with_columns(
        pl.col("total_tvl_usd") * 0
        + np.concatenate([1e6 * np.exp(np.cumsum(common + own.normal(0, 0.01, 60))) for _ in range(markets)])
    )
    warned = describe(together).warning
    assert warned is not None
    assert instead in warned
    assert escape(warned) in html(together, describe(together), title="panel")
    calm = describe(apart).warning
    assert calm is not None
    assert "no sign" in calm


def test_days_are_calendar_days() -> None:
    """A row that is not there is a gap, as a row without a value is: in runs, changes, balance and the picture."""
    whole = panel(markets=2, days=80)
    holes = [DAY + timedelta(day) for day in (30, 31, 50)]
    absent = whole.filter(~pl.col("date").is_in(holes))
    figures = [name for name, dtype in whole.schema.items() if dtype.is_float()]
    empty = whole.with_columns(
        *(pl.when(~pl.col("date").is_in(holes)).then(pl.col(name)).alias(name) for name in figures),
        pl.when(pl.col("date").is_in(holes)).then(pl.lit("failed")).otherwise(pl.col("status")).alias("status"),
    )
    one, other = describe(absent), describe(empty)
    assert one.balance.equals(other.balance)
    assert dict(one.balance.select("csu", "longest_run").iter_rows())["market_0"] == 30
    assert one.roots == other.roots
    assert one.outliers.equals(other.outliers)
    assert one.share_present == other.share_present
    assert dict(one.missing.select("reason", "tvl").iter_rows())["no row"] == 6
    assert "no row" in html(absent, one, title="panel")


def test_short_and_constant_series_are_said_so() -> None:
    def flat(days: int) -> pl.DataFrame:
        return pl.DataFrame(
            {"csu": ["a"] * days, "date": [DAY + timedelta(day) for day in range(days)], "x": [1.0] * days}
        )

    assert [examine(flat(days), "x").screens[0].verdict for days in (10, 60)] == ["too short", "constant"]
    # A series that a line explains wholly has nothing left to test.
    steady = flat(60).with_columns(pl.int_range(60).cast(pl.Float64).alias("x"))
    assert examine(steady, "x").screens[0].verdict == "constant"


@pytest.mark.parametrize(
    ("gap", "values", "longest"),
    [(0, [None, 1.0, 2.0, None, 3.0], [1.0, 2.0]), (3, [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0]), (0, [], [])],
)
def test_a_run_ends_at_a_missing_value_and_at_a_missing_day(
    gap: int, values: list[float | None], longest: list[float]
) -> None:
    days = [DAY + timedelta(number + (number >= gap > 0)) for number in range(len(values))]
    assert longest_run(days, values).values == longest


def test_the_page_is_self_contained_and_escaped() -> None:
    data = panel().with_columns(pl.col("csu").str.replace("market_0", "<script>alert(1)</script>"))
    text = html(data, describe(data), title="<panel>", facts=[("dataset_version", "abc")])
    assert "<script" not in text
    assert not re.findall(r"(?:src|href)=", text)
    assert text.count("<svg") == 3
    assert "not_deployed" in text
    assert "&lt;panel&gt;" in text


def test_the_example_finds_the_answer_that_its_synthetic_panel_was_drawn_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = importlib.util.spec_from_file_location("panel_var", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    found = example.main([])
    true = example.responses(example.TRUE[None], np.diag(np.square(example.TRUE_SD)))
    assert np.abs(found[:, 0, 1] - true[:, 0, 1]).max() < 0.002
    assert found[1, 0, 1] < -0.005
    assert "SYNTHETIC" in capsys.readouterr().out
