"""The panel VAR beside what others say: panelvar's published digits, pydynpd, plm, linearmodels, statsmodels, and a truth."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from linearmodels.iv import IV2SLS
from statsmodels.tsa.vector_ar.var_model import VARProcess
from tests.research.synthetic import FIXTURES, PANEL

from cryptolake.errors import BadInput
from cryptolake.research.lag_orders import orders
from cryptolake.research.moments import Array, Instruments, calendar, forward_deviations, lagged, moments
from cryptolake.research.panel_var import estimate, series, solve
from cryptolake.research.responses import impulse_responses, responses
from cryptolake.research.study import html, study

TRUE = np.array([[0.30, -0.010], [-4.00, 0.50]])  # of yesterday's (growth, liquidations) on today's
TRUE_SD = np.array([0.02, 0.8])
NAMES = ("growth", "used")


def two_variables() -> pl.DataFrame:
    """Growth and borrowed share of the synthetic panel, as `benchmarks/peers/pydynpd_numbers.py` takes them."""
    rows = pl.read_csv(PANEL, try_parse_dates=True).sort("csu", "date")
    return rows.select(
        "csu",
        "date",
        pl.col("total_tvl_usd").log1p().diff().over("csu", order_by="date").alias("growth"),
        (pl.col("total_borrowed_usd") / pl.col("total_tvl_usd")).alias("used"),
    )


def drawn(markets: int = 30, days: int = 200, seed: int = 3) -> pl.DataFrame:
    """A panel drawn from the VAR above, with a mean per market."""
    dice = np.random.default_rng(seed)
    rows = []
    for number in range(markets):
        state, mean = np.zeros(2), np.array([0.001 * number, 9 + number / 10])
        for day in range(days):
            state = TRUE @ state + dice.normal(size=2) * TRUE_SD
            rows.append((f"drawn_{number:02d}", date(2024, 1, 1) + timedelta(day), *(mean + state)))
    return pl.DataFrame(rows, schema=["csu", "date", "growth", "liquidations"], orient="row")


def test_deviations_keep_errors_uncorrelated_and_take_the_mean_out() -> None:
    transform = forward_deviations(np.eye(7))
    np.testing.assert_allclose(transform @ transform.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(transform.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(transform[0, 0], np.sqrt(6 / 7))


@pytest.mark.parametrize("way", ["fod", "differences"])
@pytest.mark.parametrize("steps", [1, 2])
def test_each_equation_is_pydynpd_s(way: str, steps: int) -> None:
    numbers = json.loads((FIXTURES / "pydynpd.json").read_text())["numbers"]
    panel = series(two_variables(), NAMES)
    sums = moments(panel, 1, Instruments(2), differences=way == "differences")
    for row, outcome in enumerate(NAMES):
        alone = replace(sums, zy=sums.zy[:, :, [row]], xy=sums.xy[:, :, [row]], yy=sums.yy[:, [row]][:, :, [row]])
        found = solve(alone, np.ones(len(sums.rows)), steps)
        errors = np.sqrt(np.diag(found.covariance))
        for column, of in enumerate(NAMES):
            name = f"{way}/{steps}/{outcome}/{of}"
            assert found.phi[column, 0] == pytest.approx(numbers[f"{name}/coefficient"], rel=1e-6), name
            assert errors[column] == pytest.approx(numbers[f"{name}/error"], rel=1e-6), name


def test_one_step_is_linearmodels_two_stage_least_squares_clustered_by_market() -> None:
    """The rows are transformed here anew, one by one, from the definition."""
    rows: list[tuple[list[float], list[float], list[float], int]] = []
    for number, values in enumerate(series(two_variables(), NAMES).values()):
        known = [day for day in range(1, len(values)) if np.isfinite(values[day - 1 : day + 1]).all()]
        for place, day in enumerate(known[:-1]):
            later = known[place + 1 :]
            weight = (len(later) / (len(later) + 1)) ** 0.5
            y = weight * (values[day] - np.mean([values[one] for one in later], axis=0))
            x = weight * (values[day - 1] - np.mean([values[one - 1] for one in later], axis=0))
            before = values[day - 2] if day > 1 else np.zeros(2)
            z = np.nan_to_num(np.concatenate([values[day - 1], before]))
            rows.append((list(y), list(x), list(z), number))
    y, x, z, market = (np.array(column) for column in zip(*rows, strict=True))
    found = estimate(series(two_variables(), NAMES), NAMES, 1, Instruments(2))
    assert found.rows == len(rows)
    for row in range(2):
        fit = IV2SLS(y[:, row], None, x, z).fit(cov_type="clustered", clusters=market)
        np.testing.assert_allclose(found.coefficients[row], fit.params, rtol=1e-8)
        np.testing.assert_allclose(found.errors[row], fit.std_errors, rtol=1e-8)


DAHLBERG = 'data(Dahlberg, package = "panelvar"); write.csv(Dahlberg, commandArgs(TRUE)[1], row.names = FALSE)'


def cut_off(matrix: Array, _what: str) -> Array:
    """R's `MASS::ginv`, which panelvar takes: directions below the root of the machine's precision count as none.

    In the published example these are 31 of 252, because the data are in millions of crowns per head and their products
    tiny; in other units fewer would be cut, and the second step's third digit would be another.
    """
    return np.asarray(np.linalg.pinv(matrix, rcond=np.sqrt(np.finfo(float).eps)))


@pytest.mark.services
def test_the_published_digits_of_panelvar(tmp_path: Path) -> None:
    """The data come with R's panelvar (GPL) and are not copied here."""
    rscript = shutil.which("Rscript")
    assert rscript is not None, "R is not installed; run: make test-services"
    path = tmp_path / "dahlberg.csv"
    run = subprocess.run([rscript, "-e", DAHLBERG, str(path)], capture_output=True, text=True, check=False)
    if run.returncode or not path.exists():
        pytest.skip("R's panelvar is not installed: install.packages('panelvar')")
    said = json.loads((FIXTURES / "panelvar.json").read_text())
    names = said["variables"]
    parts = pl.read_csv(path).sort("id", "year").partition_by("id", as_dict=True)
    panel = {str(unit): rows.select(names).to_numpy() for (unit,), rows in parts.items()}
    sums = moments(panel, 1, Instruments(collapsed=False))
    assert int(sums.rows.sum()) == said["observations"]
    for steps, step in ((1, "first_step"), (2, "second_step")):
        found = solve(sums, np.ones(len(panel)), steps, cut_off)
        errors = np.sqrt(np.diag(found.covariance)).reshape(3, 3)
        np.testing.assert_allclose(found.phi.T, said[step], rtol=1e-6)
        np.testing.assert_allclose(errors, said[f"{step}_errors"], rtol=1e-6)
    whole = estimate(panel, names, 1, Instruments(collapsed=False))
    np.testing.assert_allclose(whole.coefficients, said["first_step"], rtol=1e-6)
    np.testing.assert_allclose(whole.errors, said["first_step_errors"], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2])
