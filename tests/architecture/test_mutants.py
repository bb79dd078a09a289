"""A file of each kind with any single mistake is refused by its name, or works, or says its name when it is used.

The files are those that the documentation shows. Whatever else comes through (a traceback's error, the end of the process)
would take the other files' work along.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import yaml
from structlog.testing import capture_logs
from tests.architecture.house import shown_sources
from tests.architecture.mutants import leaves, mutants
from tests.docs.examples import DOCS, example
from typer.testing import CliRunner

from cryptolake.app import App
from cryptolake.catalogue import fed_by_any_source, found_tables, shared
from cryptolake.cli.root import app as command_line
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import CryptolakeError
from cryptolake.flow.reading import interpret
from cryptolake.flow.schedule import jobs_of
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.lake.bronze import Bronze
from cryptolake.net.access import Access
from cryptolake.net.http import Answer, Http
from cryptolake.net.multicall import CallResult
from cryptolake.registry.loader import load_registry
from cryptolake.registry.markets import Csu
from cryptolake.research.formats import format_named, format_names, rendered
from cryptolake.settings import load_settings
from cryptolake.sources.found import find_sources, open_all
from cryptolake.sources.onchain.families import declared, families
from cryptolake.work.alerts import alert, require_ways
from cryptolake.work.landed_points import LandedPoints
from cryptolake.work.tables import _built
from cryptolake.work.vendor_tables import _conformed

NOW = datetime(2024, 12, 5, 3, tzinfo=UTC)
ADDRESS = "0xcA11bde05977b3631167028862bE2a173976CA11"
SUNRISE = b'{"date":"2024-12-05","minute":480}'
SECRETS = {"WEATHER_API_KEY": "sesame"}


class Answering(Http):
    """Answers everything at once: no vendor and no port is asked a thousand times for what only has to come back."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def _send(self, *_: object, **__: object) -> Answer:
        return Answer(200, {}, self._body, 0.0)


def use_source(folder: Path, body: bytes) -> None:
    """Find, open, list, plan, ask, read and conform: all that a pull does with a file of sources."""
    found = find_sources()
    mine = [file for file in found.files if Path(str(sys.modules[file.module].__file__)).is_relative_to(folder)]
    if not mine:
        raise CryptolakeError("; ".join(f"{name}: {fault}" for name, fault in found.refused.items()))
    http = Answering(body)
    try:
        access = Access(http=http, secrets=SECRETS)
        opened = open_all(replace(found, files=mine), access, fed_by_any_source(), shared())
        (source,) = opened.all().values()
        for job in jobs_of(source, source.datasets):
            job.after(NOW)
        bronze = Bronze(folder / "lake")
        for dataset in source.datasets:
            asked = [Partition(dataset.name, key, Period.of_hour(NOW)) for key in source.keys(dataset.name)]
            answers = [one for trip in source.trips(asked) for one in source.fetch(trip)]
            for one in answers:
                if isinstance(one, Raw):
                    bronze.land(one)
                    interpret(source, one, bronze)
            own = found.own_tables(source.name).get(dataset.feeds)
            if own is not None:
                _conformed(source, own, asked, bronze)
            elif dataset.feeds == "metrics":
                landed = LandedPoints(source)
                for one in answers:
                    if isinstance(one, Raw):
                        landed.parse(one)
            if len(answers) < len(asked):
                raise CryptolakeError(f"{source.name} did not answer")  # as flow.collect says of such partitions
    finally:
        http.close()


def use_family(_folder: Path) -> None:
    """Declare, and run every program with an answer of one word to whatever is asked."""
    declared()
    family = families()["till"]
    csu = Csu("a_till", "till", "till", "1", "local", 31337, {"vault": ADDRESS})
    for program in (family.snapshot(csu), family.emitters(csu), family.settle(csu, [])):
        try:
            calls = next(program)
            while True:
                calls = program.send([CallResult(True, bytes(31) + b"\x05") for _ in calls])
        except StopIteration:
            pass
    family.liquidations(csu, [])


def use_table(_folder: Path) -> None:
    """Find, and build of one row."""
    found = found_tables()
    row = {"chain": "base", "date": date(2024, 12, 5), "total_tvl_usd": 1.0}
    panel = pl.DataFrame([row], schema_overrides=PANEL.polars_schema())
    for one in found.values():
        if one.module.endswith(".chain_daily") and one.build is not None:
            _built(one, [panel for _ in one.inputs])


