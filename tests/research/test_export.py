"""Exports are opened by the programs they are for: polars, pandas, R with haven and plm, linearmodels."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from linearmodels.panel import PanelOLS

from cryptolake.errors import BadInput
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.research.export import SUFFIX, Format, export
from cryptolake.research.frames import panel_index, read_panel
from cryptolake.research.transforms import VALUES, Recipe, prepare

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


def written(folder: Path, to: Format, recipe: Recipe, **more: object) -> Path:
    path = folder / f"panel{SUFFIX[to]}"
    export(DAILY_PANEL, prepare(panel(), recipe), recipe, path=path, to=to, facts=FACTS, **more)  # type: ignore[arg-type]
    return path


FULL = Recipe(balance="longest", winsorize=0.01, log=True, diff=True)


@pytest.mark.parametrize("to", ["parquet", "csv", "stata", "feather"])
def test_every_format_is_the_same_table_and_the_same_bytes_again(tmp_path: Path, to: Format) -> None:
    path = written(tmp_path, to, FULL)
    wanted = prepare(panel(), FULL).frame
    read = {
        "parquet": lambda: pd.read_parquet(path),
        "csv": lambda: pd.read_csv(path, parse_dates=["date"]),
        "stata": lambda: pd.read_stata(path),
        "feather": lambda: pd.read_feather(path),
    }[to]()
    assert len(read) == wanted.height
    assert list(read.columns[:4]) == ["csu", "date", "unit_id", "time_id"]
    for name in ("total_tvl_usd", "total_tvl_usd_w_log_d", "liquidations_usd"):
        found, meant = read[name].to_numpy(dtype=float), wanted[name].cast(pl.Float64).to_numpy()
        np.testing.assert_array_equal(found, meant)
    assert list(pd.to_datetime(read["date"]).dt.date) == wanted["date"].to_list()
    first = path.read_bytes()
    assert written(tmp_path, to, FULL).read_bytes() == first


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
    assert any(step.startswith("winsorise: total_tvl_usd winsorised at 0.01") for step in beside["transformations"])
    page = path.with_name("panel.parquet.codebook.md").read_text()
    assert "| `total_tvl_usd_w_log_d` |" in page
    import pyarrow.feather

    arrow = pyarrow.feather.read_table(written(tmp_path, "feather", FULL))
    assert b"cryptolake.codebook" in arrow.schema.metadata


def test_stata_has_labels_and_refuses_names_it_cannot_hold(tmp_path: Path) -> None:
    with pd.io.stata.StataReader(written(tmp_path, "stata", Recipe())) as reader:
        labels = reader.variable_labels()
        assert reader.data_label.startswith("cryptolake daily_panel 0000")
    assert labels["total_borrowed_usd"] == "all debt"
    with pytest.raises(BadInput, match="32 characters"):
        written(tmp_path, "stata", FULL, shape="wide")


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