def test_it_finds_what_a_panel_was_drawn_from(steps: int) -> None:
    panel = series(drawn(), ["growth", "liquidations"])
    found = estimate(panel, ["growth", "liquidations"], steps=steps)
    assert (np.abs(found.coefficients - TRUE) < 4 * found.errors).all()
    assert (found.errors < [[0.03, 0.001], [1.0, 0.04]]).all()
    np.testing.assert_allclose(np.sqrt(np.diag(found.sigma)), TRUE_SD, rtol=0.03)
    assert found.stable
    assert (found.hansen is None) == (steps == 1)
    best = orders(panel)
    assert min(best, key=lambda one: one.bic).lags == 1
    assert [one.lags for one in best] == [1, 2, 3, 4]


def test_units_do_not_matter() -> None:
    rows = two_variables()
    plain = estimate(series(rows, NAMES), NAMES, 2, Instruments(3), steps=1)
    large = estimate(series(rows.with_columns(pl.col("used") * 1e9), NAMES), NAMES, 2, Instruments(3), steps=1)
    np.testing.assert_allclose(large.coefficients[1, 0], plain.coefficients[1, 0] * 1e9, rtol=1e-8)
    np.testing.assert_allclose(large.errors[0, 1], plain.errors[0, 1] / 1e9, rtol=1e-8)
    np.testing.assert_allclose(large.sigma[1, 1], plain.sigma[1, 1] * 1e18, rtol=1e-8)


