"""A vendor with a key, one with a table of its own, tables, a family, a market and a command: each is one file or one row.

All are added to a package in a folder of their own, travel once through real processes, a real node and a real server, and
are then looked for wherever users and operators look.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import polars as pl
import pytest
from tests.architecture.house import ADDED, KEY, House
from tests.chain.anvil import MULTICALL3, Anvil, Tx
from tests.chain.fixtures import require_chain
from tests.chain.scenario import at
from tests.command import cryptolake
from tests.docs.examples import DOCS
from tests.registry.test_one_file import PAY
from tests.server_folder import server_folder
from tests.vendors.server import Reply, vendor

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("architecture")]
DAYS = ("--start-date", "2024-12-01", "--end-date", "2024-12-02")
BUILT_BY_PULL = {"series_rows", "sun_rows", "all_rows"}
OUTLINE = """
import json
from cryptolake.definitions import definitions

def name(key): return "/".join(key.path)

found = definitions()
defined = found() if callable(found) else found
graph = defined.resolve_asset_graph()
repository = defined.get_repository_def()
jobs = {one.job_name: one.cron_schedule for one in repository.schedule_defs}
print(json.dumps({
    "parents": {name(key): sorted(map(name, graph.get(key).parent_keys)) for key in graph.get_all_asset_keys()},
    "checks": sorted({name(one.asset_key) for one in graph.asset_check_keys}),
    "schedules": jobs,
    "made": {job: sorted(map(name, repository.get_job(job).asset_layer.executable_asset_keys)) for job in jobs},
}))
"""


def reply(path: str, _query: object) -> Reply:
    """The sun rises at 08:00 in London and at 07:50 in Zug; a city's temperature wants the key."""
    if path.startswith("/sun/"):
        minute = {"london": 480, "zug": 470}[path.removeprefix("/sun/")]
        return Reply(200, json.dumps({"date": "2026-11-29", "minute": minute}).encode())
    return Reply(200, b"21.5") if path.startswith(f"/weather/{KEY}/") else Reply(401, f"no key in {path}".encode())


@pytest.fixture(scope="module")
def empty() -> Iterator[House]:
    """The files, a node whose Multicall3 holds 5 coins and then 7, and a server; nothing was asked yet."""
    require_chain()
    with server_folder("architecture", "data") as folder, Anvil() as node, vendor(reply) as server:
        for day, value in ((1, 5), (2, 2)):
            node.block(at(day, "10:00:00"), [Tx(node.accounts[0], MULTICALL3, PAY, value * 10**18)])
        node.block(at(3, "10:00:00"))
        node.empty_blocks(80, 12)
        found = House(
            folder,
            {
                "CRYPTOLAKE_RPC_LOCAL": node.url,
                "CRYPTOLAKE_PUBLIC_RPC": "false",
                "CRYPTOLAKE_URL_SUN": f"{server.url}/sun",
                "CRYPTOLAKE_URL_WEATHER": f"{server.url}/weather",
                "CRYPTOLAKE_SOURCES": "onchain,sun,weather",
                "CRYPTOLAKE_MARKETS": "my_till",
                "CRYPTOLAKE_START_DATE": "2024-12-01",
                "CRYPTOLAKE_END_DATE": "2024-12-02",
                "WEATHER_API_KEY": KEY,
            },
        )
        found.fill()
        yield found


@pytest.fixture(scope="module")
def house(empty: House) -> House:
    """The same after one trip of everything: asked, refined, built, published."""
    empty("setup")
    empty("pull", "weather")
    empty("backfill", "sun")
    market = ("--csu", "my_till", *DAYS)
    assert "1 market, 4 of 4 answers missing" in empty("plan", *market)
    empty("collect", *market)
    empty("refine", *market)
    empty("build")
    empty("publish")
    return empty


def counts(house: House) -> dict[str, dict[str, int]]:
    """What the added tables hold in PostgreSQL: rows by input, by table; a table without rows is left out."""
    found: dict[str, dict[str, int]] = {}
    for row in house.rows(" union all ".join(f"select '{one}' as made, input, rows from {one}" for one in ADDED)):
        found.setdefault(row["made"], {})[row["input"]] = row["rows"]
    return found


