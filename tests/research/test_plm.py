"""Every number of the econometric tests beside R's: `fixtures/plm.json` is what `plm.R` printed of the synthetic panel."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.research.synthetic import FIXTURES, PANEL, synthetic_panel

from cryptolake.research import critical_values, panel_tests
from cryptolake.research.adf import Lags, adf, normal_of
from cryptolake.research.critical_values import Terms
from cryptolake.research.dependence import dependence
from cryptolake.research.driscoll_kraay import within
from cryptolake.research.moments import Instruments, calendar
from cryptolake.research.panel_var import estimate
from cryptolake.research.unitroot import examine

RECORDED = FIXTURES / "plm.json"
SCRIPT = Path(__file__).with_name("plm.R")
PLM = {
    "Maddala-Wu": "madwu",
    "Choi Pm": "Pm",
    "Choi inverse normal": "invnormal",
    "Choi logit": "logit",
    "Im-Pesaran-Shin W-t-bar": "ips",
    "Im-Pesaran-Shin Z-t-bar": "ztbar",
    "Pesaran CD": "cd",
    "Breusch-Pagan LM": "lm",
    "Scaled LM": "sclm",
    "Bias-corrected scaled LM": "bcsclm",
    "Mean correlation": "rho",
    "Mean absolute correlation": "absrho",
}
TERMS: tuple[Terms, ...] = ("intercept", "trend")
LAGS: tuple[Lags, ...] = ("AIC", "SIC", "Hall", 0, 2)


def panel() -> pl.DataFrame:
    read = pl.read_csv(PANEL, try_parse_dates=True).sort("csu", "date")
    level = read.with_columns(
        pl.col("total_tvl_usd").log1p().alias("level"), pl.col("total_borrowed_usd").log1p().alias("borrowed")
    )
    return level.with_columns(pl.col("level").diff().over("csu", order_by="date").alias("change"))


def even(rows: pl.DataFrame) -> pl.DataFrame:
    """The days on which every market has a change."""
    late = rows.group_by("csu").agg(pl.col("date").min())["date"].max()
    return rows.filter(pl.col("date") >= late + timedelta(days=1))  # type: ignore[operator]


def wide(rows: pl.DataFrame, value: str) -> np.ndarray:
    table = rows.drop_nulls(value).pivot("csu", index="date", values=value, sort_columns=True).sort("date").drop("date")
    return table.fill_null(float("nan")).to_numpy()


def said(name: str, statistic: float, p: float | None) -> Iterator[tuple[str, float]]:
    yield f"{name}/statistic", statistic
    if p is not None:
        yield f"{name}/p", p


def unit_roots(rows: pl.DataFrame, series: str) -> Iterator[tuple[str, float]]:
    runs = {
        str(csu): part[series].drop_nulls().to_numpy()
        for (csu,), part in rows.partition_by("csu", as_dict=True).items()
    }
    block = wide(even(rows), series)
    for terms in TERMS:
        for lags in LAGS:
            name = f"{series}/{terms}/{lags}"
            found = {csu: adf(run, terms, lags) for csu, run in runs.items()}
            whole = [one for one in found.values() if one is not None]
            for csu, one in found.items():
                assert one is not None
                yield from ((f"{name}/adf/{csu}/{what}", float(getattr(one, what))) for what in ("t", "p", "lags"))
            for test in [*panel_tests.combined(whole), *panel_tests.im_pesaran_shin(whole, terms)]:
                if test.name in PLM and (lags == 0 or PLM[test.name] != "ztbar"):
                    yield from said(f"{name}/{PLM[test.name]}", test.statistic, test.p)
            balanced = [one for one in (adf(block[:, unit], terms, lags) for unit in range(block.shape[1])) if one]
            llc = panel_tests.levin_lin_chu(block, balanced, terms)
            yield from said(f"{name}/levinlin", llc.statistic, llc.p)
            if lags == 0:
                (bar,) = (one for one in panel_tests.im_pesaran_shin(balanced, terms) if one.name.endswith(" t-bar"))
                assert bar.critical is not None
                yield f"{series}/{terms}/tbar/statistic", bar.statistic
                yield from (
                    (f"{series}/{terms}/tbar/{percent}", value)
                    for percent, value in zip(critical_values.PERCENT, bar.critical, strict=True)
                )
        hadri = panel_tests.hadri(block, terms)
        assert hadri is not None
        yield from said(f"{series}/{terms}/hadri", hadri.statistic, hadri.p)
        for count in (1, 2, 3):
            for truncated in (False, True):
                cips = panel_tests.cips(block, terms, count, truncated=truncated)
                assert cips is not None
                yield from said(f"{series}/{terms}/{count}/cips{'_truncated' * truncated}", cips.statistic, cips.p)


def of_dependence(rows: pl.DataFrame) -> Iterator[tuple[str, float]]:
    for series in ("level", "change"):
        for test in dependence(wide(rows, series)):
            if PLM[test.name] != "bcsclm":
                yield from said(f"{series}/dependence/{PLM[test.name]}", test.statistic, test.p)
    # The bias-corrected one is of residuals with market effects: `plm` takes no other.
    part = even(rows)
    demeaned = part.with_columns((pl.col(one) - pl.col(one).mean().over("csu")) for one in ("change", "borrowed"))
    slope = float((demeaned["change"] * demeaned["borrowed"]).sum() / (demeaned["borrowed"] ** 2).sum())
    rest = demeaned.with_columns((pl.col("change") - slope * pl.col("borrowed")).alias("rest"))
    for test in dependence(wide(rest, "rest")):
        if PLM[test.name] in ("bcsclm", "cd"):
            yield from said(f"within/dependence/{PLM[test.name]}", test.statistic, test.p)


def regressions(rows: pl.DataFrame) -> Iterator[tuple[str, float]]:
    for what, part in (("even", even(rows)), ("all", rows)):
        for lags in (None, 0, 5):
            fit = within(part, "change", ["borrowed", "level"], lags)
            name = f"scc/{what}/within"
            for one in fit.coefficients:
                yield f"{name}/coefficient/{one.name}", one.value
                yield f"{name}/{'default' if lags is None else lags}/{one.name}", one.error


def autoregressions(rows: pl.DataFrame) -> Iterator[tuple[str, float]]:
    """Difference GMM of the borrowed share, by the panel VAR's estimator."""
    used = rows.with_columns((pl.col("total_borrowed_usd") / pl.col("total_tvl_usd")).alias("used"))
    for steps, name in ((1, "onestep"), (2, "twosteps")):
        found = estimate(calendar(used, ["used"]), ["used"], 1, Instruments(2), steps=steps, differences=True)
        yield f"pgmm/{name}/coefficient", found.coefficients.item()
        yield f"pgmm/{name}/error", found.errors.item()
        if found.hansen is not None:
            yield from said(f"pgmm/{name}/hansen", found.hansen.statistic, found.hansen.p)


