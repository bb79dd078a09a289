"""Exports are opened by the programs they are for: polars, pandas, R with haven and plm, linearmodels."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linearmodels.panel import PanelOLS
from tests.docs.examples import example
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.registry.loader import load_registry
from cryptolake.research import exports
from cryptolake.research.export import export
from cryptolake.research.exports.stata import label
from cryptolake.research.formats import format_named, format_names
from cryptolake.research.frames import panel_index, read_panel
from cryptolake.research.transforms import VALUES, Recipe, prepare
from cryptolake.research.wide import wide
from cryptolake.sources.onchain.families import declared

FACTS = {"dataset_version": "0" * 64, "code_version": "0.1.0", "registry_version": "r"}


def panel(markets: int = 4, days: int = 60) -> pl.DataFrame:
    """A synthetic daily panel with one gap, one zero and one market that came late."""
    dice = np.random.default_rng(3)
    rows = []
    for number in range(markets):
        level = 1e6 * (number + 1)
        for day in range(days):
            level *= float(np.exp(dice.normal(0, 0.03)))
            absent = number == 3 and day < 10
            status = "not_deployed" if absent else "failed" if (number, day) == (1, 5) else "ok"
            tvl = None if status != "ok" else level
            borrowed = None if tvl is None else tvl * (0.4 + 0.01 * number)
            rows.append(
                {
                    "csu": f"market_{number}",
                    "date": date(2024, 1, 1) + timedelta(days=day),
                    "total_tvl_usd": tvl,
                    "total_supplied_usd": None if tvl is None else tvl * 1.5,
                    "total_borrowed_usd": borrowed,
                    "utilization_rate": None if borrowed is None or tvl is None else borrowed / (tvl * 1.5),
                    "num_assets": None if tvl is None else 5,
                    "liquidations_usd": None if absent else 0.0 if day % 3 else 1000.0 * day,
                    "status": status,
                    "liquidations_status": status,
                    "flags": "",
                    "chain": "ethereum",
                    "family": "aave_v3",
                    "protocol": "synthetic",
                }
            )
    frame = pl.DataFrame(rows, schema=DAILY_PANEL.polars_schema(), strict=False)
    assert DAILY_PANEL.violations(frame) == []
    return frame


def written(folder: Path, to: str, recipe: Recipe, **more: object) -> Path:
    path = folder / f"panel{format_named(to).suffix}"
    export(DAILY_PANEL, prepare(panel(), recipe), recipe, path=path, to=format_named(to), facts=FACTS, **more)  # type: ignore[arg-type]
    return path


FULL = Recipe(balance="longest", winsorize=0.01, log=True, diff=True)


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "parquet": pd.read_parquet,
    "csv": lambda path: pd.read_csv(path, parse_dates=["date"]),
    "stata": pd.read_stata,
    "feather": pd.read_feather,
}


@pytest.mark.parametrize("to", format_names())
def test_every_format_is_sound_and_gives_the_same_bytes_again(tmp_path: Path, to: str) -> None:
    path = written(tmp_path, to, FULL)
    assert path.stat().st_size
    first = path.read_bytes()
    assert written(tmp_path, to, FULL).read_bytes() == first


@pytest.mark.parametrize("to", READERS)
def test_a_format_is_the_same_table_to_the_program_it_is_for(tmp_path: Path, to: str) -> None:
    path = written(tmp_path, to, FULL)
    wanted = prepare(panel(), FULL).frame
    read = READERS[to](path)
    assert len(read) == wanted.height
    assert list(read.columns[:4]) == ["csu", "date", "unit_id", "time_id"]
    for name in ("total_tvl_usd", "total_tvl_usd_w_log_d", "liquidations_usd"):
        found, meant = read[name].to_numpy(dtype=float), wanted[name].cast(pl.Float64).to_numpy()
        np.testing.assert_array_equal(found, meant)
    assert list(pd.to_datetime(read["date"]).dt.date) == wanted["date"].to_list()


def test_the_codebook_travels_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", FULL)
    beside = json.loads(path.with_name("panel.parquet.codebook.json").read_text())
    inside = json.loads(pl.read_parquet_metadata(path)["cryptolake.codebook"])
    assert inside == beside
    fields = {one["name"]: one for one in beside["schema"]["fields"]}
    assert list(fields) == pl.read_parquet(path).columns
    assert all(one["description"] for one in fields.values()), "a column without a meaning"
    assert fields["total_tvl_usd"]["unit"] == "USD"
    assert beside["dataset_version"] == FACTS["dataset_version"]
    assert any(
        step.startswith("winsorise: total_tvl_usd_w = total_tvl_usd winsorised at 0.01")
        for step in beside["transformations"]
    )
    page = path.with_name("panel.parquet.codebook.md").read_text()
    assert "| `total_tvl_usd_w_log_d` |" in page
    import pyarrow.feather

    arrow = pyarrow.feather.read_table(written(tmp_path, "feather", FULL))
    assert b"cryptolake.codebook" in arrow.schema.metadata


def test_stata_has_labels_and_refuses_names_it_cannot_hold(tmp_path: Path) -> None:
    with pd.io.stata.StataReader(written(tmp_path, "stata", Recipe())) as reader:
        labels = reader.variable_labels()
        assert reader.data_label.startswith("cryptolake daily_panel 0000")
    assert labels["total_borrowed_usd"] == "all debt, also of assets minted when they are borrowed"
    too_long = panel().with_columns(pl.col("total_tvl_usd").alias("a_column_of_somebody_with_a_long_name"))
    recipe = Recipe(("a_column_of_somebody_with_a_long_name",), log=True)
    for shape in ("long", "wide"):
        with pytest.raises(BadInput, match="32 characters"):
            export(
                DAILY_PANEL, prepare(too_long, recipe), recipe, path=tmp_path / "x.dta", to=format_named("stata"),
                facts=FACTS, shape=shape,  # type: ignore[arg-type]
            )  # fmt: skip


def test_a_wide_stata_file_names_columns_by_the_markets_numbers_and_labels_them_by_their_names(tmp_path: Path) -> None:
    recipe = Recipe(balance="longest", winsorize=0.01, within="pooled", log=True, diff=True)
    numbers = {f"market_{number}": number + 1 for number in range(4)}
    path = tmp_path / "wide.dta"
    prepared = prepare(panel(), recipe, numbers)
    export(DAILY_PANEL, prepared, recipe, path=path, to=format_named("stata"), facts=FACTS, shape="wide")
    with pd.io.stata.StataReader(path) as reader:
        labels = reader.variable_labels()
    read = pd.read_stata(path)
    for csu, number in ((name, numbers[name]) for name in prepared.frame["csu"].unique()):
        assert labels[f"total_tvl_usd_w_log_d_{number}"].startswith(f"total_tvl_usd_w_log_d of {csu}: ")
        meant = prepared.frame.filter(pl.col("csu") == csu)["liquidations_usd"].to_numpy()
        np.testing.assert_array_equal(read[f"liquidations_usd_{number}"].to_numpy(), meant)
    assert all(len(name) <= 32 for name in read.columns)
    assert all(len(one) <= 80 for one in labels.values())


def test_every_figure_of_every_market_fits_a_wide_stata_file_whatever_is_done_to_it() -> None:
    """Names of shipped markets' numbers and of those that no row numbers, of every numeric column, at the longest recipe."""
    numbers = {name: one.number for name, one in load_registry(declared()).csus.items()}
    numeric = [one.name for one in DAILY_PANEL.fields if one.dtype in ("float64", "int64") and one.name != "block"]
    rows = panel(2).with_columns(pl.col(numeric).fill_null(1)).drop("csu")
    for names in (sorted(numbers)[:2], ["a_market_of_somebody", "another"]):
        frame = pl.concat([rows.head(60), rows.tail(60)]).with_columns(pl.Series("csu", names * 60).sort())
        recipe = Recipe(tuple(numeric), fill_limit=1, winsorize=0.01, log=True, diff=True)
        found, meaning = wide(prepare(frame, recipe, numbers), numeric, 32)
        assert all(len(name) <= 32 for name in found.columns)
        assert set(meaning) == set(found.columns) - {"date", "time_id"}, "two figures share a name"


