"""The description counts what is there, knows a random walk from noise, and its page needs nothing from outside."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.research.test_export import panel

from cryptolake.research.describe import describe, html
from cryptolake.research.unitroot import longest_run, panel_tests, screen

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
    rows = [(f"u{unit}", day, value) for unit in range(units) for day, value in enumerate(series(kind, unit))]
    return pl.DataFrame(rows, schema=["csu", "date", "x"], orient="row")


def test_a_random_walk_and_noise_are_told_apart() -> None:
    walks, noise = screen(frame("walk", 8), "x"), screen(frame("noise", 8), "x")
    assert sum(one.verdict == "unit root" for one in walks) >= 6
    assert sum(one.verdict == "stationary" for one in noise) >= 6
    assert all(test.p > 0.05 for test in panel_tests(walks))
    assert all(test.p < 1e-6 for test in panel_tests(noise))


@pytest.mark.services
def test_the_panel_test_equals_plm(tmp_path: Path) -> None:
    """Maddala-Wu with fixed lags in R's plm; ours takes AIC lags, so the verdict is compared, not the digits."""
    rscript = shutil.which("Rscript")
    assert rscript is not None, "R is not installed; run: make test-services"
    code = (
        "suppressPackageStartupMessages(library(plm)); p <- read.csv(commandArgs(TRUE)[1]); "
        "w <- as.data.frame(split(p$x, p$csu)); r <- purtest(w, test='madwu', exo='intercept', lags='AIC', pmax=5); "
        "cat(r$statistic$p.value)"
    )
    for kind, rejected in (("walk", False), ("noise", True)):
        path = tmp_path / f"{kind}.csv"
        frame(kind, 8).write_csv(path)
        run = subprocess.run([rscript, "-e", code, str(path)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        (fisher, _) = panel_tests(screen(frame(kind, 8), "x"))
        assert (float(run.stdout) < 0.05) == (fisher.p < 0.05) == rejected


def test_short_and_constant_series_are_said_so() -> None:
    short = pl.DataFrame({"csu": ["a"] * 10, "date": range(10), "x": [1.0] * 10})
    flat = pl.DataFrame({"csu": ["a"] * 60, "date": range(60), "x": [1.0] * 60})
    assert [screen(one, "x")[0].verdict for one in (short, flat)] == ["too short", "constant"]
    assert longest_run([None, 1.0, 2.0, None, 3.0]) == [1.0, 2.0]


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
