"""Whatever stands in a variable, in `.env` or in `cryptolake.toml`: one line that says where to look, or the value is taken."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.command import CLEAN, cryptolake

from cryptolake.app import App
from cryptolake.errors import BadInput
from cryptolake.settings import Settings, load_settings

PLACES = ("environment", ".env", "cryptolake.toml")
# A value of every setting as a variable has it, and what it means. Wherever it stands, it is taken.
GOOD: dict[str, tuple[str, object]] = {
    "days": ("7", 7),
    "granularity": ("hour", "hour"),
    "start_date": ("2024-12-01", date(2024, 12, 1)),
    "workers": ("8", 8),
    "data": ("my data", Path("my data")),
    "test_csu": ("aave_v3_base", "aave_v3_base"),
    "end_date": ("2024-12-02", date(2024, 12, 2)),
    "day_boundary": ("ny", "ny"),
    "registry": ("mein/Märkte.yaml", Path("mein/Märkte.yaml")),
    "database_url": ("postgresql://me@127.0.0.1/x", "postgresql://me@127.0.0.1/x"),
    "reader_url": ("postgresql://me@127.0.0.1/x", "postgresql://me@127.0.0.1/x"),
    "rpc": ('{"ethereum": ["https://node/v2/key", "http://[::1]:8545"]}', {"ethereum": 2}),
    "public_rpc": ("false", False),
    "portal_url": ("http://127.0.0.1:9/datasets", "http://127.0.0.1:9/datasets"),
    "rpc_rate": ("2.5", 2.5),
    "endpoints": ('{"ethereum-own-1": {"rate": 5}}', None),
    "max_calls": ("1000", 1000),
    "max_usd": ("2.5", 2.5),
    "ceilings": ('{"month": {"usd": 5.0}}', {"month": {"usd": 5.0}}),
    "rpc_prices": ('{"infura": 0.5}', {"infura": 0.5}),
    "alchemy_keys": ('["a-key"]', 1),
    "alchemy_plan": ("payg", "payg"),
    "grade": ("receipts", "receipts"),
    "event_prices": ("true", True),
    "audit": ("0", 0.0),
    "urls": ('{"defillama": "http://127.0.0.1:9/x"}', {"defillama": "http://127.0.0.1:9/x"}),
    "variables": ('{"MINE": "1"}', None),
    "vendor_rates": ('{"defillama": 900}', {"defillama": 900}),
    "price_order": ("chainlink,defillama", "chainlink,defillama"),
    "price_tolerance": ("0.5", 0.5),
    "budgets": ("database", "database"),
    "cluster_python": ("/usr/bin/python3", "/usr/bin/python3"),
    "log_level": ("debug", "debug"),
    "log_json": ("true", True),
    "environment": ("dev", "dev"),
    "markets": ("aave_v3_base, all", ["aave_v3_base", "all"]),
    "sets": ("thesis-43", ["thesis-43"]),
    "market_sets": ('{"mine": ["aave_v3_base"]}', {"mine": ["aave_v3_base"]}),
    "sources": ("onchain,defillama", ["onchain", "defillama"]),
    "schedules": ("0", False),
}
GARBAGE = (
    "", " ", "abc", "{", "[", "null", "[1]", '{"a": 1}', '{"a": [1]}', '{"defillama": 0}', '{"nope": 5}', '{"all": ["x"]}',
    '{"mine": []}', "z=aave_v3_base", "-1", "0", "1e400", "nan", "inf", "9" * 5000, "9" * 30, "[" * 60_000, "\x01", "é☃",
    "2024-02-30", "99999-01-01", "0001-01-01", "9999-12-31", "~nobody-of-this-name/x", "http://[::1", "http://a:port",
    "http://a b", "//", "../..", "@nowhere", "a,,b", "\udcff",
)  # fmt: skip
# What only the file can hold: values of its own kinds, as they are written there.
OF_TOML = ("1", "-1", "true", "1e400", "nan", "[]", "[[]]", "[1]", "{}", "{a = 1}", "{a = []}", "2024-01-01", "25:00:00",
           "1979-05-27T07:32:00Z", '"\\u0000"', "9" * 5000, "[" * 50_000, "= =", "'", '{all = ["x"]}')  # fmt: skip
NAMED = {"CRYPTOLAKE_RPC_ETHEREUM": "rpc", "CRYPTOLAKE_URL_DEFILLAMA": "urls", "ALCHEMY_KEY_1": "alchemy_keys"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no variable of ours."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - CLEAN.keys():
        monkeypatch.delenv(name)
    return tmp_path


def variable(name: str) -> str:
    return f"CRYPTOLAKE_{name.upper()}" if name in Settings.model_fields else name


def put(where: str, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the value where it is to stand."""
    if where == "environment":
        monkeypatch.setenv(variable(name), text)
    elif where == ".env":
        quoted = "'" + text.replace("'", "\\'") + "'"
        Path(where).write_bytes(f"{variable(name)}={quoted}\n".encode("utf-8", "surrogateescape"))
    else:
        Path(where).write_bytes(f"{name} = {text}\n".encode("utf-8", "surrogateescape"))


