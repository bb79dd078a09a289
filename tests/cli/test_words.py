"""Words that only those who built it know appear nowhere that a user or a program of theirs reads."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.compat.kept import KEPT
from tests.server_folder import server_folder

import cryptolake as package
from cryptolake.catalogue import contracts
from cryptolake.cli.found import Commands
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.settings import Settings
from cryptolake.state.ledger import Ledger
from cryptolake.watch.coverage import status
from cryptolake.watch.metrics import metrics

# `voice` is a word of the documented grades of evidence (docs/reader.md) and may be said.
PRIVATE = re.compile(
    r"(?<![a-z])(trips?|tellers?|twins?|witness(es)?|gone|rivers?|folds?|folded|rolls?|labs?(?! machines))(?![a-z0-9])",
    re.IGNORECASE,
)
PACKAGE = Path(next(iter(package.__path__)))
AT = datetime(2024, 12, 1, 12, tzinfo=UTC)
PRINTING = {"print_line", "print_note", "print_next", "print_table", "BadInput", "Stop", "Skip", "Retry", "Narrow"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which `data` is what an earlier version collected."""
    with server_folder("words", "data") as made:
        shutil.copytree(KEPT / "data", made / "data")
        yield made


def helps(name: str, command: object) -> Iterator[tuple[str, str]]:
    """The help of a command, of its flags and of the commands below it."""
    yield name, str(getattr(command, "help", ""))
    for one in getattr(command, "params", []):
        yield f"{name} {one.name}", str(getattr(one, "help", ""))
    for below, one in getattr(command, "commands", {}).items():
        yield from helps(f"{name} {below}", one)


def test_no_help_uses_a_private_word() -> None:
    found = [text for name, command in Commands().items() for text in helps(name, command)]
    assert len(found) > len(Commands())
    assert [text for text in found if PRIVATE.search(text[1])] == []


def test_no_description_of_a_table_or_setting_uses_a_private_word() -> None:
    texts = [
        (one.name, text)
        for one in contracts()
        for text in (one.name, one.grain, one.doc, *(words for each in one.fields for words in (each.name, each.doc)))
    ]
    texts += [(name, str(one.description or "")) for name, one in Settings.model_fields.items()]
    assert [text for text in texts if PRIVATE.search(text[1])] == []


def texts(source: str) -> Iterator[str]:
    """Every text in a module but its docstrings: JSON keys, headings, log lines, whatever else may be shown."""
    tree = ast.parse(source)
    alone = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for one in ast.walk(tree):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in alone:
            yield one.value


# The ledger's files keep their words: its state `gone`, and the names in its schema. Old columns answer to their old names.
# A rich table's `overflow="fold"` and the name of a thread are nobody's to read.
UNSHOWN = {"gone", "trips", "('done', 'empty', 'gone')", "teller", "tellers", "fold", "trip"}
SCHEMA = "state/ledger_schema.py"


def test_no_text_in_the_code_has_a_private_word() -> None:
    found = [
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in texts(path.read_text("utf-8"))
        if PRIVATE.search(text) and text not in UNSHOWN
    ]
    assert [one for one in found if one[0] != SCHEMA] == []


def test_no_document_says_the_ledgers_word_for_what_cannot_be_answered(folder: Path) -> None:
    """What is shown passes one function; a document that leaves it out would say `gone`."""
    partition = "tvl/aave_v3_sandbox/2024-11-30"
    with closing(Ledger(folder / "data" / "ledger.sqlite")) as ledger:
        ledger.append_many(
            Entry(Partition.parse(f"{dataset}/aave_v3_sandbox/2024-11-30"), "gone", AT, reason="not_deployed")
            for dataset in ("tvl", "liquidations", "stablecoin_supply")
        )
    said = []
    for words in (
        ["monitor", "--json"],
        ["monitor"],
        ["ledger", "inspect", "--json"],
        ["ledger", "inspect"],
        ["ledger", "inspect", partition, "--json"],
        ["ledger", "inspect", partition],
        ["verify", "--json"],
        ["quality", "--json"],
        ["sources", "--json"],
    ):
        done = cryptolake(folder, "--data", "data", *words)
        assert done.returncode in {0, 1}, done.stderr
        assert done.stdout.strip(), words
        said.append((words, sorted({one[0] for one in PRIVATE.findall(done.stdout + done.stderr)})))
    assert [one for one in said if one[1]] == []


def test_the_pages_and_the_metrics_say_unanswerable(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        ledger.append_many([Entry(Partition.parse("tvl/aave_v3_base/2024-11-30"), "gone", AT)])
        scraped, shown = metrics(ledger, [], AT), json.dumps(status(ledger, [], {}, now=AT))
    assert 'state="unanswerable"' in scraped
    assert '"unanswerable": 1' in shown
    page = "".join(
        one.read_text("utf-8") for one in (PACKAGE / "watch/page").iterdir() if one.suffix in {".html", ".js"}
    )
    assert [PRIVATE.findall(one) for one in (scraped, shown, page)] == [[], [], []]


DOCS = PACKAGE.parents[1] / "docs"


def test_no_page_uses_a_private_word() -> None:
    """But for the glossary, which explains them, the records of decisions, and what stands as code."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    pages = [one for one in pages if one.name != "glossary.md" and "decisions" not in one.parts]
    bare = {
        one.name: re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", one.read_text("utf-8"), flags=re.DOTALL) for one in pages
    }
    assert len(bare) > 10
    assert {name: found for name, text in bare.items() if (found := PRIVATE.findall(text))} == {}


def printed(source: str) -> Iterator[str]:
    """Every text that is handed to what prints or fails, with what is filled in left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in PRINTING:
            for one in ast.walk(node):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield one.value


def test_nothing_printed_uses_a_private_word() -> None:
    found = [
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in printed(path.read_text("utf-8"))
        if PRIVATE.search(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["print_line(f'3 {x} gone')", "raise Stop('ask another witness')", "a.print_note('trip')"]
)
def test_a_private_word_is_seen(text: str) -> None:
    assert any(PRIVATE.search(one) for one in printed(text))
