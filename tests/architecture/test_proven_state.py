"""State comes by one road, which has it borne out: nobody reads contracts, or makes up that something was read, beside it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cryptolake.sources.onchain.families import families

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cryptolake"

# Who may ask contracts, and for what.
ASKS: dict[str, dict[str, str]] = {
    "run": {
        "net/multicall.py": "is the driver",
        "sources/onchain/proven.py": "the block and the market prove themselves",
        "sources/chainlink.py": "quotes of a price source, which are no family's",
        "work/market_check.py": "checks rows of the registry, and lands nothing",
    },
    "run_programs": {
        "sources/onchain/proven.py": "defines it",
        "sources/onchain/state.py": "is the road",
        "sources/onchain/second_voice.py": "asks again",
    },
    "run_proven": {"sources/onchain/proven.py": "defines it", "sources/onchain/state.py": "is the road"},
    "borne_out": {
        "sources/onchain/second_voice.py": "defines it",
        "sources/onchain/state.py": "is the road",
        "sources/onchain/failures.py": "asks again about what made markets fail, for the road",
    },
    "Read": {"sources/onchain/state.py": "makes what was read together with who bears it out"},
}
# Questions about state; below the road (net) they are asked, and besides it only to find out what is absent.
METHODS = ("eth_call", "eth_getStorageAt", "eth_getBalance", "eth_getCode", "eth_getProof")
NAMES = {"sources/onchain/presence.py": "looks for code", "sources/onchain/planning.py": "counts, and asks nobody"}


def uses(tree: ast.AST, name: str) -> bool:
    """Whether a module calls something by this name; of `run`, only the driver's, by how it was imported."""
    imported = {
        one.asname or one.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (name != "run" or node.module == "cryptolake.net.multicall")
        and (name != "Read" or (node.module or "").endswith("onchain.state"))
        for one in node.names
        if one.name == name
    }
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return any(
        isinstance(node, ast.Call)
        and isinstance(function := node.func.value if isinstance(node.func, ast.Subscript) else node.func, ast.Name)
        and function.id in (imported | (defined & {name}))
        for node in ast.walk(tree)
    )


def asks(tree: ast.AST, method: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == method for node in ast.walk(tree))


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


@pytest.mark.parametrize("name", ASKS)
def test_contracts_are_read_by_one_road(modules: dict[str, ast.Module], name: str) -> None:
    found = {where for where, tree in modules.items() if uses(tree, name)}
    assert found <= ASKS[name].keys(), "read contracts with sources.onchain.state.StateReader"


@pytest.mark.parametrize("method", METHODS)
def test_no_source_asks_about_state_beside_it(modules: dict[str, ast.Module], method: str) -> None:
    found = {where for where, tree in modules.items() if where.startswith("sources/") and asks(tree, method)}
    assert found <= NAMES.keys(), "read contracts with sources.onchain.state.StateReader"


def test_families_ask_nothing_themselves() -> None:
    """A family is free of I/O: what it needs it yields, so that the road decides how that is read."""
    for name in families():
        tree = ast.parse((PACKAGE / "sources" / "onchain" / f"{name}.py").read_text("utf-8"))
        imported = {
            f"{node.module}.{one.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for one in node.names
        }
        asking = {one for one in imported if one.rpartition(".")[2] in {*ASKS, "Pool", "Http", "scan", "StateReader"}}
        assert asking == set(), name


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("run", "from cryptolake.net.multicall import run\nrun(pool, {}, 1)"),
        ("run", "from cryptolake.net.multicall import run as ask\nask(pool, {}, 1)"),
        ("run_programs", "from cryptolake.sources.onchain.proven import run_programs\nrun_programs(pool, {}, b, c)"),
        ("Read", "from cryptolake.sources.onchain.state import Read\nRead({}, borne)"),
        ("Read", "from cryptolake.sources.onchain.state import Read\nRead[int]({}, borne)"),
    ],
)
def test_the_rule_sees_what_it_forbids(name: str, source: str) -> None:
    assert uses(ast.parse(source), name)
