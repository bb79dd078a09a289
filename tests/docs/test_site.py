"""The documentation is a site without a broken link, and the files it shows are whole."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.docs.examples import DOCS, example

from cryptolake.contracts.table import Table
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain.families import declared

ROOT = DOCS.parent
ADD = sorted(path.name for path in DOCS.glob("add-a*.md") if path.name != "add-a-source.md")


def build(root: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a copy of the repository's pages."""
    return subprocess.run(
        [sys.executable, "scripts/build_site.py"], cwd=root, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Another repository with the same pages, so that nothing is written into ours."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes() if name.endswith((".md", ".yml", ".py")) else b"")
    return tmp_path


def test_the_site_is_built_strictly_and_asks_no_other_host(pages: Path) -> None:
    result = build(pages)
    assert result.returncode == 0, result.stderr
    for path in (pages / "build/site").rglob("*.html"):
        text = path.read_text()
        assert 'src="http' not in text, path.name
        assert 'rel="stylesheet" href="http' not in text, path.name


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("docs/trip.md", "[gone](no-such-page.md)"),
        ("docs/trip.md", "[gone](prices.md#no-such-heading)"),
        ("README.md", "[gone](docs/no-such-page.md)"),
    ],
)
def test_a_broken_link_is_red(pages: Path, page: str, link: str) -> None:
    with (pages / page).open("a") as file:
        file.write(f"\n{link}\n")
    result = build(pages)
    assert result.returncode == 1
    assert "no-such" in result.stderr


@pytest.mark.parametrize("page", ADD)
def test_a_page_shows_one_whole_file(page: str) -> None:
    name, content = example(page)
    if name.endswith(".py"):
        tree = ast.parse(content)
        assert ast.get_docstring(tree)


def test_the_table_of_the_page_sums_by_chain() -> None:
    shown: dict[str, object] = {}
    exec(example("add-a-table.md")[1], shown)
    table, function = shown["TABLE"], shown["build"]
    assert isinstance(table, Table)
    assert callable(function)
    rows = {"chain": ["a", "a", "b", "b"], "date": ["2024-12-01"] * 4, "total_tvl_usd": [1.0, 2.0, 3.0, None]}
    made = function(pl.DataFrame(rows).with_columns(pl.col("date").str.to_date()))
    assert table.violations(made) == []
    assert made.select("chain", "total_tvl_usd", "markets").rows() == [("a", 3.0, 2), ("b", None, 2)]


def test_the_program_of_the_family_page_runs() -> None:
    exec(example("add-a-family.md")[1], {})


def test_the_market_of_the_page_is_a_row(tmp_path: Path) -> None:
    name, content = example("add-a-market.md")
    (tmp_path / name).write_text(content)
    assert "aave_v3_mine" in load_registry(declared(), tmp_path / name).csus
