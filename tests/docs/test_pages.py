"""The rendered pages and the README say what the code does today."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from tests.command import cryptolake

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("render_docs", ROOT / "scripts" / "render_docs.py")
assert _spec is not None
assert _spec.loader is not None
render_docs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(render_docs)

COMMANDS = dict(render_docs.commands())
FIRST_WORDS = {name.split()[0] for name in COMMANDS}


@pytest.mark.parametrize("page", sorted(render_docs.PAGES))
def test_a_rendered_page_is_up_to_date(page: str) -> None:
    assert (ROOT / "docs" / page).read_text() == render_docs.PAGES[page](), "run: python scripts/render_docs.py"


def test_the_stable_commands_are_all_there() -> None:
    stable = "setup sources plan collect refine build publish run pull backfill query monitor demo"
    assert set(stable.split()) <= set(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_and_an_example(command: str) -> None:
    text = COMMANDS[command].help or ""
    assert f"Example: cryptolake {command}" in text


def _documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]


@pytest.mark.parametrize("path", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_command_in_the_docs_exists(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for command in re.findall(r"(?:^|`|\$ |bin/)cryptolake ((?:--\w+ \S+ )*)([a-z][a-z-]*)", text, flags=re.MULTILINE):
        assert command[1] in FIRST_WORDS, f"{path.name} shows `cryptolake {command[1]}`"


def test_the_readme_says_what_the_study_costs(tmp_path: Path) -> None:
    """Its figures are those that `plan` gives today for an empty folder."""
    days = ("--start-date", "2024-12-01", "--end-date", "2024-12-31")
    done = cryptolake(tmp_path, "plan", "--set", "thesis-43", *days, "--json", ALCHEMY_KEY_1="of-a-test-0123456789")
    assert done.returncode == 0, done.stderr
    accounts = {one["plan"]: one for one in json.loads(done.stdout)["plans"]}
    wide, free = accounts["alchemy_payg"], accounts["alchemy_free"]
    said = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"{wide['calls']:,} calls, about {wide['usd']:.2f} USD and less than a minute" in said
    assert wide["hours"] * 60 < 1
    assert f"{free['calls'] / 1e6:.1f} million calls and {free['hours']:.0f} hours of a free one" in said
    assert not free["fits"]
