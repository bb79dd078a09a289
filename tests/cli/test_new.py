"""`cryptolake new`: what it writes is what the pages show, is found, passes its own test, and overwrites nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.walking import walk
from tests.command import CLEAN, cryptolake
from tests.waiting import PATIENCE_S
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "src" / "cryptolake" / "cli" / "templates"
KINDS = ("source", "family", "table")
HOME = {"source": "sources", "family": "sources/onchain", "table": "gold"}
TESTS = {"source": "sources", "family": "sources", "table": "gold"}
# Extends the package's folders by those of a checkout beside it, so that a new file is found without touching this one.
BESIDE = """
import sys
from pathlib import Path
import cryptolake.gold, cryptolake.sources, cryptolake.sources.onchain
for package in (cryptolake.gold, cryptolake.sources, cryptolake.sources.onchain):
    package.__path__.append(str(Path(sys.argv[1], "src", *package.__name__.split("."))))
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", sys.argv[1], sys.argv[2]]))
"""


def python(*arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**CLEAN, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder laid out as a checkout, without anything in it."""
    root = tmp_path / "checkout"
    for folder in HOME.values():
        (root / "src/cryptolake" / folder).mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return root


def refuse(folder: Path, *arguments: str) -> str:
    """Why `cryptolake new` refuses, run in this process for a folder."""
    error = CliRunner().invoke(app, ["new", *arguments, "--into", str(folder)]).exception
    assert isinstance(error, BadInput), error
    return str(error)


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_template_is_the_file_that_the_page_shows(kind: str) -> None:
    page = (ROOT / "docs" / f"add-a-{kind}.md").read_text()
    shown = re.findall(r"```python\n(?:# src/\S+\n)?(.*?)```", page, flags=re.DOTALL)
    assert (TEMPLATES / f"{kind}.py.txt").read_text() in shown


@pytest.mark.parametrize("name", ["acme", "raw"])  # `raw`: a careless template would hide what it imports
@pytest.mark.parametrize("kind", KINDS)
def test_inside_a_checkout_file_and_test_work_as_they_are(checkout: Path, kind: str, name: str) -> None:
    done = cryptolake(checkout / "src", "new", kind, name)
    assert done.returncode == 0, done.stderr
    test = f"tests/{TESTS[kind]}/test_{name}.py"
    assert written(checkout) == {f"src/cryptolake/{HOME[kind]}/{name}.py", test}
    passed = python("-c", BESIDE, checkout, test, cwd=checkout)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    ours = 'lint.isort.known-first-party=["cryptolake"]'  # whose modules are not in this empty checkout
    ruff = [str(Path(sys.executable).parent / "ruff"), "check", "--no-cache", "--config", ours, "."]
    linted = subprocess.run(ruff, cwd=checkout, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_test_that_was_written_fails_where_its_file_does_not_lie(checkout: Path, kind: str) -> None:
    assert CliRunner().invoke(app, ["new", kind, "acme", "--into", str(checkout)]).exit_code == 0
    (checkout / "src/cryptolake" / HOME[kind] / "acme.py").unlink()
    assert python("-c", BESIDE, checkout, f"tests/{TESTS[kind]}/test_acme.py", cwd=checkout).returncode != 0


def test_outside_a_checkout_a_source_is_a_package_that_is_found_once_installed(tmp_path: Path) -> None:
    done = walk(tmp_path, ("new", "source", "acme_rates"), {})
    assert done.code == 0, done.err
    assert "new.new_command" in done.reached
    installing, testing = done.steps
    assert installing[:-1] == ("pip", "install", "-e")
    package = tmp_path / installing[-1]
    site = tmp_path / "site"
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--offline", "--no-deps", "--no-build-isolation"]
    install = [*uv, "--python", sys.executable, "--target", site, package]
    made = subprocess.run(list(map(str, install)), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert made.returncode == 0, made.stderr
    path = os.pathsep.join([str(site), *filter(None, [CLEAN.get("PYTHONPATH")])])
    assert testing[0] == "python"
    passed = python(*testing[1:], "-q", "-p", "no:cacheprovider", cwd=tmp_path, PYTHONPATH=path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    listed = cryptolake(tmp_path, "sources", "--json", PYTHONPATH=path)
    assert '"acme_rates_temperature"' in listed.stdout, listed.stderr
    taken = cryptolake(tmp_path, "new", "source", "acme_rates", PYTHONPATH=path)
    assert (taken.returncode, "already" in taken.stderr) == (2, True)


@pytest.mark.parametrize("kind", ["family", "table"])
def test_outside_a_checkout_family_and_table_are_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    assert "--into CHECKOUT" in refuse(tmp_path, kind, "acme")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["Acme", "9lives", "a-b", "../up", "import", "a" * 41, ""])
def test_what_cannot_be_a_name_is_refused(checkout: Path, kind: str, name: str) -> None:
    assert ("word of Python" if name == "import" else "small letters") in refuse(checkout, kind, name)
    assert written(checkout) == set()


@pytest.mark.parametrize(("kind", "name"), [("source", "defillama"), ("family", "aave_v3"), ("table", "daily_panel")])
def test_a_name_in_use_is_refused(checkout: Path, kind: str, name: str) -> None:
    assert "already" in refuse(checkout, kind, name)
    assert written(checkout) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_kept_and_nothing_half_is_written(checkout: Path, kind: str) -> None:
    test = checkout / "tests" / TESTS[kind] / "test_acme.py"
    test.parent.mkdir(parents=True)
    test.write_text("mine")
    assert "nothing is overwritten" in refuse(checkout, kind, "acme")
    assert test.read_text() == "mine"
    assert written(checkout) == {f"tests/{TESTS[kind]}/test_acme.py"}