def use_export(_folder: Path) -> None:
    """Find, and render a row."""
    rendered(format_named("jsonl"), pl.DataFrame({"a": [1]}), {})


def use_alert(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find, and tell; what is not told is in the log."""
    require_ways()
    for name in ("URL", "KEY"):
        monkeypatch.setenv(f"CRYPTOLAKE_PAGER_{name}", "http://127.0.0.1:1/")
    app = App(load_settings(data=folder / "data"))
    app.http = Answering(b"")  # type: ignore[misc]  # as above
    try:
        with capture_logs() as told:
            alert(app, "a job failed", "no reason")
    finally:
        app.close()
    assert told, "the log says so in any case"


def use_command(folder: Path) -> None:
    """Run it, as somebody who types it."""
    done = CliRunner().invoke(command_line, ["--data", str(folder / "data"), "hello"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise CryptolakeError(done.output)


KINDS: Mapping[str, tuple[str, str, str, Callable[..., None]]] = {
    "source": ("sources", "weather", shown_sources()[0], partial(use_source, body=b"21.5")),
    "source with a table": (
        "sources",
        "sun",
        shown_sources()[1],
        partial(use_source, body=b'{"date":"2024-12-05","minute":480}'),
    ),
    "family": (
        "sources.onchain",
        "till",
        re.findall(r'```python\n("""Family.*?)```', (DOCS / "add-a-family.md").read_text(), flags=re.DOTALL)[0],
        use_family,
    ),
    "table": ("gold", "chain_daily", example("add-a-table.md")[1], use_table),
    "export": ("research.exports", "jsonl", example("add-an-export.md")[1], use_export),
    "alert": ("alerts", "pager", example("add-an-alert.md")[1], use_alert),
    "command": ("cli", "hello", example("add-a-command.md")[1], use_command),
}


class Room:
    """A package in which the mutants of one file lie one after the other."""

    def __init__(self, package: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._package, self._name, self._folder = import_module(f"cryptolake.{package}"), name, folder
        self._patch, self._path, self._count = monkeypatch, list(self._package.__path__), 0

    def put(self, text: str) -> Path:
        """The file, in a folder of its own: what was found in the last one is not asked again."""
        self.empty()
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        (folder / f"{self._name}.py").write_text(text)
        self._patch.setattr(self._package, "__path__", [*self._path, str(folder)])
        return folder

    def empty(self) -> None:
        """Forget the last one."""
        sys.modules.pop(f"{self._package.__name__}.{self._name}", None)
        vars(self._package).pop(self._name, None)
        self._patch.setattr(self._package, "__path__", self._path)
        shutil.rmtree(self._folder / str(self._count), ignore_errors=True)


@pytest.fixture
def room(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    package, name, text, use = KINDS[request.param]
    monkeypatch.chdir(tmp_path)
    opened = Room(package, name, tmp_path, monkeypatch)
    again = partial(use, monkeypatch=monkeypatch) if use is use_alert else use
    yield SimpleNamespace(put=opened.put, module=f"cryptolake.{package}.{name}", name=name, text=text, use=again)
    opened.empty()


def outcome(file: Any, text: str) -> str:
    """What a person is told; nothing when it works. Anything but an error of a reaction passes."""
    folder = file.put(text)
    try:
        file.use(folder)
    except CryptolakeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("room", KINDS, indirect=True)
def test_a_file_with_one_mistake_is_named_or_works(room: SimpleNamespace, step: int) -> None:
    """Every second mistake; in the soak run all of them."""
    assert outcome(room, room.text) == "", "the documented file works"
    wrong, named = [], 0
    for label, text in islice(mutants(room.text), 0, None, step):
        try:
            said = outcome(room, text)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # that is what is looked for
            wrong.append(f"{label}: {type(error).__name__}: {error}")
            continue
        named += bool(said)
        if said and not re.search(rf"{re.escape(room.module)}|{room.name}\.py|\b{room.name}\b", said):
            wrong.append(f"{label}: names no file: {said}")
    assert wrong == [], f"{len(wrong)} of them:\n" + "\n".join(wrong)
    assert named, "nothing was noticed at all"


def started(folder: Path) -> None:
    """What every command does that goes through all files of a kind."""
    app = App(load_settings(data=folder / "data"))
    try:
        require_ways()
        app.vendors()
        declared()
        found_tables()
        for name in format_names():
            format_named(name)
    finally:
        app.close()


AT_START = [
    ("source", 'every="hour"', 'every="fortnight"', "every='fortnight' is not 'day' or 'hour'"),
    ("source", 'reach="as_of"', 'reach="asof"', "reach='asof' is not 'as_of'"),
    ("source", "return WeatherSource(access)", "raise SystemExit(0)", r"open_source failed \(SystemExit: 0\)"),
    ("source", "def keys(self, dataset: str)", "def keys(self)", "keys of the source.* write a function of dataset"),
    ("source", 'return ["london", "zug"]', "return None", "gave no list of texts"),
    ("source", '"zug"', '"a/b"', "'a/b' cannot name a dataset or key"),
    ("source", "def trips(", "def trip(", "trips of the source is no function"),
    ("source", "def parse(", "def parsed(", "parse of the source is no function"),
    ("source", '"weather_temperature"', '"tvl"', "there is a dataset 'tvl' already"),
    ("source", '"weather_temperature"', '"liquidations"', "there is a dataset 'liquidations' already"),
    ("source", 'KEY = "WEATHER_API_KEY"', 'KEY = "DATABASE_URL"', "begin its name with that of its vendor"),
    ("source", 'KEY = "WEATHER_API_KEY"', 'KEY = "PATH"', "begin its name with that of its vendor"),
    ("source", '"https://weather.example"', '"weather.example"', "write name and address"),
    (
        "export",
        "(frame: pl.DataFrame, codebook: Mapping[str, object])",
        "(frame)",
        "write a function of frame, codebook",
    ),
    ("export", '".jsonl"', '".parquet"', "SUFFIX='.parquet' is that of cryptolake.research.exports.parquet already"),
    ("export", 'SUFFIX = ".jsonl"', 'SUFFIX, NEEDS = ".jsonl", "nonesuch"', "NEEDS is not the name of an extra"),
    (
        "alert",
        "(alert: Alert, values: Mapping[str, str], http: Http)",
        "(alert)",
        "write a function of alert, values, http",
    ),
    ("alert", '"CRYPTOLAKE_PAGER_URL"', '"CRYPTOLAKE_DATA"', "CRYPTOLAKE_DATA is a setting of cryptolake's own"),
    ("alert", '"CRYPTOLAKE_PAGER_URL"', '"CRYPTOLAKE_RPC_BASE"', "CRYPTOLAKE_RPC_BASE is a setting"),
    ("family", "def snapshot(csu: Csu)", "def snapshot()", "write a function of csu"),
    ("family", '"number")', '"numbr")', "gives='numbr' is not 'address'"),
    ("table", "def build(panel: pl.DataFrame)", "async def build(panel)", "build is asynchronous"),
]


@pytest.mark.parametrize(("room", "old", "new", "words"), AT_START, indirect=["room"])
def test_what_is_declared_wrong_is_refused_at_the_start(room: SimpleNamespace, old: str, new: str, words: str) -> None:
    assert old in room.text
    folder = room.put(room.text.replace(old, new))
    with pytest.raises(CryptolakeError, match=rf"{re.escape(room.module)}: .*{words}"):
        started(folder)


@pytest.mark.parametrize("room", ["source"], indirect=True)
def test_no_key_is_a_setting_of_ours(room: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the vendor bears the name that the setting begins with: its value is handed to nobody."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:sesame@127.0.0.1:1/mine")
    text = room.text.replace('"weather"', '"database"').replace('KEY = "WEATHER_API_KEY"', 'KEY = "DATABASE_URL"')
    app = App(load_settings(data=room.put(text) / "data"))
    try:
        assert "DATABASE_URL is a setting" in app.found.refused[room.module]
        assert "DATABASE_URL" not in app.access().secrets
    finally:
        app.close()


def test_a_row_of_a_registry_with_one_mistake_is_named_or_works(tmp_path: Path) -> None:
    name, text = example("add-a-market.md")
    document = {**yaml.safe_load(text), "chains": {"here": {"chain_id": 31337}}, "sets": {"mine": ["aave_v3_mine"]}}
    file, wrong = tmp_path / name, []
    for label, changed in [("as it is", document), *leaves(document)]:
        file.write_text(yaml.safe_dump(changed))
        try:
            load_registry(declared(), file)
        except CryptolakeError as error:
            said = str(error)
            if label == "as it is" or name not in said:
                wrong.append(f"{label}: {said}")
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            wrong.append(f"{label}: {type(error).__name__}: {error}")
    assert wrong == [], "\n".join(wrong)