def between_printed_sizes() -> Iterator[tuple[str, float]]:
    kinds: dict[str, Terms] = {"none": "none", "drift": "intercept", "trend": "trend"}
    for kind, terms in kinds.items():
        for units in (11, 47, 150):
            for periods in (14, 99, 150):
                critical = critical_values.cips(terms, units, periods)
                assert critical is not None
                for at in (-2.3, -2.1):
                    yield f"cips_p/{kind}/{units}/{periods}/{at}", critical_values.cips_p(at, critical)


@pytest.fixture(scope="module")
def ours() -> dict[str, float]:
    rows = panel()
    found = [*unit_roots(rows, "level"), *unit_roots(rows, "change"), *of_dependence(rows), *regressions(rows)]
    return dict([*found, *autoregressions(rows), *between_printed_sizes()])


def differences(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Numbers that differ by more than one in a million."""
    return {
        name: (ours[name], value)
        for name, value in theirs.items()
        if ours[name] != pytest.approx(value, rel=1e-6, abs=1e-12)
    }


def test_every_number_is_plm_s(ours: dict[str, float]) -> None:
    theirs = json.loads(RECORDED.read_text())["numbers"]
    assert len(theirs) > 900
    assert sorted(ours) == sorted(theirs), "a number has nothing to be compared with"
    assert differences(ours, theirs) == {}


@pytest.mark.parametrize("series", ["level", "change"])
@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("lags", LAGS)
def test_what_is_described_is_what_plm_says(series: str, terms: Terms, lags: Lags) -> None:
    """The road of `panel describe`: of all days each market's run, and of the common days the even block."""
    theirs = json.loads(RECORDED.read_text())["numbers"]
    named = PLM | {"Levin-Lin-Chu": "levinlin", "Hadri": "hadri", "CIPS": "cips"}
    seen = set()
    for rows, kinds in (
        (panel(), ("madwu", "Pm", "invnormal", "logit", "ips")),
        (even(panel()), ("levinlin", "hadri", "cips")),
    ):
        found = examine(rows.drop_nulls(series).select("csu", "date", series), series, terms, lags)
        for test in found.tests:
            if (kind := named.get(test.name)) in kinds:
                within_terms = "hadri" if kind == "hadri" else f"{test.lags if kind == 'cips' else lags}/{kind}"
                name = f"{series}/{terms}/{within_terms}/statistic"
                if name in theirs:
                    assert test.statistic == pytest.approx(theirs[name], rel=1e-6), name
                    seen.add(kind)
    assert seen >= {"madwu", "Pm", "invnormal", "logit", "ips", "levinlin", "hadri"}


def test_the_recorded_panel_is_the_synthetic_one() -> None:
    assert PANEL.read_text() == synthetic_panel().write_csv()


@pytest.mark.services
def test_r_says_the_recorded_numbers_again(ours: dict[str, float]) -> None:
    rscript = shutil.which("Rscript")
    assert rscript is not None, "R is not installed; run: make test-services"
    run = subprocess.run([rscript, str(SCRIPT), str(PANEL)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    theirs = json.loads(run.stdout)["numbers"]
    assert differences(ours, theirs) == {}
    assert differences(json.loads(RECORDED.read_text())["numbers"], theirs) == {}


def test_choi_rejects_when_very_negative() -> None:
    """Specimen: the sign was turned round, so that stationary markets had a large positive statistic."""
    dice = np.random.default_rng(5)
    noise = [adf(dice.normal(size=200)) for _ in range(8)]
    walks = [adf(np.cumsum(dice.normal(size=200))) for _ in range(8)]
    for found, rejects in ((noise, True), (walks, False)):
        tests = {one.name: one for one in panel_tests.combined([one for one in found if one])}
        choi = tests["Choi inverse normal"]
        assert (choi.statistic < -4) == rejects
        assert all(one.p is not None and (one.p < 0.001) == rejects for one in tests.values())


@pytest.mark.parametrize("terms", ["none", "intercept", "trend"])
def test_a_larger_t_never_has_a_smaller_p(terms: Terms) -> None:
    """Past -19 `plm` climbs back to p = 1; here the turning point holds."""
    found = [normal_of(t, terms) for t in np.linspace(-60, 20, 1601)]
    # MacKinnon's two pieces meet at their limit but for the fourth digit.
    assert all(late >= early - 2e-3 for early, late in itertools.pairwise(found))
    assert found[0] < -5
