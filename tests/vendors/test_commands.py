"""The vendor commands as a user types them, against the simulated universe; and a new source in one file."""

from __future__ import annotations

import csv
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.command import widest
from tests.server_folder import server_folder
from tests.vendors.server import Reply, vendor
from tests.vendors.shell import Shell
from tests.vendors.universe import HOSTS, Universe, answer

import cryptolake.sources
from cryptolake.app import App
from cryptolake.cli.query import search
from cryptolake.contracts.source import Row, SourceTable
from cryptolake.errors import Stop
from cryptolake.settings import load_settings
from cryptolake.sources.found import FoundSources
from cryptolake.work import daily


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
    assert widest(text) <= 100
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


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files that docs/add-a-source.md shows, and nothing else, where sources are found; nothing of them is left."""
    page = (Path(__file__).parents[2] / "docs" / "add-a-source.md").read_text()
    names = []
    for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        names += re.findall(r'VENDOR = Vendor\(\s*name="(\w+)"', code)
        (tmp_path / f"{names[-1]}.py").write_text(code)
    monkeypatch.setattr(cryptolake.sources, "__path__", [*cryptolake.sources.__path__, str(tmp_path)])
    yield
    for name in names:
        sys.modules.pop(f"cryptolake.sources.{name}", None)


@pytest.fixture
def empty(shell: Shell) -> Iterator[Shell]:
    """The same in a folder that nobody has asked anything for."""
    with server_folder("vendor-cli", "data") as folder:
        yield Shell(folder, shell.server)


@pytest.mark.usefixtures("documented")
def test_a_new_source_with_a_key_is_one_file(empty: Shell) -> None:
    """Found, listed, asked for its key, pulled through bronze and queried; its key is never shown."""
    shell, secret = empty, "open/sesame"
    with vendor(lambda path, _query: Reply(200, b"21.5" if path.endswith("/zug") else b"0")) as server:
        host = {"CRYPTOLAKE_URL_WEATHER": server.url}
        listed = {row["dataset"]: row for row in json.loads(shell("sources", "--json", **host).stdout)}
        assert (listed["weather_temperature"]["needs"], listed["weather_temperature"]["granted"]) == (
            "WEATHER_API_KEY",
            False,
        )
        unset = shell("pull", "weather", **host)
        assert unset.returncode == 2
        assert "set WEATHER_API_KEY" in unset.stderr
        assert server.asked == []
        result = shell("pull", "weather", "--json", WEATHER_API_KEY=secret, **host)
        assert f"/{secret}/zug" in server.paths()
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["inserted"] == 2
    (fold,) = (shell.folder / "data/bronze/weather/weather_temperature").glob("*.zip")
    assert zipfile.ZipFile(fold).namelist() == ["london.raw.json.gz", "zug.raw.json.gz"]
    rows = json.loads(shell("query", "--source", "weather", "--latest", "--json").stdout)
    assert {row["asset"]: row["value"] for row in rows} == {"zug": 21.5, "london": 0.0}
    assert not [
        path for path in (shell.folder / "data").rglob("*") if path.is_file() and b"sesame" in path.read_bytes()
    ]


@pytest.mark.parametrize("said", ["yield Miss(one, 'failed', 'refused', {words})", "raise Skip({words})"])
def test_a_key_in_a_sources_own_words_is_never_shown_or_kept(
    shell: Shell, tmp_path: Path, documented: None, said: str
) -> None:
    """The rule is that words hold no key; where a file breaks it, ledger, `pulls`, output and log do not."""
    del documented
    path = tmp_path / "weather.py"
    words = 'f"GET {self.access.base(VENDOR)}/{self.key}/{one.key} failed"'
    code = path.read_text().replace("now = self.access.now()", f"{said.format(words=words)}\n        return")
    path.write_text(code + "\nfrom cryptolake.errors import Skip\n")
    sys.modules.pop("cryptolake.sources.weather", None)
    result = shell("pull", "weather", WEATHER_API_KEY="mellon-42", CRYPTOLAKE_URL_WEATHER="http://127.0.0.1:9")
    sys.modules.pop("cryptolake.sources.weather", None)
    assert result.returncode == 1
    assert "/***/zug failed" in result.stdout.replace("\n", "")
    kept = shell(
        "query", "--sql", "select error from pulls where source_name = 'weather' order by pull_id", "--json"
    ).stdout
    assert re.search(r"/\*\*\*/(london|zug) failed", kept), "the first to fail, whichever thread was faster"
    assert "mellon" not in result.stdout + result.stderr + kept + shell("monitor").stdout
    assert not [one for one in (shell.folder / "data").glob("ledger*") if b"mellon" in one.read_bytes()]


@pytest.mark.usefixtures("documented")
def test_a_source_with_a_table_of_its_own_is_one_file(empty: Shell) -> None:
    """Set up, pulled and backfilled into lake and PostgreSQL, corrected by key, logged; broken rows keep the load out."""
    shell = empty
    minutes = {"london": 480, "zug": 470}

    def reply(path: str, _query: object) -> Reply:
        return Reply(200, json.dumps({"date": "2026-11-29", "minute": minutes[path.strip("/")]}).encode())

    def stored() -> dict[str, int]:
        found = shell("query", "--sql", "select city, minute from sunrises order by city", "--json")
        return {row["city"]: row["minute"] for row in json.loads(found.stdout)}

    with vendor(reply) as server:
        host = {"CRYPTOLAKE_URL_SUN": server.url}
        assert "sunrises" in shell("setup", **host).stdout
        first = json.loads(shell("backfill", "sun", "--json", **host).stdout)
        assert (first["table"], first["status"], first["inserted"]) == ("sunrises", "success", 2)
        minutes["zug"] = 471
        second = json.loads(shell("pull", "sun", "--json", "--key", "zug", **host).stdout)
        assert (second["inserted"], second["updated"]) == (0, 1)
        assert stored() == {"london": 480, "zug": 471}
        minutes["london"] = 1440
        broken = shell("pull", "sun", **host)
        assert broken.returncode == 1
        assert "sunrises.minute.maximum" in broken.stderr
        assert stored() == {"london": 480, "zug": 471}
    lake = pl.read_delta(str(shell.folder / "data/silver/delta/sunrises")).sort("city")
    assert dict(lake.select("city", "minute").rows()) == {"london": 480, "zug": 471}
    told = shell(
        "query", "--sql", "select status from pulls where source_name = 'sun' order by pull_id", "--json"
    ).stdout
    assert [row["status"] for row in json.loads(told)] == ["success", "success", "error"]


@pytest.mark.usefixtures("documented")
def test_the_schedule_and_the_lineage_know_a_table_of_a_sources_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    """What the scheduler and Dagster call loads the same table; a failing `conform` loads nothing and names the file."""
    with vendor(lambda _path, _query: Reply(200, b'{"date": "2026-11-30", "minute": 1}')) as server:
        monkeypatch.chdir(tmp_path)
        app = App(load_settings(data=shell.folder / "data", urls={"sun": server.url}))
        (node,) = (one for one in daily.nodes(app) if one.table.name == "sunrises")
        assert (node.step, node.datasets) == ("vendor", (("sun", "sunrise"),))
        outcome = daily.pull(app, "sun", ["sunrise"], "pull")
        assert (outcome.ok, outcome.records) == (True, 2)
        (own,) = app.found.own_tables("sun").values()

        def conform(rows: Sequence[Row]) -> pl.DataFrame:
            raise KeyError(f"{len(rows)} rows")

        monkeypatch.setattr(
            FoundSources, "own_tables", lambda _found, _source: {"sunrises": SourceTable(own.table, conform)}
        )
        with pytest.raises(Stop, match=r"sun: `conform` of its table sunrises failed \(KeyError: '2 rows'\)"):
            daily.pull(app, "sun", ["sunrise"], "pull")
        with app.warehouse() as warehouse:
            held = warehouse.query("SELECT city FROM sunrises WHERE date = '2026-11-30'")
            assert sorted(held["city"]) == ["london", "zug"]
        app.close()


def test_a_faulty_file_is_named_and_stops_no_other_source(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halved.py").write_text("import nothing_of_that_name\n")
    monkeypatch.setattr(cryptolake.sources, "__path__", [*cryptolake.sources.__path__, str(tmp_path)])
    refused = shell("sources")
    assert refused.returncode == 2
    assert "cryptolake.sources.halved: cannot be imported" in refused.stderr
    assert len([line for line in refused.stderr.splitlines() if line.startswith("cryptolake: ")]) == 1
    assert "cryptolake.sources.halved" in shell("pull", "halved").stderr
    assert shell("query", "--latest").returncode == 0
    assert shell("backfill", "defillama", "--key", "dai").returncode == 0
