"""What a command imports: none pays for what it does not use. Nothing is timed here; `benchmarks/startup.py` does that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import CLEAN
from tests.waiting import PATIENCE_S

_HEAVY = """Crypto asyncssh ccxt dagster dask deltalake distributed duckdb msgspec numpy pandas polars psycopg pyarrow
pydantic pydantic_settings pyreqwest rich scipy sqlite3 statsmodels structlog yaml"""
HEAVY = frozenset([*_HEAVY.split(), "typer"])
# Printing; how flags become values; the settings; the registry's rows; the declarations of tables.
PRINT = {"rich", "typer"}
FLAGS = {"pydantic", "typer"}  # pydantic is typer's own
SETTINGS = FLAGS | {"pydantic_settings", "structlog", "rich"}  # structlog brings rich
FAMILIES = {"yaml", "Crypto", "msgspec", "pyreqwest"}
TABLES = {"polars", "pyarrow", "numpy"}

_RUN = """
import atexit, os, sys
from pathlib import Path
atexit.register(lambda: Path(os.environ["LOADED"]).write_text(" ".join(sys.modules)))
sys.argv[0] = "cryptolake"
from cryptolake.cli import main
main()
"""


def loaded(folder: Path, *arguments: str, **variables: str) -> tuple[set[str], str]:
    """The heavy libraries that a call leaves in memory, and what it printed."""
    report = folder / "loaded"
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=folder,
        env={**CLEAN, "LOADED": str(report), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(report.read_text().split()), done.stdout


CALLS = {
    "--version": set[str](),
    "--help": PRINT,
    "-h": PRINT,
    "help --all": PRINT,
    "help run": PRINT,
    "run --help": PRINT,
    "rpc probe -h": PRINT,
    "markets": SETTINGS | FAMILIES,
    "markets --json": SETTINGS | FAMILIES,
    "markets show aave_v3_ethereum": SETTINGS | FAMILIES,
    "contracts show daily_panel": SETTINGS | FAMILIES | TABLES,  # sources may have tables of their own
    "entities": PRINT | FLAGS,
    "sources": SETTINGS | FAMILIES | TABLES | {"sqlite3"},
    "plan --days 3": SETTINGS | FAMILIES | {"sqlite3", "polars"},
    "ledger inspect": SETTINGS | {"sqlite3"},
    "monitor --days 3": SETTINGS | FAMILIES | {"sqlite3", "polars"},
}


@pytest.mark.parametrize("words", CALLS)
def test_a_call_loads_no_more_than_it_uses(tmp_path: Path, words: str) -> None:
    libraries, printed = loaded(tmp_path, *words.split())
    assert printed
    assert libraries <= CALLS[words]


# Each shell tells the words in its own way; fish asks for all texts, the others too but for bash.
def _asked(shell: str, words: str) -> dict[str, str]:
    return {
        "bash": {"_CRYPTOLAKE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
        "zsh": {"_CRYPTOLAKE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words},
        "fish": {
            "_CRYPTOLAKE_COMPLETE": "complete_fish",
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        },
    }[shell]


COMPLETIONS: dict[str, tuple[str, set[str]]] = {
    "cryptolake pl": ("plan", set()),
    "cryptolake --ver": ("--version", set()),
    "cryptolake plan --gran": ("--granularity", set()),
    "cryptolake rpc pro": ("probe", set()),
    "cryptolake contracts show daily_pan": ("daily_panel", set()),
    "cryptolake plan --csu aave_v3_eth": ("aave_v3_ethereum", {"yaml"}),
    "cryptolake plan --set thesis-4": ("thesis-43", {"yaml"}),
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("words", COMPLETIONS)
def test_completion_loads_almost_nothing(tmp_path: Path, shell: str, words: str) -> None:
    expected, allowed = COMPLETIONS[words]
    libraries, printed = loaded(tmp_path, **_asked(shell, words))
    assert expected in printed
    assert libraries <= allowed


def test_no_command_file_loads_a_heavy_library_by_being_imported(tmp_path: Path) -> None:
    script = "import sys; from cryptolake.cli.found import Commands, every; every(Commands()); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=CLEAN, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) <= FLAGS | PRINT, "import it in the function that uses it"


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cryptolake", "--version"], cwd=tmp_path, env=CLEAN, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"cryptolake ")
