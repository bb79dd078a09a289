"""A program needs nothing but the package: it opens a folder, reads and fills tables, and is told what is wrong by type."""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
import structlog
from polars.testing import assert_frame_equal
from tests.command import CLEAN
from tests.waiting import PATIENCE_S

import cryptolake as cl
from cryptolake.app import App
from cryptolake.demo.replay import sandbox_registry
from cryptolake.settings import Settings, load_settings
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.work.fresh import pending

pytestmark = pytest.mark.xdist_group("python")
ROOT = Path(__file__).resolve().parents[2]
Sandbox = tuple[cl.Lake, cl.Run, list[cl.Pulled]]


def made_good(lake: cl.Lake) -> None:
    """Leave the lake, which all tests share, as one that was refined and built after whatever was asked anew."""
    lake.refine()
    lake.build()


def test_the_whole_trip_earns_its_ok(sandbox: Sandbox) -> None:
    lake, run, pulled = sandbox
    assert run.ok
    assert run.collected.failed == 0
    assert run.built.lacking.is_empty()
    assert [one.status for one in pulled] == ["success"]
    panel = lake.panel()
    assert panel.height == 14
    assert panel.filter(pl.col("status") == "ok")["reason"].null_count() == 13
    assert panel.filter(pl.col("status") != "ok")["reason"].null_count() == 0


def test_days_that_nobody_asked_for_say_so(lake: cl.Lake) -> None:
    panel = lake.panel(csu="aave_v3_sandbox", start=date(2024, 12, 14), end="2024-12-16")
    assert panel["status"].to_list() == ["ok", "not_asked", "not_asked"]
    assert panel["reason"].to_list() == [None, "not_asked", "not_asked"]
    assert panel["total_tvl_usd"].null_count() == 2


def test_a_table_reads_alike_wherever_it_is(lake: cl.Lake) -> None:
    for row in lake.tables().iter_rows(named=True):
        table = lake.table(row["name"])
        assert table.doc
        if row["place"] == "postgresql" or row["name"] in {"tvl", "liquidations", "prices", "quotes", "daily_panel"}:
            frame = table.scan().collect()
            assert frame.columns == table.columns["column"].to_list()
            assert_frame_equal(table.read(), frame, check_row_order=False)
    assert lake.table("metrics").read().height >= 732, "what was backfilled, and whatever was pulled since"
    at = lake.table("quality_results").scan().collect_schema()["run_at"]
    assert at == pl.Datetime("us", "UTC")


def test_sql_and_scan_and_panel_agree(lake: cl.Lake) -> None:
    table = lake.table("daily_panel").read()
    assert_frame_equal(lake.sql("FROM daily_panel ORDER BY csu, date"), table)
    assert_frame_equal(lake.panel().select(table.columns), table)


def test_progress_is_told_and_nothing_is_asked_twice(sandbox: Sandbox) -> None:
    lake = sandbox[0]
    told: list[tuple[int, int, str]] = []

    def show(*one: object) -> None:
        told.append(one)  # type: ignore[arg-type]

    again = lake.daily(csu="aave_v3_sandbox", end="2024-12-14", show=show)
    assert again.ok
    assert again.collected.done == again.collected.empty == 0
    assert told == []
    asked = lake.collect(
        csu="aave_v3_sandbox", dataset="tvl", start="2024-12-05", end="2024-12-05", resume=False, show=show
    )
    assert asked.done == 1
    assert told[-1] == (1, 1, "tvl/aave_v3_sandbox/2024-12-05 done")
    told.clear()
    (pulled,) = lake.pull("defillama", key="tether", show=show)
    assert pulled.status == "success"
    assert told[-1][0] <= told[-1][1]
    assert "tether" in told[-1][2]
    made_good(lake)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda lake: lake.collect(), "name the markets: set='thesis-43'"),
        (lambda lake: lake.run(days=3), "name the markets"),
        (lambda lake: lake.refine(days=3), "name markets with the days"),
        (lambda lake: lake.panel(csu="nobody"), "nobody"),
        (lambda lake: lake.panel(set="nothing"), "nothing"),
        (lambda lake: lake.panel(start="yesterday"), "write it as 2024-12-31"),
        (lambda lake: lake.panel(start=datetime(2024, 12, 1, 12)), "is an instant; give a day, e.g. 2024-12-01"),
        (lambda lake: lake.panel(start="2024-12-02", end="2024-12-01"), "swap them"),
        (lambda lake: lake.panel(start="2024-12-02", days=2), "contradict"),
        (lambda lake: lake.collect(csu="all", dataset="tvls"), "unknown dataset 'tvls'; known: tvl, liquidations"),
        (lambda lake: lake.table("tvls"), "no table 'tvls'; known: "),
        (lambda lake: lake.sql("FROM metrics"), r"lake.table\('metrics'\).scan\(\)"),
        (lambda lake: lake.sql("FROM crypto_market"), "the tables here are: "),
        (lambda lake: lake.pull("nobody"), "unknown source 'nobody'; known: "),
        (lambda lake: lake.pull("defillama", key="nobody"), "no entity 'nobody'"),
        (lambda lake: lake.pull("defillama", key="tether", workers=0), "workers must be a number from 1 to"),
        (lambda lake: lake.collect(csu="aave_v3_sandbox", workers=257), "a number from 1 to 256"),
        (lambda lake: lake.run(csu="aave_v3_sandbox", cluster="lab1"), "does not know this address"),
        (lambda lake: lake.daily(csu="aave_v3_sandbox", cluster="ssh://ann:word@lab1", end="2024-12-15"), "password"),
        (lambda lake: lake.backfill("defillama", drop="FEES_24H"), "drop goes with fresh=True"),
        (lambda lake: lake.backfill("defillama", fresh=True, drop="TVL", yes=True), "no metric without history"),
        (lambda lake: lake.backfill("defillama", fresh=True, dataset="bridge_volume"), "DEFILLAMA_API_KEY"),
        (
            lambda lake: lake.backfill("defillama", key="tether", fresh=True),
            r"\d+ stored rows .* give yes=True to go on",
        ),
    ],
)
def test_what_is_wrong_is_said_by_type_and_in_one_line(lake: cl.Lake, call: object, says: str) -> None:
    with pytest.raises(cl.BadInput, match=says) as refused:
        call(lake)  # type: ignore[operator]
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, cl.Stop)
    assert isinstance(refused.value, cl.CryptolakeError)


