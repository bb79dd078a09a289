"""Sources are found because their file is there, in this package or by entry point; a faulty file is left out and named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import structlog
from tests.sources.test_price_vendors import GOOD

import cryptolake.sources
from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.errors import BadInput, Stop
from cryptolake.lake.bronze import Bronze
from cryptolake.logs import configure_logging, known_secrets, redact_text
from cryptolake.settings import load_settings
from cryptolake.silver.prices import ORACLE, Pricing
from cryptolake.silver.quotes import LADDER
from cryptolake.sources.price_file import PriceFile, landed
from cryptolake.work.price_sources import price_source, price_sources, pricing, read_quotes

SOURCE = """
from cryptolake.contracts.source import Dataset, SourceTable, Trip
from cryptolake.contracts.table import Field, Table
from cryptolake.contracts.vendor import Key, Vendor
from cryptolake.contracts.prices import PriceSource

VENDOR = Vendor(name="sky", hosts={"sky": "https://sky.example"}, keys=(Key("SKY_TOKEN", "key"),))

class Sky:
    name = "sky"
    datasets = (Dataset("clouds", feeds="metrics", doc="how many", reach="as_of", needs="SKY_TOKEN"),)

    def keys(self, dataset):
        return ["london"]

    def trips(self, partitions):
        return (Trip(self.name, str(one), (one,)) for one in partitions)

    def fetch(self, trip):
        return iter(())

    def parse(self, raw):
        return []

def open_source(access):
    return Sky()
"""
BAZAAR = """
from cryptolake.contracts.prices import PriceSource
from cryptolake.contracts.source import Dataset, Trip

PRICES = PriceSource("bazaar", rung=17, max_age_s=60)

class Bazaar:
    name = "bazaar"
    datasets = (Dataset("bazaar_prices", feeds="quotes", doc="what was paid", reach="as_of"),)

    def keys(self, dataset):
        return ["london"]

    def trips(self, partitions):
        return (Trip(self.name, str(one), (one,)) for one in partitions)

    def fetch(self, trip):
        return iter(())

    def parse(self, raw):
        return []

def open_prices(access, chains, wanted):
    return Bazaar()
"""
TABLE = "Table('rains', 'silver', 'a day', {key}, (Field('day', 'date', 'day'),), 'rain')"

Drop = Callable[[str, str], str]


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Puts a file where sources are found; returns its module's name."""
    monkeypatch.setattr(cryptolake.sources, "__path__", [*cryptolake.sources.__path__, str(tmp_path / "dropped")])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dropped").mkdir()
    names = []

    def write(name: str, text: str) -> str:
        (tmp_path / "dropped" / f"{name}.py").write_text(text)
        names.append(f"cryptolake.sources.{name}")
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    found = App(load_settings(data=tmp_path / "data"))
    yield found
    found.close()


def test_every_shipped_file_is_sound(app: App) -> None:
    assert app.found.refused == {}
    vendors = app.vendors()
    declared = {file.vendor.name for file in app.found.files if file.vendor is not None}
    assert declared == set(vendors)
    assert {name for one in vendors.values() for d in one.datasets if (name := d.needs)} <= set(app.found.keys)


