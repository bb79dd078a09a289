"""What there is to be one of: who reads the data folder's setting, sets the database up, writes files whole, takes locks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptolake.catalogue import contracts
from cryptolake.sources.found import find_sources
from cryptolake.sources.onchain.families import families

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"

# Renames of whole things that lie there already: nothing is written, so nothing can be half written.
MOVES = {
    "lake/bronze.py": "an answer that was superseded",
    "lake/archives.py": "an archive that cannot be read",
    "lake/set_aside.py": "a whole lake, or a ledger that cannot be read",
    "net/block_cache.py": "a cache that cannot be read",
    "publish/place.py": "a copied folder of programs",
    "publish/server.py": "a folder that became a cluster, and one that is none any more",
}
_LOCKS = {"fcntl", "msvcrt"}
_TEMPORARY = {"mkstemp", "NamedTemporaryFile"}


Modules = list[tuple[str, ast.Module]]


@pytest.fixture(scope="module")
def modules() -> Modules:
    """Every module of the package by its path there, parsed."""
    return [
        (one.relative_to(PACKAGE).as_posix(), ast.parse(one.read_text("utf-8")))
        for one in sorted(PACKAGE.rglob("*.py"))
    ]


def reads_data(tree: ast.AST) -> Iterator[int]:
    """Where `settings.data` is read, whatever the settings hang on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "data" and ast.unparse(node.value).endswith("settings"):
            yield node.lineno


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the last part of its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def writes(tree: ast.AST) -> Iterator[str]:
    """What a module does to files that could leave half of one, or take a lock of its own."""
    for name, call in calls(tree):
        is_method = isinstance(call.func, ast.Attribute)
        if name in _TEMPORARY or (is_method and name in {"write_text", "write_bytes"}):
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(one.name in _LOCKS for one in node.names):
            yield "lock"


def moves(tree: ast.AST) -> bool:
    """Whether a module renames files: `rename` or `replace` with a single place (`str.replace` has two arguments)."""
    return any(
        isinstance(call.func, ast.Attribute)
        and name in {"rename", "replace"}
        and len(call.args) == 1
        and not call.keywords
        and isinstance(call.args[0], ast.Call | ast.Name | ast.BinOp)
        and "polars" not in ast.unparse(call.func)
        for name, call in calls(tree)
    )


# Who reads rows of the panel without handing them out unasked; everybody else takes them from `work.chosen_panel`.
READS_THE_PANEL = {
    "work/handing_out.py": "the door",
    "work/chosen_panel.py": "asks at the door",
    "work/lending.py": "publish asks at the door; collect takes the order of the markets",
    "work/checking.py": "judges it",
    "cli/quality.py": "judges it",
    "work/complete.py": "counts its complete days while answers come, and hands out nothing",
    "work/cited.py": "names a version by its digest, and hands out nothing",
    "work/breaking.py": "judges copies that are broken on purpose, and hands out nothing",
}


def test_rows_of_the_panel_leave_by_one_door(modules: Modules) -> None:
    found = {
        where
        for where, tree in modules
        for name, call in calls(tree)
        if name in {"read", "stored"}
        and call.args
        and ast.unparse(call.args[0]) in {"DAILY_PANEL", "daily_panel.TABLE"}
    }
    assert found == READS_THE_PANEL.keys(), "take the rows from work.chosen_panel, or ask work.handing_out"


def test_what_is_said_of_an_answer_is_said_with_its_prices(modules: Modules) -> None:
    """One reader of evidence: `verify` and `opened` know nothing of prices where they are not given what these are worth."""
    beside = {
        (where, one.name)
        for where, tree in modules
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in {"cryptolake.work.verify", "cryptolake.work.cells"}
        for one in node.names
        if one.name in {"verify", "opened"} and where != "work/vouched.py"
    }
    # It looks for the grade of logs in copies that are broken on purpose.
    assert beside <= {("work/breaking.py", "opened")}, "ask work.vouched"


def test_only_the_app_reads_where_the_data_folder_is(modules: Modules) -> None:
    found = [f"{where}:{line}" for where, tree in modules if where != "app.py" for line in reads_data(tree)]
    assert found == [], "take a member of App, e.g. app.folder.ledger"


def test_only_the_app_opens_the_warehouse_and_sets_its_tables_up(modules: Modules) -> None:
    found = [
        f"{where}:{call.lineno}"
        for where, tree in modules
        for name, call in calls(tree)
        if (where != "app.py" and name == "Database")
        or (where != "publish/database.py" and (name == "setup" or ast.unparse(call.func).endswith("Warehouse.open")))
    ]
    assert found == [], "use `with app.warehouse() as warehouse`"


def test_files_are_written_and_locked_in_one_place(modules: Modules) -> None:
    found = [f"{where} {what}" for where, tree in modules if not where.startswith("files/") for what in writes(tree)]
    assert found == [], "use files.atomic.write_bytes, files.lock"


def test_whatever_else_renames_files_only_moves_them(modules: Modules) -> None:
    found = {where for where, tree in modules if not where.startswith("files/") and moves(tree)}
    assert found == set(MOVES)


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (lambda tree: any(reads_data(tree)), "folder = app.settings.data / 'x'"),
        (lambda tree: any(reads_data(tree)), "folder = settings.data"),
        (lambda tree: any(writes(tree)), "path.write_text('x')"),
        (lambda tree: any(writes(tree)), "tempfile.mkstemp(dir=folder)"),
        (lambda tree: any(writes(tree)), "def f():\n    import fcntl"),
        (moves, "half.replace(path)"),
        (moves, "half.rename(folder / 'x')"),
    ],
)
def test_the_rules_see_what_they_forbid(check: object, source: str) -> None:
    assert callable(check)
    assert check(ast.parse(source))


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every word of a module's names and texts, docstrings too, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        texts = []
        match node:
            case ast.Name(id=text) | ast.arg(arg=text) | ast.Attribute(attr=text):
                texts = [text]
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text) | ast.keyword(arg=str(text)):
                texts = [text]
            case ast.Constant(value=str(text)):
                texts = re.findall(r"\w+", text)
        for text in texts:
            yield line, text


def foreign() -> set[str]:
    """Names that mechanics must not know: vendors, families, tables and the words SQL is made of."""
    vendors = {one.vendor.name for one in find_sources().files if one.vendor is not None}
    return {*vendors, *families(), *(one.name for one in contracts())} | {
        *("SELECT", "INSERT", "UPDATE", "DELETE", "WHERE", "JOIN", "CREATE", "ALTER", "DROP"),
    }


def test_mechanics_name_no_vendor_no_family_no_table_and_no_sql(modules: Modules) -> None:
    unknown = foreign()
    found = [
        f"{where}:{line} {word}"
        for where, tree in modules
        if where.startswith("flow/")
        for line, word in names(tree)
        if word in unknown
    ]
    assert found == [], "hand it in, or move the step to work"


def test_the_fence_of_mechanics_sees_a_vendor_a_table_and_sql() -> None:
    source = 'def f(tvl):\n    """Asks defillama."""\n    return "SELECT 1"'
    seen = {word for _, word in names(ast.parse(source))} & foreign()
    assert seen == {"tvl", "defillama", "SELECT"}