# What no parameter of this kind can be, by its annotation; a new parameter of the front door is called with it too.
WRONG: dict[str, tuple[object, ...]] = {
    "Names": (5, 0, 1.5, True, b"tvl", "", [], (), {}, [5], [""], [None], {5: 1}, object(), pl.Series([1])),
    "Day": (5, 0, "", "x", [], b"2024-12-01", True, 1.5, datetime(2024, 12, 1), "2024-02-30", "9" * 5000, object()),
    "int | None": ("x", "5", "", -1, 1.5, True, float("nan"), [], b"1", 10**30, date(2024, 12, 1), object()),
    "str | None": (5, 0, "", "x", b"tcp://lab:1", [], object()),
    "str": (5, None, "", "x", b"tvl", [], {}, 1.5, object(), pl.Series(["tvl"]), "\0", "\udcff"),
    "bool": (5, 0, None, "no", "", [], object()),
    "Show | None": (5, 0, "x", [], object()),
}
# What a method needs beside the one that is wrong; the days make all of it lie in the past and be answered already.
SOUND: dict[str, dict[str, object]] = {
    "collect": {"csu": "aave_v3_sandbox", "end": "2024-12-02"},
    "run": {"csu": "aave_v3_sandbox", "end": "2024-12-02"},
    "daily": {"csu": "aave_v3_sandbox", "end": "2024-12-14"},
    "refine": {"csu": "aave_v3_sandbox"},
    "pull": {"source": "defillama", "key": "tether"},
    "backfill": {"source": "defillama", "key": "tether", "fresh": True},
    "table": {"name": "tvl"},
    "sql": {"statement": "SELECT 1"},
}


def _called() -> list[tuple[str, str]]:
    """Every public method of a lake with each of its parameters."""
    methods = {name: one for name, one in vars(cl.Lake).items() if not name.startswith("_") and inspect.isfunction(one)}
    return [
        (name, one) for name, method in methods.items() for one in inspect.signature(method).parameters if one != "self"
    ]


@pytest.mark.parametrize(("method", "parameter"), _called())
def test_whatever_is_handed_in_the_error_is_ours_and_one_line(lake: cl.Lake, method: str, parameter: str) -> None:
    call = getattr(lake, method)
    for wrong in WRONG[inspect.signature(call).parameters[parameter].annotation]:
        given = {**SOUND.get(method, {}), parameter: wrong}
        with pytest.raises(cl.CryptolakeError) as refused:
            call(**given)
        assert "\n" not in str(refused.value), given


def test_zero_days_and_too_many_are_said_as_such(lake: cl.Lake) -> None:
    for call in (lake.panel, lake.coverage, lake.quality, lambda **days: lake.run(csu="aave_v3_sandbox", **days)):
        for days in (0, 10**9):
            with pytest.raises(cl.BadInput, match=r"days .*whole number from 1"):
                call(days=days)


@pytest.mark.parametrize("wrong", [5, "", "~nobody-of-this-name/x", "\0", "x" * 300, b"x", [], object()])
def test_whatever_a_folder_is_called_the_error_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: object
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        cl.open(wrong).close()
    except cl.CryptolakeError as error:
        assert "\n" not in str(error)  # a folder may be called what it likes, an error may not


def test_a_fresh_start_that_was_agreed_to_takes_the_vendors_own_word(sandbox: Sandbox) -> None:
    lake = sandbox[0]
    before = lake.table("metrics").read()
    wrong = before.filter(asset="tether").head(1).with_columns(value=pl.lit(1.0))
    with lake._app.warehouse() as warehouse:
        warehouse.load(METRICS, wrong.select(METRICS.columns), "update")
    (kept,) = lake.backfill("defillama", key="tether")
    assert kept.updated == 0
    (done,) = lake.backfill("defillama", key="tether", fresh=True, drop="FEES_24H", yes=True, workers=2)
    assert (done.status, done.not_done, done.collected.failed, done.set_aside) == ("success", (), 0, 1)
    assert_frame_equal(lake.table("metrics").read(), before)


