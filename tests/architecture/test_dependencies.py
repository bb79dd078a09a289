"""What is declared is used, what is used is declared, and the library of an extra is imported where its extra is meant."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "cryptolake"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BY_NAME = {"ccxt": "cryptolake.sources.exchanges"}  # imported by its name, which import contracts do not see


def deptry(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "deptry"
    return subprocess.run([program, "--no-ansi", *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ('"orjson>=3.11",', "", "DEP003|DEP001"),
        ('"orjson>=3.11",', '"orjson>=3.11",\n  "colorama",', "DEP002"),
        ('"duckdb>=1.4",', '"duckdb>=1.4",\n  "hypothesis",', "DEP002"),
    ],
)
def test_an_undeclared_and_an_unused_dependency_are_red(tmp_path: Path, before: str, after: str, rule: str) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert before in text
    (tmp_path / "pyproject.toml").write_text(text.replace(before, after, 1))
    (tmp_path / "src").symlink_to(ROOT / "src")
    done = deptry(tmp_path, "src")
    assert done.returncode == 1, done.stdout
    assert re.search(rule, done.stderr + done.stdout)


def _requirements(lines: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;]", line)[0].strip().lower() for line in lines}


def _imports(text: str) -> set[str]:
    """Top-level names of what is imported, by statement or by a literal name."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return {name.partition(".")[0] for name in found}


def _allowed() -> dict[str, list[str]]:
    """The modules that may import an outside library, by the import contracts and `BY_NAME`."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    found = {library: [module] for library, module in BY_NAME.items()}
    for section in parser.sections():
        if parser[section].get("type") == "protected":
            for library in parser[section]["protected_modules"].split():
                found[library] = parser[section]["allowed_importers"].split()
    return found


def test_the_library_of_an_extra_is_imported_only_where_a_contract_allows_it() -> None:
    optional = {one for lines in PROJECT["optional-dependencies"].values() for one in _requirements(lines)}
    optional -= _requirements(PROJECT["dependencies"]) | {"cryptolake"}
    libraries = {
        library for library, names in packages_distributions().items() if {one.lower() for one in names} & optional
    }
    assert {"ccxt", "dagster", "distributed", "pandas"} <= libraries
    allowed = _allowed()
    for path in sorted(SOURCES.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts).removesuffix(".__init__")
        for library in _imports(path.read_text()) & libraries:
            rooms = allowed.get(library, [])
            assert any(f"{module}.".startswith(f"{room}.") for room in rooms), f"{module} imports {library}"