@given(st.text(alphabet="abc 0.123456789:;-", max_size=300))
def test_a_label_is_never_cut_inside_a_number(text: str) -> None:
    cut = label(text)
    assert len(cut) <= 80
    words = text.split()
    kept = cut.removesuffix("...").split()
    assert kept == words[: len(kept)]
    assert cut.endswith("...") or kept == words


def test_wide_files_have_a_column_per_market(tmp_path: Path) -> None:
    frame = pl.read_parquet(written(tmp_path, "parquet", Recipe(("total_tvl_usd",)), shape="wide"))
    assert frame.columns == ["date", "time_id", *(f"total_tvl_usd__market_{number}" for number in range(4))]


def test_linearmodels_takes_the_index_as_it_is(tmp_path: Path) -> None:
    recipe = Recipe(("total_tvl_usd", "total_borrowed_usd"), balance="longest", log=True)
    for to in ("parquet", "feather"):
        data = read_panel(written(tmp_path, to, recipe), ["total_tvl_usd_log", "total_borrowed_usd_log"])
        fit = PanelOLS(data["total_borrowed_usd_log"], data[["total_tvl_usd_log"]], entity_effects=True).fit()
        assert fit.params["total_tvl_usd_log"] == pytest.approx(1.0, abs=1e-6)
        assert fit.entity_info["total"] == prepare(panel(), recipe).frame["csu"].n_unique()
    with pytest.raises(BadInput, match="twice"):
        panel_index(pl.concat([panel(), panel()]), list(VALUES))