def test_while_a_fresh_start_is_unfinished_nothing_is_made_of_half_a_lake(tmp_path: Path) -> None:
    with cl.open(tmp_path / "data", registry=sandbox_registry()) as lake:
        (lake.folder / "fresh.json").write_text('{"aside": "aside_20241201_000000", "stage": "moved"}')
        assert pending(App(load_settings(data=lake.folder))) == "aside_20241201_000000"
        for call in (lake.build, lake.publish, lake.panel, lake.refine, lambda: lake.run(csu="aave_v3_sandbox")):
            with pytest.raises(cl.Stop, match="a fresh start is unfinished"):
                call()


def test_nothing_made_is_no_empty_answer(tmp_path: Path) -> None:
    with cl.open(tmp_path / "new") as lake:
        for call in (lake.panel, lake.coverage, lake.table("tvl").scan, lambda: lake.sql("FROM tvl"), lake.daily):
            with pytest.raises(cl.BadInput):
                call()
        assert lake.sql("SHOW TABLES").is_empty()


def test_a_folder_is_opened_twice_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    with cl.open("data", registry=os.path.relpath(sandbox_registry())) as one, cl.open("data") as other:
        assert one.folder == other.folder == tmp_path / "study" / "data"
        monkeypatch.chdir(tmp_path)
        with pytest.raises(cl.BadInput, match="there is no panel yet"):
            one.panel(csu="aave_v3_sandbox")
        other.close()
        other.close()
        assert repr(other).endswith("study/data (closed)>")
        with pytest.raises(cl.BadInput, match=r"is closed; open it again with cl\.open"):
            other.panel()
        assert one.tables().height
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "settings", [{"wrokers": 8}, {"workers": 0}, {"data_folder": "x"}, {"registry": "nowhere.yaml"}]
)
def test_a_wrong_setting_is_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    with pytest.raises(cl.BadInput):
        cl.open(tmp_path / "data", **settings).tables()


def test_no_secret_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://someone:the-password@127.0.0.1:1/none"
    first = cl.open(tmp_path / "a", database_url=url, rpc={"ethereum": ["https://node/v2/the-key"]})
    second = cl.open(tmp_path / "b")
    structlog.get_logger().error("lost https://node/v2/the-key and " + url)
    with pytest.raises(cl.CryptolakeError) as refused:
        first.table("metrics").scan()
    said = f"{first!r} {second!r} {vars(first)} {refused.value} {capsys.readouterr().err}"
    assert "the-password" not in said
    assert "the-key" not in said
    first.close()
    second.close()


NOTEBOOK = """
import sys
import cryptolake as cl

assert not {"polars", "psycopg", "pydantic", "duckdb", "typer"} & set(sys.modules), "importing it costs nothing"
lake = cl.open("data")
try:
    lake.panel()
except cl.BadInput as error:
    print(type(error).__name__, error)
print(lake, lake.tables().height > 10, lake.sql("SELECT 1 AS one").item())
assert "typer" not in sys.modules, "no command is loaded"
"""


def test_a_notebook_needs_no_command_and_no_variable(tmp_path: Path) -> None:
    kept = {name: value for name, value in CLEAN.items() if name in {"PYTHONPATH", "HOME", "TMPDIR"}}
    result = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        cwd=tmp_path,
        env={**kept, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "BadInput there is no panel yet" in result.stdout
    assert "data> True 1" in result.stdout


def test_the_exported_names_are_there_and_typed() -> None:
    for name in cl.__all__:
        assert getattr(cl, name) is not None
    front = importlib.import_module("cryptolake.front")
    assert {*cl.__all__} == {*front.__all__, "__version__"}
    assert {*cl.__all__} <= set(dir(cl))
    with pytest.raises(AttributeError, match="nothing"):
        cl.nothing  # type: ignore[attr-defined]  # noqa: B018
    for kind in (cl.Lake, cl.LakeTable):
        for name, member in vars(kind).items():
            if not name.startswith("_") and inspect.isfunction(member):
                assert member.__doc__, name
                assert "return" in member.__annotations__, name
    assert "panel" not in Settings.model_fields


def _examples() -> list[doctest.DocTest]:
    modules = [importlib.import_module(f"cryptolake.front.{name}") for name in ("door", "lake", "table")]
    found = [one for module in modules for one in doctest.DocTestFinder().find(module, globs={}) if one.examples]
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = "\n".join(re.findall(r"^```pycon\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE))
    return [*found, doctest.DocTestParser().get_doctest(blocks, {}, "docs/python.md", "docs/python.md", 0)]


@pytest.mark.parametrize("example", _examples(), ids=lambda one: one.name)
def test_every_example_does_what_it_says(
    lake: cl.Lake, example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert example.examples
    example.globs = {"cl": cl, "lake": lake, "pl": pl, "date": date}
    lines: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(example, out=lines.append)
    if example.name.endswith(("collect", "python.md")):
        made_good(lake)
    assert not runner.failures, "".join(lines)
