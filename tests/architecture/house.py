"""A folder of single files, one of each kind that can be added, and the command line that finds them in processes of its own.

The files lie where the package looks (its rooms' `__path__` is lengthened before anything runs) or belong to another
distribution that offers them by entry point; nothing of the package itself is changed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.chain.anvil import MULTICALL3
from tests.command import CLEAN, python
from tests.docs.examples import DOCS
from tests.registry.test_one_file import FAMILY

KEY = "open/sesame-42"
LENGTHEN = """
import importlib, pathlib

here = pathlib.Path(__file__).parent
for room in ("sources", "sources.onchain", "silver", "gold", "cli"):
    importlib.import_module(f"cryptolake.{room}").__path__.append(str(here / room))
"""
TABLE = '''
"""{layer} table `{name}`: how many rows each of its inputs has. No I/O."""

import polars as pl

from cryptolake.contracts.table import Field, Table

INPUTS = {inputs!r}
TABLE = Table(
    name="{name}",
    layer="{layer}",
    grain="one input",
    key=("input",),
    fields=(Field("input", "text", "table"), Field("rows", "int64", "rows it has")),
    doc="Rows of what {name} is made of.",
    publish_as="{layer}/{name}.parquet",
)


def build({arguments}):
    counts = [one.height for one in ({arguments},)]
    return pl.DataFrame(dict(input=list(INPUTS), rows=counts), schema=TABLE.polars_schema()).sort("input")
'''
COMMAND = '''
"""The greet command."""

import typer


def add_commands(cli: typer.Typer) -> None:
    """Register it."""
    cli.command("greet", rich_help_panel="Start")(greet)


def greet() -> None:
    """Greet.

    Example: cryptolake greet
    """
    typer.echo("good day")
'''
# Tables that are added, with what each is made of: lending tables, series, a source's own, and what is made of those.
ADDED = {
    "till_rows": ("silver", ("tvl",)),
    "panel_rows": ("gold", ("daily_panel", "till_rows")),
    "series_rows": ("gold", ("metrics",)),
    "sun_rows": ("gold", ("sunrises",)),
    "all_rows": ("gold", ("daily_panel", "metrics", "sunrises", "sun_rows")),
}


def table_file(name: str, layer: str, inputs: tuple[str, ...]) -> str:
    """A whole table's file."""
    return TABLE.format(name=name, layer=layer, inputs=inputs, arguments=", ".join(f"a{n}" for n in range(len(inputs))))


def shown_sources() -> list[str]:
    """The vendors that docs/add-a-source.md shows: one with a key, one with a table of its own."""
    return re.findall(r"```python\n(.*?)```", (DOCS / "add-a-source.md").read_text(), flags=re.DOTALL)


@dataclass
class House:
    """The folder, with the command line run in it."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def more(self) -> Path:
        """Where the added files lie."""
        return self.folder / "more"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def add(self, place: str, text: str) -> Path:
        """Put a file where it is found."""
        path = self.more / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def fill(self) -> None:
        """One file of each kind, and one row of a market."""
        self.add("sitecustomize.py", LENGTHEN)
        keyed, own = shown_sources()
        self.add("elsewhere.py", keyed)
        self.add("elsewhere-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
        self.add("elsewhere-1.0.dist-info/entry_points.txt", "[cryptolake.sources]\nweather = elsewhere\n")
        self.add("sources/sun.py", own)
        self.add("sources.onchain/till.py", FAMILY)
        self.add("cli/greet.py", COMMAND)
        for name, (layer, inputs) in ADDED.items():
            self.add(f"{layer}/{name}.py", table_file(name, layer, inputs))
        chain = {"chain_id": 31337, "multicall3": {"address": MULTICALL3, "block": 0}}
        row = {
            "name": "my_till",
            "family": "till",
            "chain": "local",
            "entry": {"till": MULTICALL3},
            "sources": ["a test"],
        }
        self.data.mkdir(exist_ok=True)
        (self.data / "registry.yaml").write_text(yaml.safe_dump({"chains": {"local": chain}, "csus": [row]}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that finds the files."""
        return {**CLEAN, **self.variables, "PYTHONPATH": os.pathsep.join([str(self.more), *sys.path])}

    def python(self, code: str, *arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a process that finds the files."""
        found = f"import sitecustomize\n{code}"  # where Python has started already, it is loaded now
        more = {**self.variables, "PYTHONPATH": self.environment["PYTHONPATH"], **variables}
        return python(found, *arguments, folder=self.folder, variables=more, typed=typed)

    def __call__(self, *arguments: str, code: int | None = 0, typed: str = "", **variables: str) -> str:
        """Run the command line; what it prints, standard error last. It must end with `code`, unless that is None."""
        done = self.python("from cryptolake.cli import main; main()", *arguments, typed=typed, **variables)
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def document(self, *arguments: str, **variables: str) -> Any:
        """The command's JSON."""
        done = self.python("from cryptolake.cli import main; main()", *arguments, "--json", **variables)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """What PostgreSQL answers."""
        found: list[dict[str, Any]] = self.document("query", "--sql", statement)
        return found