@pytest.mark.parametrize("lags", [1, 2, 3])
def test_responses_are_statsmodels(lags: int) -> None:
    dice = np.random.default_rng(lags)
    coefficients = dice.normal(0, 0.2, (3, 3 * lags))
    root = dice.normal(size=(3, 3))
    sigma = root @ root.T
    stacked = coefficients.reshape(3, lags, 3).transpose(1, 0, 2)
    theirs = VARProcess(stacked, np.zeros((3, 1)), sigma).orth_ma_rep(maxn=12)
    np.testing.assert_allclose(impulse_responses(coefficients, sigma, 12), theirs, atol=1e-10)


def test_a_band_holds_the_truth_and_is_the_same_again() -> None:
    names = ["growth", "liquidations"]
    panel = series(drawn(), names)
    found = estimate(panel, names)
    band = responses(panel, found, draws=200, horizon=5)
    again = responses(panel, found, draws=200, horizon=5)
    np.testing.assert_array_equal(band.low, again.low)
    assert (band.low <= band.middle + 1e-12).all()
    assert (band.middle <= band.high + 1e-12).all()
    truth = impulse_responses(TRUE, np.diag(TRUE_SD**2), 5)
    inside = (band.low <= truth) & (truth <= band.high)
    assert inside.mean() > 0.7
    wide = responses(panel, found, draws=200, horizon=5, level=0.99)
    assert (wide.high - wide.low >= band.high - band.low).all()


def test_lags_are_calendar_days() -> None:
    """A missing row is a missing day: its neighbours are not each other's yesterday."""
    rows = two_variables()
    holes = [date(2024, 3, 1), date(2024, 3, 2), date(2024, 4, 10)]
    absent = rows.filter(~pl.col("date").is_in(holes))
    null = rows.with_columns(pl.when(~pl.col("date").is_in(holes)).then(pl.col(one)).alias(one) for one in NAMES)
    one, other = (estimate(series(each, NAMES), NAMES, 2) for each in (absent, null))
    np.testing.assert_array_equal(one.coefficients, other.coefficients)
    whole = estimate(series(rows, NAMES), NAMES, 2)
    # Of 149 days of growth each of ten early markets loses the holes and two days after each run of them.
    assert whole.rows - one.rows == len(list(calendar(rows, ["used"]))) * (3 + 2 + 2)
    assert np.isnan(lagged(np.array([[1.0], [2.0]]), 3)).sum() == 5


def test_common_shocks_are_said_and_can_be_taken_out() -> None:
    common = np.random.default_rng(8).normal(0, 0.1, 200)
    rows = drawn().with_columns(pl.col("growth") + np.tile(common, 30))
    names = ("growth", "liquidations")
    warned = study(rows, names, draws=0)
    assert any("Markets move together" in one and "growth" in one for one in warned.warnings)
    out = study(rows, names, day_means_out=True, draws=0)
    assert not any("Markets move together" in one for one in out.warnings)
    assert (np.abs(out.found.coefficients - TRUE) < 4 * out.found.errors).all()


def test_the_page_has_a_picture_per_response_and_needs_nothing_from_outside() -> None:
    done = study(drawn(), ("growth", "liquidations"), draws=60, horizon=4)
    text = html(done, title="<VAR>", facts=[("dataset_version", "abc")])
    assert text.count("<svg") == 4
    assert "<script" not in text
    assert "&lt;VAR&gt;" in text


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"names": ("growth",)}, {}, "two or more different variables"),
        ({"names": ("growth", "growth")}, {}, "two or more different variables"),
        ({"markets": 1}, {}, "too few"),
        ({"days": 3}, {"lags": 2}, "too few"),
        ({}, {"lags": 3, "instrument_lags": 2}, "take more instrument lags"),
        ({"markets": 5}, {"steps": 2, "instrument_lags": 3}, "one step"),
        ({"flat": True}, {}, "never changes"),
        ({"twice": True}, {}, "collinear"),
        ({"empty": True}, {}, "no market-day has"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_the_remedy(
    change: dict[str, object], options: dict[str, int], said: str
) -> None:
    rows = drawn(int(str(change.get("markets", 10))), int(str(change.get("days", 40))))
    if change.get("flat"):
        rows = rows.with_columns(pl.lit(1.0).alias("growth"))
    if change.get("twice"):
        rows = rows.with_columns(pl.col("growth").alias("liquidations"))
    if change.get("empty"):
        rows = rows.with_columns(pl.lit(None, pl.Float64).alias("growth"))
    names = change.get("names", ("growth", "liquidations"))
    with pytest.raises(BadInput, match=said):
        study(rows, names, draws=0, **options)  # type: ignore[arg-type]
