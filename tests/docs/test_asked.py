"""Everything that the page about the documents names exists: commands, flags, tables, settings, files, tests, figures."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cryptolake.alerts.found import find_ways
from cryptolake.catalogue import contracts
from cryptolake.settings import Settings
from cryptolake.sources.found import find_sources

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    """A file of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ASKED = script("render_asked")
ROWS: list[dict[str, Any]] = ASKED.rows()
COMMANDS = dict(script("render_docs").commands())
KEYS = {"asks", "ours", "commands", "tables", "settings", "files", "data", "tests", "measured", "bench", "differs"}
MARKS = re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", (ROOT / "benchmarks/README.md").read_text(), flags=re.DOTALL)
BENCHMARKS = dict(MARKS)
COUNTED = {"20,8"}  # a type's precision is no figure


def each(key: str) -> list[str]:
    return sorted({name for row in ROWS for name in row.get(key, ())})


def test_a_row_answers_and_has_no_other_keys() -> None:
    for row in ROWS:
        assert set(row) <= KEYS, row
        answered = {"ours", "commands", "tables", "settings", "files", "data", "tests", "measured"} & set(row)
        assert answered or row.get("differs"), row["asks"]
        assert row.get("tests") or row.get("measured") or row.get("differs"), f"nothing proves: {row['asks']}"


@pytest.mark.parametrize("named", each("commands"))
def test_a_command_and_its_flags_exist(named: str) -> None:
    words = [word for word in named.split() if not word.startswith("--")]
    command = COMMANDS[" ".join(words)]
    flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    assert {word for word in named.split() if word.startswith("--")} <= flags


@pytest.mark.parametrize("named", each("tables"))
def test_a_table_and_its_column_exist(named: str) -> None:
    known = {one.name: {*one.columns, one.identity or ""} for one in contracts()}
    table, _, column = named.partition(".")
    assert column in known[table] | {""}


@pytest.mark.parametrize("named", each("settings"))
def test_a_setting_exists(named: str) -> None:
    vendors = [file.vendor for file in find_sources().files if file.vendor is not None]
    declared = {key.name.lower() for one in vendors for key in one.keys}
    declared |= {f"{one.name}_config" for one in vendors if one.watch_list is not None}
    declared |= {one.name.removeprefix("CRYPTOLAKE_").lower() for way in find_ways().ways for one in way.settings}
    assert named in {*Settings.model_fields, *declared}


@pytest.mark.parametrize("named", each("files"))
def test_a_file_exists(named: str) -> None:
    assert (ROOT / named).is_file()


@pytest.mark.parametrize("named", each("tests"))
def test_a_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", [row for row in ROWS if "measured" in row], ids=lambda row: row["asks"][:40])
def test_a_measured_figure_stands_in_its_benchmark(row: dict[str, Any]) -> None:
    block = "".join(BENCHMARKS[name] for name in row["bench"].split())
    standing = set(re.findall(r"\d[\d,.]*\d|\d", block))
    # A single digit counts things in the sentence; everything else is a figure.
    figures = set(re.findall(r"\d[\d,.]*\d", row["measured"])) - COUNTED
    assert figures <= standing, figures - standing


def test_nothing_is_said_of_places_outside_the_repository() -> None:
    page = ASKED.asked_page()
    assert not re.findall(r"(?:\.\./){2,}|/home/|/tmp/|/work/", page)