@pytest.mark.parametrize(("to", "other"), [*itertools.permutations(format_names(), 2)])
def test_a_file_name_that_says_another_format_is_refused(tmp_path: Path, to: str, other: str) -> None:
    path, recipe = tmp_path / f"o{format_named(other).suffix.upper()}", Recipe()
    remedy = rf"--format {other}, or --out o\{format_named(to).suffix}$"
    with pytest.raises(BadInput, match=remedy):
        export(DAILY_PANEL, prepare(panel(), recipe), recipe, path=path, to=format_named(to), facts=FACTS)
    assert list(tmp_path.iterdir()) == []


def test_a_file_name_that_says_no_format_is_taken(tmp_path: Path) -> None:
    recipe = Recipe()
    for name in ("panel", "panel.txt"):
        path = tmp_path / name
        export(DAILY_PANEL, prepare(panel(), recipe), recipe, path=path, to=format_named("csv"), facts=FACTS)
        assert pl.read_csv(path).height == panel().height


@pytest.fixture
def add_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a file among the exports for one test."""
    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setattr(exports, "__path__", [*exports.__path__, str(folder)])

    def add(name: str, content: str) -> None:
        (folder / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, f"{exports.__name__}.{name}", raising=False)
        monkeypatch.delattr(exports, name, raising=False)

    return add


def test_the_documented_export_is_one_file(tmp_path: Path, add_format: Callable[[str, str], None]) -> None:
    file, content = example("add-an-export.md")
    name = Path(file).stem
    add_format(name, content)
    assert name in format_names()
    path = written(tmp_path, name, Recipe())
    assert pl.read_ndjson(path)["total_tvl_usd"].equals(prepare(panel(), Recipe()).frame["total_tvl_usd"])
    beside = json.loads(path.with_name(f"{path.name}.codebook.json").read_text())
    assert beside["dataset_version"] == FACTS["dataset_version"]
    refused = CliRunner().invoke(app, ["--data", str(tmp_path), "panel", "export", "--format", "json"])
    assert isinstance(refused.exception, BadInput)
    assert str(refused.exception) == f"unknown format 'json'; known: {', '.join(format_names())}"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("def render(frame, codebook): ...", "SUFFIX is missing"),
        ("SUFFIX = 'x'\ndef render(frame, codebook): ...", "SUFFIX is missing"),
        ("SUFFIX = '.x'", "render is missing"),
        ("SUFFIX = '.x'\nNEEDS = 1\ndef render(frame, codebook): ...", "NEEDS is not"),
        ("import nothing_of_that_name", "cannot be imported .*nothing_of_that_name"),
        ("SUFFIX =", "cannot be imported .*SyntaxError"),
    ],
)
def test_a_faulty_file_is_named(add_format: Callable[[str, str], None], content: str, fault: str) -> None:
    add_format("odd", content)
    with pytest.raises(Stop, match=rf"cryptolake\.research\.exports\.odd: {fault}"):
        format_named("odd")


def test_a_format_whose_extra_is_not_installed_names_it(tmp_path: Path, add_format: Callable[[str, str], None]) -> None:
    code = "SUFFIX = '.x'\nNEEDS = 'research'\ndef render(frame, codebook):\n    import nothing_of_that_name"
    add_format("odd", code)
    with pytest.raises(Stop, match=r"format odd needs nothing_of_that_name; .*'cryptolake\[research\]'"):
        written(tmp_path, "odd", Recipe())


R_CODE = """
suppressPackageStartupMessages({library(haven); library(plm)})
p <- as.data.frame(read_dta(commandArgs(TRUE)[1]))
d <- pdata.frame(p, index = c("unit_id", "time_id"))
stopifnot(is.pbalanced(d), inherits(p$date, "Date"))
f <- plm(total_borrowed_usd_log ~ total_tvl_usd_log, data = d, model = "within")
cat(nrow(p), pdim(d)$nT$n, pdim(d)$nT$T, sprintf("%.8f", coef(f)[1]), sep = "\\n")
cat("\\n", format(min(p$date)), "\\n", attr(p$total_tvl_usd, "label"), sep = "")
"""


@pytest.mark.services
def test_r_reads_the_stata_file_and_plm_takes_its_ids(tmp_path: Path) -> None:
    rscript = shutil.which("Rscript")
    assert rscript is not None, "R is not installed; run: make test-services"
    recipe = Recipe(("total_tvl_usd", "total_borrowed_usd"), balance="longest", log=True)
    path = written(tmp_path, "stata", recipe)
    frame = prepare(panel(), recipe).frame
    run = subprocess.run([rscript, "-e", R_CODE, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows, units, days, slope, first, label = (line for line in run.stdout.splitlines() if line)
    assert (int(rows), int(units), int(days)) == (frame.height, frame["csu"].n_unique(), frame["date"].n_unique())
    assert float(slope) == pytest.approx(1.0, abs=1e-6)
    assert first == str(frame["date"].min())
    assert label.startswith("net TVL")
