"""The vendor commands as a user types them, against the simulated universe; and a new source in one file."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.server_folder import server_folder
from tests.vendors.server import Reply, vendor
from tests.vendors.shell import Shell
from tests.vendors.universe import HOSTS, Universe, answer

import cryptolake.sources
from cryptolake.cli.query import search


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    universe = Universe(datetime.now(UTC).date(), size=0.01, padding=10)
    with (
        server_folder("vendor-cli", "data") as folder,
        vendor(lambda path, query: Reply(*answer(universe, path, query))) as server,
    ):
        found = Shell(folder, server)
        keys = ["--key", "solana", "--key", "lido-dao", "--key", "dai"]
        assert found("backfill", "defillama", *keys).returncode == 0
        assert found("pull", "defillama", *keys).returncode == 0
        artemis = ("backfill", "artemis", "--key", "sol", "--key", "aave", "--dataset", "artemis_fees")
        assert found(*artemis, ARTEMIS_API_KEY="open-sesame").returncode == 0
        yield found


def test_cross_source_query_by_entity(shell: Shell) -> None:
    for name in ("solana", "sol", "Solana"):
        result = shell("query", "--entity", name, "--metric", "FEES", "--json")
        rows = json.loads(result.stdout)
        assert {(row["source"], row["asset"], row["metric_name"]) for row in rows} == {
            ("artemis", "sol", "FEES"),
            ("defillama", "solana", "CHAIN_FEES"),
        }
    until = rows[0]["pulled_at"][:10]
    result = shell("query", "--entity", "sol", "--metric", "fees", "--source", "artemis", "--until", until, "--json")
    assert len(json.loads(result.stdout)) == 1
    latest = json.loads(shell("query", "--latest", "--asset", "solana", "--json").stdout)
    assert len({row["metric_name"] for row in latest}) == len(latest) > 3


def test_coverage_and_files(shell: Shell) -> None:
    rows = {row["metric_name"]: row for row in json.loads(shell("query", "--coverage", "--json").stdout)}
    assert {"TVL", "CHAIN_TVL", "FEES", "FEES_24H", "STABLECOIN_SUPPLY"} <= set(rows)
    assert set(rows["TVL"]) == {"source", "metric_name", "records", "assets", "since", "until"}
    assert shell("query", "--asset", "dai", "--csv", "out.csv").returncode == 0
    assert shell("query", "--asset", "dai", "--parquet", "out.parquet").returncode == 0
    with (shell.folder / "out.csv").open() as file:
        written = list(csv.DictReader(file))
    assert len(written) == pl.read_parquet(shell.folder / "out.parquet").height > 3
    assert "earlier" in shell("query", "--asset", "dai", "--limit", "2").stdout
    assert "count_2" in shell("query", "--sql", "select 1 as count, 2 as count").stdout
    assert "%" in shell("query", "--sql", "select '100%' as share").stdout


def test_step_by_step(shell: Shell) -> None:
    typed = "defillama\nlido\nlido-dao\nTVL\n\n\n"
    result = shell("query", "--interactive", typed=typed)
    assert result.returncode == 0, result.stderr
    assert "lido-dao" in result.stdout
    assert "rows" in result.stdout
    typed = "1\naave\n2020-01-01\nlately\n"
    result = shell("query", "--interactive", typed=typed)
    assert result.returncode == 2
    assert "'lately' is no day" in result.stderr


def test_search_is_fuzzy() -> None:
    names = ["solana", "lido-dao", "ethereum", "ethena-usde"]
    assert search("ether", names)[0] == "ethereum"
    assert search("solona", names) == ["solana"]
    assert search("zzz", names) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("query", "--metric", "FEEZ"), "FEES"),
        (("query", "--entity", "solanna"), "solana"),
        (("query", "--latest", "--coverage"), "exclude"),
        (("query", "--sql", "select 1", "--metric", "FEES"), "exclude"),
        (("query", "--since", "2024-02-01", "--until", "2024-01-01"), "swap"),
        (("query", "--sql", "delete from metrics"), "only read"),
        (("pull", "artemis"), "ARTEMIS_API_KEY"),
        (("backfill", "defillama", "--drop", "INFLOW"), "--fresh"),
        (("backfill", "defillama", "--fresh", "--drop", "TVL"), "TVL"),
        (("backfill", "defillama", "--dataset", "tvl"), "protocol_tvl"),
        (("pull", "defillama", "--dataset", "bridge_volume"), "DEFILLAMA_API_KEY"),
    ],
)
def test_mistakes_end_in_one_clear_line(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    moved = {f"CRYPTOLAKE_URL_{host.upper()}": "" for host in HOSTS}
    result = shell(*arguments, **moved)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_sources_entities_and_metrics(shell: Shell) -> None:
    listed = {row["dataset"]: row for row in json.loads(shell("sources", "--json").stdout)}
    assert (listed["chain_tvl"]["keys"], listed["protocol_tvl"]["keys"]) == (97, 226)
    assert listed["bridge_volume"]["granted"] is False
    assert listed["artemis_price"]["needs"] == "ARTEMIS_API_KEY"
    keyed = json.loads(shell("sources", "--json", DEFILLAMA_API_KEY="abcd", ARTEMIS_API_KEY="efgh").stdout)
    assert all(row["granted"] for row in keyed)
    names = [row["dataset"] for row in keyed]
    assert len(names) == len(set(names)), "the ledger tells datasets apart by name"
    text = shell("sources", DEFILLAMA_API_KEY="abcd-secret").stdout
    assert "DEFILLAMA_API_KEY (set)" in " ".join(text.split()) or "(set)" in text
    assert "abcd" not in text
    assert max(len(line) for line in text.splitlines()) <= 100
    meanings = {row["name"]: row for row in json.loads(shell("sources", "--metrics", "--json").stdout)}
    assert meanings["INFLOW"]["derived"] is True
    assert meanings["FEES_24H"]["kind"] == "rolling_24h"
    (solana,) = [row for row in json.loads(shell("entities", "solana", "--json").stdout) if row["entity"] == "solana"]
    assert (solana["defillama"], solana["artemis"]) == ("solana", "sol")
    assert "solana" in shell("entities", "sol").stdout


def test_monitor_tells_vendors_in_few_lines(shell: Shell) -> None:
    text = shell("monitor").stdout
    assert "vendors" in text
    assert len(text.splitlines()) < 60
    document = json.loads(shell("monitor", "--json").stdout)
    assert {row["dataset"] for row in document["vendors"]} >= {"chain_tvl", "protocol_tvl", "artemis_fees"}


def test_fresh_and_restate(shell: Shell) -> None:
    before = json.loads(shell("query", "--coverage", "--json").stdout)
    rolling = {row["metric_name"]: row["records"] for row in before if row["metric_name"].endswith("_24H")}
    assert rolling
    result = shell("backfill", "defillama", "--fresh", "--yes", "--key", "lido-dao", "--restate", "--json")
    assert result.returncode == 0, result.stderr
    after = json.loads(shell("query", "--coverage", "--source", "defillama", "--json").stdout)
    assert {row["metric_name"]: row["records"] for row in after if row["metric_name"].endswith("_24H")} == rolling
    kept = {row["metric_name"]: row["assets"] for row in before if row["source"] == "defillama"}
    assert {row["metric_name"]: row["assets"] for row in after} == kept, "the other entities' rows stay"


def test_a_new_source_is_one_file(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that docs/add-a-source.md shows, and nothing else: found, listed, pulled through bronze and queried."""
    page = (Path(__file__).parents[2] / "docs" / "add-a-source.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "weather.py").write_text(code)
    monkeypatch.setattr(cryptolake.sources, "__path__", [*cryptolake.sources.__path__, str(tmp_path)])
    with vendor(lambda path, _query: Reply(200, b"21.5" if path == "/zug" else b"0")) as server:
        host = {"CRYPTOLAKE_URL_WEATHER": server.url}
        assert "weather" in shell("sources", **host).stdout
        result = shell("pull", "weather", "--json", **host)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["inserted"] == 2
    (fold,) = (shell.folder / "data/bronze/weather/temperature").glob("*.zip")
    assert zipfile.ZipFile(fold).namelist() == ["london.raw.json.gz", "zug.raw.json.gz"]
    rows = json.loads(shell("query", "--source", "weather", "--latest", "--json").stdout)
    assert {row["asset"]: row["value"] for row in rows} == {"zug": 21.5, "london": 0.0}