def test_the_ladder_is_what_the_files_declare(app: App) -> None:
    told = app.found.price_sources
    assert (*told, ORACLE) == LADDER == pricing(app).ladder
    assert Pricing().max_age_s == {ORACLE: 0.0, **{name: one.max_age_s for name, one in told.items()}}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "sky"\n    datasets', "datasets", "no `name`"),
        ('name = "sky"\n    datasets', 'name = "rain"\n    datasets', "call them the same"),
        ("def open_source(", "def open_sources(", "nobody reads 'open_sources'; did you mean open_source"),
        ("def open_source(", "def make(", "offers neither open_source nor open_prices"),
        ("class Sky:", "PRICE = PriceSource('sky', 5, 60)\n\nclass Sky:", "nobody reads 'PRICE'; did you mean PRICES"),
        ("class Sky:", "TABELS = ()\n\nclass Sky:", "nobody reads 'TABELS'; did you mean TABLES"),
        ("class Sky:", "def try_keys(access): ...\n\nclass Sky:", "nobody reads 'try_keys'; did you mean try_key"),
        ("datasets = (", "others = (", "no `datasets`"),
        ("datasets = (", "datasets = (1, ", "no `datasets`"),
        (
            '"clouds"',
            '"clouds", feeds="metrics", doc="", reach="as_of"), Dataset("clouds"',
            "there is a dataset 'clouds'",
        ),
        ('feeds="metrics"', 'feeds="metrcis"', "unknown table 'metrcis'; known: .*metrics"),
        ('needs="SKY_TOKEN"', 'needs="SKY_KEY"', "needs SKY_KEY, which is no key"),
        ("VENDOR = Vendor(", "VENDOR = dict(", "VENDOR is no"),
        ("", "", ""),
        ('"SKY_TOKEN", "key"', '"sky token", "key"', "write a variable's name"),
        ("import Dataset,", "import Datasets,", "cannot be imported"),
        ("VENDOR =", "raise SystemExit(3)\nVENDOR =", r"cannot be imported \(SystemExit: 3\)"),
        ("return Sky()", "return 1 / 0", r"open_source failed \(ZeroDivisionError"),
        ("class Sky:", "TABLES = [1]\n\nclass Sky:", "TABLES is no tuple"),
        ("class Sky:", f"TABLES = (SourceTable({TABLE.format(key='()')}, list),)\n\nclass Sky:", "'rains' has no key"),
        (
            "class Sky:",
            f"TABLES = (SourceTable({TABLE.format(key=('day',)).replace('rains', 'tvl')}, list),)\n\nclass Sky:",
            "there is a table 'tvl' already",
        ),
        ("class Sky:", "PRICES = PriceSource('sky', 5, 60)\n\nclass Sky:", "both PRICES .* and open_prices"),
        ("class Sky:", "open_prices = print\n\nclass Sky:", "both PRICES .* and open_prices"),
        (
            "class Sky:",
            f"TABLES = (SourceTable({TABLE.format(key=('day',)).replace('rains', 'daily_panel')}, list),)\n\nclass Sky:",
            "there is a table 'daily_panel' already",
        ),
        (
            "class Sky:",
            f"TABLES = (SourceTable({TABLE.format(key=('day',)).replace('rains', '../rains')}, list),)\n\nclass Sky:",
            "cannot have this name",
        ),
        (
            "class Sky:",
            f"TABLES = (SourceTable({TABLE.format(key=('day',)).replace('silver', 'gold')}, list),)\n\nclass Sky:",
            "has layer 'gold'",
        ),
    ],
)
def test_a_faulty_file_is_refused_by_name_and_the_others_go_on(
    drop: Drop, app: App, old: str, new: str, words: str
) -> None:
    if not words:  # the file without a fault
        drop("sky", SOURCE)
        assert "sky" in app.vendors()
        return
    assert old in SOURCE
    module = drop("sky", SOURCE.replace(old, new))
    with pytest.raises(BadInput, match=f"^{module}: .*{words}"):
        app.vendors()
    assert app.vendor("defillama").name == "defillama"
    with pytest.raises(BadInput, match=f"{module}: .*{words}"):
        app.vendor("sky")
    assert tuple(price_sources(app)) == LADDER[:-1]


OWN_TABLE = f"TABLES = (SourceTable({TABLE.format(key=('day',))}, list),)\n\nclass Sky:"


@pytest.mark.parametrize("name", ["aaa", "zzz"])  # before and after the other in their order
@pytest.mark.parametrize(
    ("text", "other", "what"),
    [
        (
            SOURCE.replace('"sky"', '"defillama"').replace('Key("SKY_', 'Key("DEFILLAMA_'),
            "defillama",
            "source 'defillama'",
        ),
        (
            SOURCE.replace('"sky"', '"defillama"')
            .replace('Key("SKY_', 'Key("DEFILLAMA_')
            .replace("VENDOR =", "ABOUT ="),
            "defillama",
            "source 'defillama'",
        ),
        (SOURCE.replace('"clouds"', '"chain_tvl"'), "defillama", "dataset 'chain_tvl'"),
        (
            SOURCE.replace('"sky"', '"mist"').replace('Key("SKY_', 'Key("MIST_').replace("class Sky:", OWN_TABLE),
            "mmm",
            "table 'rains'",
        ),
        (BAZAAR.replace('"bazaar"', '"defillama"'), "defillama", "price source 'defillama'"),
    ],
)
def test_two_files_of_one_name_are_both_refused(
    drop: Drop, app: App, name: str, text: str, other: str, what: str
) -> None:
    """Whichever comes first would take the other's place, and the other would be blamed."""
    first, second = drop(name, text.replace('needs="SKY_TOKEN"', "needs=None")), f"cryptolake.sources.{other}"
    if other == "mmm":
        drop(other, SOURCE.replace("class Sky:", OWN_TABLE).replace('"clouds"', '"mists"'))
    said = {first: f"there is a {what} already, in {second}", second: f"there is a {what} already, in {first}"}
    with pytest.raises(BadInput) as refused:
        app.vendors()
    assert all(f"{module}: {fault}" in str(refused.value) for module, fault in said.items())
    for vendor in ({"mmm": "sky"}.get(other, other), "sky"):
        with pytest.raises(BadInput) as refused:
            app.vendor(vendor)
        assert first in str(refused.value)
        assert second in str(refused.value)
    if ("VENDOR =" in text and "dataset" not in what) or "PRICES =" in text:  # the rest only an opened source has
        with pytest.raises(BadInput, match=first):
            price_sources(app)
    assert app.vendor("alternative_me").name == "alternative_me"


