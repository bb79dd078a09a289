"""`rpc probe --keep` puts what was measured into the settings' file: all else in it stays, and nothing secret gets there."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command import cryptolake
from tests.hostile.server import Hostile
from tests.net.node import Node, linear

from cryptolake.demo.replay import sandbox_registry
from cryptolake.errors import BadInput
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain.families import declared
from cryptolake.work.setting_files import merged_tables

NAMES = st.sampled_from(["ethereum-own-1", "alchemy-2", "base-rpc.example.org", "own"])
VALUES = st.dictionaries(st.sampled_from(["span", "batch", "addresses", "archive"]), st.integers(1, 10**9), max_size=4)
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)


@given(first=TABLES, second=TABLES, before=st.booleans())
def test_tables_are_merged_and_everything_else_stays(
    first: dict[str, dict[str, int]], second: dict[str, dict[str, int]], before: bool
) -> None:
    text = '# mine\ndays = 7 # a week\n\n[market_sets]\nmine = ["a"]\n' if before else ""
    made = merged_tables(merged_tables(text, "endpoints", first), "endpoints", second)
    names = {*first, *second}
    wanted = {name: {**first.get(name, {}), **second.get(name, {})} for name in names}
    document = tomllib.loads(made)
    assert document.pop("endpoints", {}) == wanted
    assert document == tomllib.loads(text)
    assert all(line in made.splitlines() for line in text.splitlines())


def test_another_layout_is_refused_and_not_spoilt() -> None:
    with pytest.raises(BadInput, match=r"\[endpoints.NAME\]"):
        merged_tables("endpoints = { a = { span = 1 } }\n", "endpoints", {"a": {"span": 2}})


def test_what_was_measured_is_kept_with_a_copy_and_then_used(tmp_path: Path) -> None:
    (tmp_path / "cryptolake.toml").write_text('# mine\ndata = "data"\n')
    chain = load_registry(declared(), sandbox_registry()).chains["sandbox"]
    head = 1_000_000
    limited = Node(
        time=linear(int(time.time()) - 12 * head - 30, 12),
        head=head,
        chain_id=chain.chain_id,
        limit=1000,
        call=lambda *_: "0x0",
    )
    with Hostile(limited) as server:
        url = f"{server.url}?key=0123456789abcdef0123"
        words = ["--registry", str(sandbox_registry()), "rpc", "probe", "--chain", "sandbox", "--json", "--keep"]
        run = cryptolake(tmp_path, *words, CRYPTOLAKE_RPC_SANDBOX=url)
        (found,) = json.loads(run.stdout)
        again = cryptolake(tmp_path, *words, CRYPTOLAKE_RPC_SANDBOX=url)
    text = (tmp_path / "cryptolake.toml").read_text()
    kept = tomllib.loads(text)["endpoints"]["sandbox-own-1"]
    assert kept == {"span": 1000} == {"span": found["log_span"]}, "a limit that was met, and none that was not"
    assert text.startswith("# mine\n")
    assert (tmp_path / "cryptolake.toml.bak").read_text() == '# mine\ndata = "data"\n'
    assert "+span = " in run.stderr
    assert "0123456789abcdef0123" not in text + run.stdout + run.stderr
    assert "At most 400 calls" in run.stderr
    assert "no limit changed" in again.stderr