def use(settings: Settings) -> None:
    """What commands do with settings before they ask anybody anything."""
    assert settings.secrets() is not None
    assert settings.data_variable.is_absolute()
    assert settings.span()
    assert App(settings).registry.csus


def is_refused_in_one_line() -> bool:
    """Whether the settings are refused; any error but the user's own is raised."""
    try:
        use(load_settings())
    except BadInput as error:
        assert str(error) == " ".join(str(error).splitlines()), "one line"
        return True
    return False


def written(name: str, text: str, where: str) -> str:
    """The same value as that place has it."""
    if where != "cryptolake.toml":
        return text
    meant = GOOD[name][1]
    if text.startswith("{"):
        return _table(json.loads(text))
    if text.startswith("["):
        return text
    if isinstance(meant, bool):
        return str(meant).lower()
    return text if isinstance(meant, int | float | date) else json.dumps(text, ensure_ascii=False)


def _table(value: object) -> str:
    """As TOML has it on one line."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ", ".join(f"{key} = {_table(one)}" for key, one in value.items()) + "}"


def test_every_setting_has_a_value_here() -> None:
    assert GOOD.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_taken_wherever_it_stands(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str, encoding: str
) -> None:
    text, meant = GOOD[name]
    put(where, name, written(name, text, where), monkeypatch)
    if where != "environment":
        (place / where).write_text((place / where).read_text("utf-8").replace("\n", "\r\n"), encoding, newline="")
    found = getattr(load_settings(), name)
    if name == "rpc":
        found = {chain: len(urls) for chain, urls in found.items()}
    elif name == "variables":
        assert "MINE" in found
        return
    elif name == "endpoints":
        assert found["ethereum-own-1"].rate == 5
        return
    elif name == "alchemy_keys":
        found = len(found)
    elif name.endswith("_url"):
        found = found.get_secret_value()
    elif name == "data":
        assert not (place / found).exists(), "reading settings makes nothing"
    assert found == meant


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", [*GOOD, *NAMED])
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.soak)])
def test_garbage_is_one_line_or_a_value(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str, step: int
) -> None:
    """Every setting in every place meets every fourth text, in turn; in the soak run all of them."""
    del place
    if where == "cryptolake.toml":
        texts = [*(json.dumps(one, ensure_ascii="\udcff" not in one) for one in GARBAGE), *OF_TOML]
        name = NAMED.get(name, name)
    else:
        texts = list(GARBAGE)
    turn = [*GOOD, *NAMED.values(), *NAMED].index(name) + PLACES.index(where)
    for text in texts[turn % step :: step]:
        put(where, name, text, monkeypatch)
        is_refused_in_one_line()


REFUSED = [
    ("days", "abc"), ("days", "9" * 30), ("workers", "0"), ("rpc_rate", "nan"), ("rpc_rate", "inf"), ("audit", "nan"),
    ("price_tolerance", "inf"), ("max_usd", "inf"), ("rpc_prices", '{"infura": NaN}'), ("ceilings", "{"),
    ("start_date", "2024-02-30"), ("vendor_rates", "abc"), ("vendor_rates", '{"nope": 5}'),
    ("vendor_rates", '{"defillama": 0}'), ("market_sets", "z=aave_v3_base"), ("market_sets", '{"all": ["aave_v3_base"]}'),
    ("market_sets", '{"mine": []}'), ("market_sets", '{"A b": ["aave_v3_base"]}'), ("rpc", "{"), ("urls", "{"),
    ("urls", '{"nope": "http://127.0.0.1:9"}'), ("alchemy_keys", "abc"), ("variables", "["),
    ("CRYPTOLAKE_RPC_ETHEREUM", "abc"), ("CRYPTOLAKE_RPC_RATE_ETHEREUM", "5"), ("CRYPTOLAKE_URL_DEFILLAMA", "abc"),
    ("CRYPTOLAKE_URL_NOPE", "http://127.0.0.1:9"),
]  # fmt: skip


@pytest.mark.parametrize("where", ["environment", ".env"])
@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_what_cannot_be_meant_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, where: str
) -> None:
    del place
    put(where, name, text, monkeypatch)
    assert is_refused_in_one_line()


@pytest.mark.parametrize("name", [name for name, (text, _) in GOOD.items() if text[0] in "[{" and name != "variables"])
def test_an_empty_variable_of_several_values_is_none(place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    del place
    default = getattr(load_settings(), name)
    put("environment", name, "", monkeypatch)
    assert getattr(load_settings(), name) == default


def contents() -> list[Any]:
    text = "CRYPTOLAKE_DAYS=3\n", "days = 3\n"
    encodings = {
        "UTF-16": [one.encode("utf-16") for one in text],
        "UTF-16 without a mark": [one.encode("utf-16-be") for one in text],
        "UTF-32": [one.encode("utf-32") for one in text],
        "Latin-1": [f"# ü\n{one}".encode("latin-1") for one in text],
        "bytes": [bytes(range(256))] * 2,
        "no variable": [b"CRYPTOLAKE_DAYS 3 = 'x\n", b"days\n"],
    }
    return [
        pytest.param(file, content, id=f"{name} {file}")
        for name, both in encodings.items()
        for file, content in zip(PLACES[1:], both, strict=True)
    ]


@pytest.mark.parametrize(("file", "content"), contents())
def test_a_file_in_another_encoding_is_refused_by_its_name(tmp_path: Path, file: str, content: bytes) -> None:
    (tmp_path / file).write_bytes(content)
    done = cryptolake(tmp_path, "markets", "sets")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert file in done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"CRYPTOLAKE_MARKET_SETS": "z=aave_v3_base"},
        {"CRYPTOLAKE_RPC": "{"},
        {"CRYPTOLAKE_URL_NOPE": "http://127.0.0.1"},
    ],
)
def test_a_command_says_it_in_one_line(tmp_path: Path, variables: dict[str, str]) -> None:
    done = cryptolake(tmp_path, "plan", **variables)
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, ""), done


def test_a_strangers_variable_of_any_bytes_does_not_matter(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del place
    monkeypatch.setenv("SOMEBODYS", "\udcff\udcfe")
    assert not is_refused_in_one_line()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRYPTOLAKE_CEILINGS", '{"alchmy": {"usd": 5}}'),
        ("CRYPTOLAKE_CEILINGS", '{"month": {"dollars": 5}}'),
        ("CRYPTOLAKE_CEILINGS", '{"month": {"usd": -5}}'),
        ("CRYPTOLAKE_RPC_PRICES", '{"infrua": 0}'),
        ("CRYPTOLAKE_RPC_PRICES", '{"infura": -5}'),
        ("CRYPTOLAKE_VENDOR_RATES", '{"defilama": 5}'),
        ("CRYPTOLAKE_URLS", '{"defilama": "http://127.0.0.1:9"}'),
    ],
)
def test_a_key_that_nobody_reads_is_refused_by_every_command(tmp_path: Path, name: str, value: str) -> None:
    for words in (("plan", "--days", "1"), ("markets",)):
        done = cryptolake(tmp_path, *words, **{name: value})
        assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, ""), done


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_slip_of_the_pen_in_a_variable_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, step: int
) -> None:
    slips = {name[:at] + name[at + 1 :] for at in range(len(name))} | {
        name[: at + 1] + name[at:] for at in range(len(name))
    }
    # RPC_ and URL_ may name any chain and host: what comes of those is said where they are asked.
    for slip in sorted(one for one in slips - set(Settings.model_fields) if not one.startswith(("rpc_", "url_")))[
        ::step
    ]:
        variable_name = f"CRYPTOLAKE_{slip.upper()}"
        monkeypatch.setenv(variable_name, "1")
        with pytest.raises(BadInput, match=f"nobody reads {variable_name}; did you mean"):
            load_settings()
        monkeypatch.delenv(variable_name)


def test_a_variable_that_is_like_none_of_ours_passes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE_OF_ANOTHER_PROGRAM", "1")
    load_settings()


@pytest.mark.parametrize("name", GOOD)
def test_a_setting_is_never_taken_for_an_endpoint_an_address_or_a_key(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    del place
    put("environment", name, GOOD[name][0], monkeypatch)
    found = load_settings()
    for other in {"rpc", "urls", "alchemy_keys"} - {name}:
        assert not getattr(found, other)
    if name not in {"rpc", "alchemy_keys", "database_url", "reader_url", "portal_url"}:
        assert found.secrets() == []


def test_endpoints_of_no_chain_of_this_folder_are_named_and_nothing_is_refused(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "plan", "--days", "1", CRYPTOLAKE_RPC_ETHERUM="http://127.0.0.1:9/v2/a-key-of-mine")
    assert done.returncode == 0, done.stderr
    assert "etherum" in done.stderr
    assert "'ethereum'" in done.stderr
    assert "a-key-of-mine" not in done.stderr + done.stdout