def test_the_command_line_lists_them(house: House) -> None:
    listed = {row["dataset"]: row for row in house.document("sources")}
    assert (listed["weather_temperature"]["needs"], listed["weather_temperature"]["granted"]) == (
        "WEATHER_API_KEY",
        True,
    )
    assert listed["sunrise"]["feeds"] == "sunrises"
    (market,) = house.document("markets", "--family", "till")
    assert (market["name"], market["built"]) == ("my_till", True)
    text = house("setup")
    assert all(name in text for name in [*ADDED, "sunrises"])


def test_a_command_is_there_with_its_help(house: House) -> None:
    assert house("greet").strip() == "good day"
    assert "cryptolake greet" in house("greet", "--help")
    page = house.python(
        f"import runpy; print(runpy.run_path({str(DOCS.parent / 'scripts/render_docs.py')!r})['commands_page']())"
    )
    assert "## greet" in page.stdout


def test_postgresql_the_lake_and_the_files_hold_what_was_made(house: House) -> None:
    expected = {
        "till_rows": {"tvl": 2},
        "panel_rows": {"daily_panel": 2, "till_rows": 1},
        "series_rows": {"metrics": 2},
        "sun_rows": {"sunrises": 2},
        "all_rows": {"daily_panel": 2, "metrics": 2, "sunrises": 2, "sun_rows": 1},
    }
    stored = counts(house)
    assert stored == expected
    for name, (layer, _) in ADDED.items():
        lake = pl.read_delta(str(house.data / layer / "delta" / name))
        file = pl.read_parquet(house.data / layer / f"{name}.parquet")
        assert dict(lake.select("input", "rows").rows()) == dict(file.select("input", "rows").rows()) == stored[name]
    assert pl.read_delta(str(house.data / "silver/delta/sunrises")).height == 2
    said = " union all ".join(
        f"select '{one}' as name, obj_description('{one}'::regclass) as doc, col_description('{one}'::regclass, 1) as first"
        for one in [*ADDED, "sunrises"]
    )
    comments = {row["name"]: (row["doc"], row["first"]) for row in house.rows(said)}
    assert comments.pop("sunrises") == ("When the sun rises.", "the vendor's name of the city")
    assert comments == {name: (f"Rows of what {name} is made of.", "table") for name in ADDED}


def test_a_later_pull_makes_again_what_is_made_of_it(house: House) -> None:
    """Not only `build`: a table of a vendor's rows is as new as they are."""
    code = (
        "from cryptolake.app import App\nfrom cryptolake.catalogue import found_tables\n"
        "from cryptolake.settings import load_settings\n"
        "app = App(load_settings())\n"
        "with app.warehouse() as warehouse:\n"
        "    for name in ('series_rows', 'sun_rows', 'all_rows'):\n"
        "        table = found_tables()[name].table\n"
        "        warehouse.load(table, table.empty(), 'replace')\n"
        "app.close()\n"
    )
    assert house.python(code).returncode == 0
    assert not BUILT_BY_PULL & set(counts(house))
    house("pull", "sun")
    assert BUILT_BY_PULL & set(counts(house)) == {"sun_rows", "all_rows"}
    house("pull", "weather")
    assert counts(house)["series_rows"]["metrics"] == counts(house)["all_rows"]["metrics"] >= 2


def test_query_finds_the_series_and_counts_the_own_table(house: House) -> None:
    latest = {row["asset"]: row["value"] for row in house.document("query", "--source", "weather", "--latest")}
    assert latest == {"london": 21.5, "zug": 21.5}
    covered = {row["metric_name"]: row for row in house.document("query", "--coverage")}
    assert covered["TEMPERATURE"]["assets"] == 2
    assert (covered["sunrises"]["source"], covered["sunrises"]["assets"]) == ("sun", 2)
    assert covered["sunrises"]["until"] == "2026-11-29"


def test_contracts_and_the_data_dictionary_show_them(house: House) -> None:
    kept = json.loads((house.data / "gold/contracts.json").read_text())["tables"]
    assert {*ADDED, "sunrises"} <= set(kept)
    for name in ("all_rows", "sunrises"):
        assert house.document("contracts", "show", name)["name"] == name
    assert "Nothing changed" in house("contracts", "diff", "data")
    code = f"import runpy; print(runpy.run_path({str(DOCS.parent / 'scripts/render_docs.py')!r})['{{0}}']())"
    page = house.python(code.format("tables_page")).stdout
    assert all(f"## {name}\n" in page for name in [*ADDED, "sunrises"])
    assert "`WEATHER_API_KEY`" in house.python(code.format("settings_page")).stdout


