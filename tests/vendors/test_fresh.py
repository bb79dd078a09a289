"""`backfill VENDOR --fresh`: whatever the vendor or the user does wrong, no row is lost that was not given again.

The vendor is a real HTTP server that misbehaves as told, the database the real embedded one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.server_folder import server_folder
from tests.vendors.conftest import Lake
from tests.vendors.server import Query, Reply, vendor
from tests.vendors.shell import Said, Shell
from tests.vendors.test_flow import NOW, TODAY, Told, days
from tests.vendors.universe import Universe, answer
from tests.waiting import PATIENCE_S

from cryptolake.errors import BadInput, Stop
from cryptolake.publish.warehouse import Warehouse
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.work.refill import Fresh, check_drop

KEYS = ["--key", "usd-coin", "--key", "tether"]
CHARTS = "/defillama_stablecoins/stablecoincharts/all"
IN_ORDER = ["source", "asset", "metric_name", "pulled_at"]
SERIES = ["source", "asset", "metric_name", "day"]
ALL = "SELECT source, asset, metric_name, pulled_at::date AS day, pulled_at, value FROM metrics"
# Rows no fresh start of a stablecoin can get back: an unregistered metric, another vendor's, another entity's, one without
# history, and a day the vendor does not know.
OTHERS = [
    ("defillama", "usd-coin", "OF_A_NEWER_VERSION", datetime(2020, 1, 1), 1.0),
    ("artemis", "usd-coin", "PRICE", datetime(2020, 1, 1), 2.0),
    ("defillama", "solana", "CHAIN_TVL", datetime(2020, 1, 1), 3.0),
    ("defillama", "usd-coin", "FEES_24H", datetime(2020, 1, 1), 4.0),
]


@dataclass
class Town:
    """The universe's vendors behind one server; `mood` is how the stablecoins' history is answered."""

    universe: Universe
    mood: str = "good"
    waiting: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, path: str, query: Query) -> Reply:
        status, body = answer(self.universe, path, query)
        if path != CHARTS or self.mood == "good":
            return Reply(status, body)
        match self.mood:
            case "empty":
                return Reply(200, b"[]")
            case "402":
                return Reply(402, b"{}")
            case "no JSON":
                return Reply(200, b"<html>")
            case "hangs":
                self.waiting.set()
                self.ended.wait(PATIENCE_S)
                return Reply(500, b"{}")
            case "half" | "doubled":
                points = json.loads(body)
                if self.mood == "half":
                    return Reply(200, json.dumps(points[len(points) // 2 :]).encode())
                for point in points:
                    for peg in point["totalCirculating"]:
                        point["totalCirculating"][peg] *= 2
                return Reply(200, json.dumps(points).encode())
            case "one of two fails" if query["stablecoin"] == "1":
                return Reply(404, b"<html>page not found</html>")
        return Reply(status, body) if self.mood == "one of two fails" else Reply(500, b"{}")


@dataclass
class Place:
    """A data folder with a filled table, the vendors it asks, and how they answer."""

    shell: Shell
    town: Town

    def ask(self, *arguments: str, **variables: str) -> Said:
        return self.shell(*arguments, **variables)

    def rows(self, sql: str = ALL) -> pl.DataFrame:
        with Warehouse.open(self.shell.folder / "data", None) as warehouse:
            return warehouse.query(sql)


@pytest.fixture(scope="module")
def filled() -> Iterator[Place]:
    town = Town(Universe(datetime.now(UTC).date(), size=0.02, padding=10))
    with server_folder("fresh", "data") as folder, vendor(town) as server:
        place = Place(Shell(folder, server), town)
        assert place.ask("backfill", "defillama", *KEYS).returncode == 0
        yield place
        town.ended.set()


@pytest.fixture
def place(filled: Place) -> Iterator[Place]:
    """The filled folder with the rows of `OTHERS`, as every test finds it."""
    filled.town.mood = "good"
    with Warehouse.open(filled.shell.folder / "data", None) as warehouse, warehouse._work("emptying") as cursor:
        cursor.execute("TRUNCATE metrics")
    assert filled.ask("backfill", "defillama", "--no-resume", *KEYS).returncode == 0
    others = pl.DataFrame(OTHERS, schema=["source", "asset", "metric_name", "pulled_at", "value"], orient="row")
    with Warehouse.open(filled.shell.folder / "data", None) as warehouse:
        warehouse.load(METRICS, others.select(METRICS.columns).cast(METRICS.polars_schema()), "nothing")
    yield filled
    filled.town.mood = "good"


def fresh(place: Place, *arguments: str, **variables: str) -> Said:
    return place.ask("backfill", "defillama", "--fresh", "--yes", *(arguments or KEYS), **variables)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backfill", "artemis", "--fresh", "--yes"), "ARTEMIS_API_KEY"),
        (("backfill", "typo", "--fresh", "--yes"), "unknown source 'typo'"),
        (("backfill", "defillama", "--fresh", "--yes", "--dataset", "typo"), "no dataset 'typo'"),
        (("backfill", "defillama", "--fresh", "--yes", "--key", "typo"), "no entity 'typo'"),
        (("backfill", "defillama", "--fresh", "--yes", "--dataset", "bridge_volume"), "DEFILLAMA_API_KEY"),
        (("backfill", "defillama", "--fresh", "--yes", "--dataset", "protocol_flows"), "cannot be asked by backfill"),
        (("backfill", "coingecko", "--fresh", "--yes", "--dataset", "coins_markets"), "cannot be asked by backfill"),
        (
            ("backfill", "defillama", "--fresh", "--yes", "--dataset", "chain_tvl", "--dataset", "bridge_volume"),
            "bridge_volume cannot be asked without its key",
        ),
        (("backfill", "defillama", "--fresh", "--yes", "--drop", "TVL"), "no metric without history"),
        (("backfill", "defillama", "--fresh"), "--yes"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_touched(
    place: Place, arguments: tuple[str, ...], words: str
) -> None:
    before, asked = place.rows(), len(place.shell.server.asked)
    result = place.ask(*arguments)
    assert result.returncode != 0
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert place.rows().equals(before)
    assert len(place.shell.server.asked) == asked


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("chosen", [KEYS, ["--dataset", "stablecoin_supply", *KEYS]])
@pytest.mark.parametrize("mood", ["empty", "402", "no JSON", "half", "one of two fails", "500"])
def test_a_misbehaving_vendor_costs_no_row_and_the_exit_code_says_so(
    place: Place, mood: str, chosen: list[str]
) -> None:
    before = place.rows()
    place.town.mood = mood
    result = fresh(place, *chosen, "--json")
    assert result.returncode == 1, result.stdout
    document = json.loads(result.stdout)
    assert document["failures"] or document["not_done"]
    assert place.rows().sort(IN_ORDER).equals(before.sort(IN_ORDER)), "the vendor said the same or nothing"
    status = place.rows("SELECT status FROM pulls ORDER BY pull_id DESC LIMIT 1").item()
    assert status == "error"


def test_only_what_was_chosen_and_given_again_is_replaced_and_lies_aside(place: Place) -> None:
    before = place.rows()
    place.town.mood = "doubled"
    result = fresh(place, "--key", "usd-coin", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    after = place.rows()
    changed = before.join(after, on=[*SERIES, "value"], how="anti")
    assert set(changed["asset"]) == {"usd-coin"}
    assert set(changed["metric_name"]) == {"STABLECOIN_SUPPLY"}
    both = changed.join(after, on=SERIES, suffix="_now")
    assert both.height == changed.height == json.loads(result.stdout)["set_aside"] > 10
    assert both.filter(pl.col("value_now") != pl.col("value") * 2).is_empty()
    assert before.join(after, on=SERIES, how="anti").is_empty()
    (schema,) = [word.strip(",.;") for word in result.stderr.split() if word.startswith("aside_defillama_")]
    aside = place.rows(f"{ALL.replace('FROM metrics', 'FROM ' + schema + '.metrics')}")
    assert aside.sort(IN_ORDER).equals(changed.sort(IN_ORDER))


def test_a_fresh_start_asks_the_vendor_even_where_today_was_answered(place: Place) -> None:
    asked = place.shell.server.paths().count(CHARTS)
    assert fresh(place).returncode == 0
    assert place.shell.server.paths().count(CHARTS) == asked + 2


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_while_it_asks_nothing_is_lost(place: Place) -> None:
    before = place.rows()
    place.town.mood = "hangs"
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "backfill", "defillama", "--fresh", "--yes", *KEYS],
        cwd=place.shell.folder,
        env={**place.shell.variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert place.town.waiting.wait(PATIENCE_S)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert place.rows().equals(before)
    place.town.mood = "good"
    place.town.ended.set()
    assert fresh(place).returncode == 0
    assert before.join(place.rows(), on=[*SERIES, "value"], how="anti").is_empty()


def test_a_swap_that_fails_in_the_middle_changes_nothing(lake: Lake) -> None:
    """The third of three new values breaks a rule of the table, after the old rows were moved away."""
    lake.run("backfill", Told({"x": dict(zip(days(3, 2, 1), (1.0, 2.0, 3.0), strict=True))}), NOW)
    before = lake.rows()
    with lake.warehouse._work("rule") as cursor:
        cursor.execute("ALTER TABLE metrics ADD CONSTRAINT never_13 CHECK (value <> 13)")
    try:
        told = Told({"x": dict(zip(days(3, 2, 1), (11.0, 12.0, 13.0), strict=True))})
        with pytest.raises(Stop, match="never_13"):
            lake.run("backfill", told, NOW, fresh=Fresh("aside_middle"))
    finally:
        with lake.warehouse._work("rule") as cursor:
            cursor.execute("ALTER TABLE metrics DROP CONSTRAINT never_13")
    assert lake.rows() == before
    assert lake.warehouse.query("SELECT to_regnamespace('aside_middle') IS NULL").item() is True


def test_metrics_without_history_stay_unless_they_are_given_up(lake: Lake) -> None:
    lake.run("pull", Told({"x": {NOW: 1.0}, "y": {NOW: 1.0}}, "INFLOW", dataset="protocol_flows"), NOW)
    lake.run("pull", Told({"x": {NOW: 1.0}}, "FEES_24H", dataset="protocol_fees"), NOW)
    told = Told({"x": {days(1)[0]: 1.0}})
    assert lake.run("backfill", told, NOW, fresh=Fresh("aside_stay")).set_aside == 0
    assert [row[0] for row in lake.rows("metric_name")] == ["FEES_24H", "INFLOW", "INFLOW", "TVL"]
    with pytest.raises(BadInput, match="TVL is no metric without history"):
        check_drop("defillama", ["TVL"])
    assert lake.run("backfill", told, NOW, fresh=Fresh("aside_given_up", ("INFLOW",))).set_aside == 1
    assert lake.rows("asset, metric_name") == [("x", "FEES_24H"), ("x", "TVL"), ("y", "INFLOW")], (
        "only the chosen entity's"
    )
    assert lake.warehouse.query("SELECT asset, value FROM aside_given_up.metrics").rows() == [("x", 1.0)]


Days = Mapping[int, float]
SOME_DAYS = st.dictionaries(st.integers(1, 40), st.floats(-1e9, 1e9), max_size=12)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=SOME_DAYS, odd=SOME_DAYS, told=SOME_DAYS)
def test_after_it_every_day_holds_the_new_word_or_else_the_old_one(
    lake: Lake, stored: Days, odd: Days, told: Days
) -> None:
    """Also where the old rows lie at another instant of the day, or two of them share one."""
    with lake.warehouse._work("emptying") as cursor:
        cursor.execute("TRUNCATE metrics")
        cursor.execute("DROP SCHEMA IF EXISTS aside_any CASCADE")
    noon = timedelta(hours=12)
    rows = [(_naive(ago), value) for ago, value in stored.items()]
    rows += [(_naive(ago) + noon, value) for ago, value in odd.items()]
    old = [(at, "defillama", "x", "TVL", value) for at, value in rows]
    frame = pl.DataFrame(old, schema=METRICS.polars_schema(), orient="row")
    lake.warehouse.load(METRICS, frame, "nothing")
    source = Told({"x": {TODAY - timedelta(days=ago): value for ago, value in told.items()}})
    done = lake.run("backfill", source, NOW, fresh=Fresh("aside_any"))
    assert done.records == done.inserted + done.updated + done.unchanged == len(told)
    new = {_naive(ago): value for ago, value in told.items()}
    kept = [(at, value) for at, value in rows if at.replace(hour=0) not in new]
    assert lake.rows("pulled_at, value") == sorted([*new.items(), *kept])
    gone = [(at, value) for at, value in rows if (at, value) not in {*new.items(), *kept}]
    aside = lake.warehouse.query("SELECT pulled_at, value FROM aside_any.metrics").rows() if gone else []
    assert sorted(aside) == sorted(gone)
    assert done.set_aside == len(gone)
    settled = max([*new, _naive(8)], default=_naive(8))
    assert bool(done.not_done) == (not told or any(at < settled for at, _ in kept))


def _naive(ago: int) -> datetime:
    return (TODAY - timedelta(days=ago)).replace(tzinfo=None)