def test_a_source_of_another_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real installed distribution: metadata beside its package on the path."""
    (tmp_path / "sky_package.py").write_text(SOURCE)
    about = tmp_path / "sky_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sky-package\nVersion: 1.0\n")
    points = "[cryptolake.sources]\nsky = sky_package\nbroken = no_such_package\nfunction = sky_package:open_source\n"
    (about / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SKY_TOKEN", "open-sesame")
    app = App(load_settings(data=tmp_path / "data"))
    assert app.vendor("sky").name == "sky"
    assert app.access().secrets["SKY_TOKEN"] == "open-sesame"
    with pytest.raises(BadInput) as refused:
        app.vendors()
    assert "no_such_package (entry point broken): cannot be imported (ModuleNotFoundError" in str(refused.value)
    assert "sky_package:open_source (entry point function): the entry point names no module" in str(refused.value)
    app.close()
    sys.modules.pop("sky_package", None)


def test_a_key_is_read_from_every_place_and_the_nearest_wins(
    drop: Drop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop("sky", SOURCE)

    def key() -> str | None:
        opened = App(load_settings(data=tmp_path / "data"))
        try:
            return opened.access().secrets.get("SKY_TOKEN")
        finally:
            opened.close()

    assert key() is None
    (tmp_path / "cryptolake.toml").write_text('sky_token = "from-toml"\n')
    assert key() == "from-toml"
    (tmp_path / ".env").write_text("SKY_TOKEN=from-dotenv\n")
    assert key() == "from-dotenv"
    monkeypatch.setenv("CRYPTOLAKE_SKY_TOKEN", "from-prefixed")
    assert key() == "from-prefixed"
    monkeypatch.setenv("SKY_TOKEN", "from-environment")
    assert key() == "from-environment"
    monkeypatch.setenv("SKY_TOKEN", "")
    assert key() is None, "an empty variable takes the key away"


def test_a_watch_list_is_read_from_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARTEMIS_CONFIG", "not-ours.csv")
    assert load_settings().watch_list("artemis") is None
    (tmp_path / "cryptolake.toml").write_text('artemis_config = "mine.csv"\n')
    assert load_settings().watch_list("artemis") == Path("mine.csv")
    monkeypatch.setenv("CRYPTOLAKE_ARTEMIS_CONFIG", "other.csv")
    assert load_settings().watch_list("artemis") == Path("other.csv")


@pytest.mark.parametrize("secret", ["open-sesame", "open/sesame key?", 'quo"ted\\key', "schlüssel-ß"])
def test_a_found_vendors_key_is_redacted_in_every_form(
    drop: Drop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: str
) -> None:

    # The key is one even while its file is faulty.
    drop("sky", SOURCE.replace("metrics", "nonsense"))
    monkeypatch.setenv("SKY_TOKEN", secret)
    monkeypatch.setenv("CRYPTOLAKE_LOG_JSON", "true")
    settings = load_settings()
    path = f"https://sky.example/{quote(secret, safe='')}/london"
    assert redact_text(f"{secret} {path}", known_secrets(settings)) == "*** https://sky.example/***/london"
    configure_logging(settings)
    structlog.get_logger().warning("asked", url=path, deep={"headers": [secret]})
    line = capsys.readouterr().err
    assert "asked" in line
    for form in (secret, quote(secret, safe=""), repr(secret)[1:-1]):
        assert form not in line
    assert secret not in repr(settings)


def test_rows_under_another_name_than_the_price_sources_are_refused(tmp_path: Path) -> None:
    raw = landed("mine.csv", GOOD.encode(), "mine", datetime(2025, 1, 2, tzinfo=UTC))
    bronze = Bronze(tmp_path)
    digest = bronze.land(raw)
    states = {raw.partition: Entry(raw.partition, "done", raw.fetched_at, "w", digest=digest)}
    assert read_quotes({"file": PriceFile(("ethereum",))}, bronze, states).height == 1
    with pytest.raises(Stop, match="price source mine: its rows say source 'file'"):
        read_quotes({"mine": PriceFile(("ethereum",))}, bronze, states)


def test_a_price_source_is_one_file_and_takes_its_rung(drop: Drop, app: App) -> None:
    drop("bazaar", BAZAAR)
    assert pricing(app).ladder[:4] == ("chainlink", "governed_oracle", "bazaar", "defillama")
    assert pricing(app).max_age_s["bazaar"] == 60
    assert "bazaar" in price_sources(app)
    assert "bazaar" not in app.vendors()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"bazaar_prices"', '"coingecko_prices"', "bazaar and coingecko both have a dataset 'coingecko_prices'"),
        ('"quotes"', '"metrics"', "cryptolake.sources.bazaar: .*feed `quotes`"),
        ("return Bazaar()", "return 1 / 0", r"cryptolake.sources.bazaar: open_prices failed \(ZeroDivisionError"),
    ],
)
def test_a_faulty_price_source_is_never_left_out_in_silence(
    drop: Drop, app: App, old: str, new: str, words: str
) -> None:
    drop("bazaar", BAZAAR.replace(old, new))
    with pytest.raises(BadInput, match=words):
        price_sources(app)
    assert "defillama" in app.vendors()


def test_an_order_that_names_nobody_is_refused(tmp_path: Path) -> None:
    opened = App(load_settings(data=tmp_path, price_order="chainlink,nobody"))
    with pytest.raises(BadInput, match="unknown source 'nobody'; known: chainlink, governed_oracle"):
        pricing(opened)
    with pytest.raises(BadInput, match="unknown price source 'nobody'"):
        price_source(opened, "nobody")
    opened.close()