def test_dagster_has_assets_with_lineage_checks_and_schedules(house: House) -> None:
    done = house.python(OUTLINE)
    assert done.returncode == 0, done.stderr
    outline = json.loads(done.stdout.splitlines()[-1])
    layers = {name: layer for name, (layer, _) in ADDED.items()} | {
        "tvl": "silver",
        "daily_panel": "gold",
        "metrics": "silver",
        "sunrises": "silver",
    }
    for name, (layer, inputs) in ADDED.items():
        assert outline["parents"][f"{layer}/{name}"] == sorted(f"{layers[one]}/{one}" for one in inputs)
        assert f"{layer}/{name}" in outline["checks"]
    assert outline["parents"]["silver/sunrises"] == ["bronze/sun/sunrise"]
    assert "bronze/weather/weather_temperature" in outline["parents"]["silver/metrics"]
    assert "silver/sunrises" in outline["checks"]
    (sun,) = [one for one in outline["schedules"] if one.startswith("sun")]
    assert {"bronze/sun/sunrise", "silver/sunrises", "gold/sun_rows"} <= set(outline["made"][sun])
    assert {"gold/all_rows", "gold/panel_rows", "silver/till_rows"} <= set(outline["made"]["onchain_daily"])
    assert {outline["schedules"][one] for one in outline["schedules"] if one.startswith("weather")} == {"5 * * * *"}


def test_the_scheduler_has_their_jobs(house: House) -> None:
    jobs = {row["job"]: row["cron"] for row in house.document("scheduler", "status")["jobs"]}
    assert {job.partition("_")[0] for job in jobs} == {"onchain", "sun", "weather"}
    waiting = house.document("scheduler", "status", WEATHER_API_KEY="")["waiting"]
    assert waiting == ["weather weather_temperature waits for WEATHER_API_KEY"]


def test_the_key_is_asked_for_and_never_shown(house: House) -> None:
    refused = house("pull", "weather", code=2, WEATHER_API_KEY="")
    assert "set WEATHER_API_KEY" in refused
    wrong = "open/says-me-43"
    failed = house("--log-level", "debug", "pull", "weather", code=1, WEATHER_API_KEY=wrong)
    assert "says-me" not in failed
    logged = house.python(
        "import structlog\nfrom cryptolake.logs import configure_logging\nfrom cryptolake.settings import load_settings\n"
        f"configure_logging(load_settings())\nstructlog.get_logger().error('asked', url='http://x/{KEY}/zug')"
    )
    assert "http://x/***/zug" in logged.stderr + logged.stdout
    assert "sesame" not in json.dumps(house.document("query", "--sql", "select * from pulls")) + house("sources")
    held = [path for path in house.data.rglob("*") if path.is_file() and "postgres" not in path.parts]
    assert not [path for path in held if b"sesame" in path.read_bytes() or b"says-me" in path.read_bytes()]


def test_a_fresh_start_clears_and_keeps_them(house: House) -> None:
    """Tables are set aside and filled again, answers that nobody gives again stay; the tables made of them follow."""
    said = " ".join(house("scheduler", "--fresh", code=None, typed="n\n").split())
    moved, kept = said.split("It keeps:")
    assert all(re.search(rf"\brows? of {name}\b", moved) for name in [*ADDED, "sunrises"]), moved
    assert "answers of sun sunrise" in kept
    assert "answers of weather weather_temperature" in kept
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()", "scheduler", "--fresh", "--yes"]
    with subprocess.Popen(
        command, cwd=house.folder, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "were put back" in line:
                process.send_signal(signal.SIGTERM)
                break
        lines += process.stdout.readlines()
    assert "were put back" in "".join(lines), "".join(lines)
    (aside,) = [path.name for path in (house.data / "aside").iterdir()]
    assert house.rows(
        f"select count(*) as n from pg_catalog.pg_tables where schemaname = '{aside}' "
        "and tablename in ('sunrises', 'sun_rows', 'till_rows')"
    ) == [{"n": 3}]
    stored = counts(house)
    assert stored["all_rows"] == {
        "daily_panel": 2,
        "metrics": stored["series_rows"]["metrics"],
        "sunrises": stored["sun_rows"]["sunrises"],
        "sun_rows": 1,
    }
    assert stored["sun_rows"]["sunrises"] == 2
    assert pl.read_delta(str(house.data / "silver/delta/sunrises")).height == 2


def test_the_package_itself_knows_nothing_of_them(house: House) -> None:
    assert cryptolake(house.folder, "contracts", "show", "sun_rows").returncode == 2
