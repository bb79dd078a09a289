"""The researcher's commands on the demo's data, as a user runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest
from tests.command import cryptolake, widest

pytestmark = pytest.mark.xdist_group("demo")
Demo = tuple[Path, subprocess.CompletedProcess[str]]
REGISTRY = Path(__file__).resolve().parents[2] / "src/cryptolake/demo/recordings/registry.yaml"


def run(demo: Demo, *arguments: str) -> subprocess.CompletedProcess[str]:
    result = cryptolake(demo[0], "--data", "sandbox", "--registry", str(REGISTRY), *arguments)
    assert "Traceback" not in result.stderr
    assert widest(result.stdout) <= 100 or "--json" in arguments
    return result


def test_rebuilding_from_bronze_gives_the_same_bytes(demo: Demo) -> None:
    data = demo[0] / "sandbox"
    files = [*data.glob("silver/*/*.parquet"), data / "silver/prices.parquet", data / "gold/daily_panel.parquet"]
    before = {path: path.read_bytes() for path in files}
    for arguments in (("rebuild", "--reparse"), ("reprice",)):
        result = run(demo, *arguments)
        assert result.returncode == 0, result.stderr
        assert {path: path.read_bytes() for path in files} == before, arguments


def test_metadata_say_how_it_was_made(demo: Demo) -> None:
    document = json.loads((demo[0] / "sandbox/gold/metadata.json").read_text())
    assert len(document["dataset_version"]) == len(document["registry_version"]) == 64
    assert document["rows_by_status"] == {"missing_price": 1, "ok": 13}
    assert document["price_sources"] == {"none": 1, "protocol_oracle": 52}
    assert {"day", "net_tvl", "gross_tvl"} <= set(document["conventions"])
    assert document["csus"]["aave_v3_sandbox"]["first_day"] == "2024-12-01"


def test_a_users_price_fills_the_hole_and_only_there(demo: Demo, tmp_path: Path) -> None:
    hole = json.loads(run(demo, "prices", "list", "--missing", "--json").stdout)
    assert [(row["flag"], row["days"]) for row in hole] == [("no_source", 1)]
    file = tmp_path / "mine.csv"
    file.write_text(f"date,chain,asset,price\n2024-12-10,sandbox,{hole[0]['asset']},2000\n")
    before = pl.read_parquet(demo[0] / "sandbox/silver/tvl/aave_v3_sandbox.parquet")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(demo[0] / "sandbox"), str(copy)], check=True)
    options = ["--data", str(copy), "--registry", str(REGISTRY)]
    versions = json.loads(cryptolake(demo[0], *options, "prices", "versions", "--json").stdout)
    assert cryptolake(demo[0], *options, "prices", "import", str(file)).returncode == 0
    assert cryptolake(demo[0], *options, "build").returncode == 0
    listed = json.loads(cryptolake(demo[0], *options, "prices", "list", "--missing", "--json").stdout)
    assert listed == []
    after = pl.read_delta(str(copy / "silver/delta/tvl")).select(before.columns).sort("csu", "date", "asset")
    changed = after.filter(pl.col("price_source") == "file")
    assert changed.height == 1
    assert changed["supplied_usd"].to_list() == [changed["supplied"][0] * 2000]
    assert after.filter(pl.col("price_source") != "file").equals(before.filter(pl.col("price").is_not_null()))
    older = pl.read_delta(str(copy / "silver/delta/tvl"), version=versions["tvl"])
    assert older["price"].null_count() == 1, "the version before stays readable"
    bad = tmp_path / "bad.csv"
    bad.write_text("date,chain,asset,price\n2024-12-10,sandbox,0x12,1\n")
    refused = cryptolake(demo[0], *options, "prices", "import", str(bad))
    assert refused.returncode == 2
    assert "bad.csv, line 2" in refused.stderr


def test_describe_and_export(demo: Demo) -> None:
    described = run(demo, "panel", "describe", "--html", "panel.html")
    assert described.returncode == 0, described.stderr
    assert "too short" in described.stdout
    assert "1 market x 9 days (2024-12-01" in " ".join(described.stdout.split()), "what --balance longest exports"
    assert "<svg" in (demo[0] / "panel.html").read_text()
    for kind, suffix in (("parquet", "parquet"), ("stata", "dta")):
        options = ["--balance", "longest", "--winsorize", "0.05", "--log", "--diff"]
        result = run(demo, "panel", "export", "--format", kind, "--out", f"out.{suffix}", *options)
        assert result.returncode == 0, result.stderr
        assert (demo[0] / f"out.{suffix}.codebook.json").exists()
    assert pl.read_parquet(demo[0] / "out.parquet")["time_id"].to_list() == list(range(1, 10)), (
        "liquidations lack one day"
    )
    refused = run(demo, "panel", "export", "--balance", "strict")
    assert refused.returncode == 2
    assert "--balance longest" in refused.stderr


def test_quality_prints_stores_and_decides(demo: Demo) -> None:
    result = run(demo, "quality", "--html", "quality.html", "--fail-on", "warning")
    assert result.returncode == 1, result.stderr
    assert "unpriced_share" in result.stdout
    assert "aave_v3_sandbox" in (demo[0] / "quality.html").read_text()
    sql = "select check_name, passed, broken_rows from quality_results "
    sql += "where check_name = 'unpriced_share' order by result_id desc limit 1"
    (row,) = json.loads(run(demo, "query", "--json", "--sql", sql).stdout)
    assert (row["passed"], row["broken_rows"]) == (False, 1)


def test_release_is_stable_and_checkable(demo: Demo) -> None:
    first = json.loads(run(demo, "release", "2024.12", "--json").stdout)
    again = json.loads(run(demo, "release", "2024.12", "--json").stdout)
    assert first == again
    assert run(demo, "release", "2024.12", "--check").returncode == 0


def test_explain_adds_up(demo: Demo, tmp_path: Path) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text("date,usd\n2024-12-05,4000000\n2024-12-06,1\n")
    arguments = ["explain", "aave_v3_sandbox", "2024-12-05", "--against", str(file)]
    document = json.loads(run(demo, *arguments, "--json").stdout)
    assert sum(document["by_cause"].values()) == pytest.approx(document["ours"] - 4_000_000)
    assert "definition" in document["by_cause"]
    events = tmp_path / "events.csv"
    events.write_text("usd\n60000\n")
    found = json.loads(run(demo, *arguments[:3], "--against", str(events), "--what", "liquidations", "--json").stdout)
    assert found["by_cause"] == {}
    assert run(demo, *arguments[:3], "--against", "missing.csv").returncode == 2
