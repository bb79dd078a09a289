"""What the shipped rows say of their markets' deployment: a block with its source, or that it is open and why."""

from __future__ import annotations

from cryptolake.registry.loader import load_registry, market_rows
from cryptolake.sources.onchain.families import declared


def test_a_block_says_where_it_is_from_and_a_row_without_one_says_that_it_is_open() -> None:
    for name, row in market_rows(None).items():
        deployment = row.values.get("deployment")
        assert isinstance(deployment, dict), name
        if deployment.get("block") is None:
            assert deployment.get("open"), name
        else:
            assert deployment.get("block_source"), name
            assert "open" not in deployment, name


def test_spokes_of_aave_v4_are_no_wrappers() -> None:
    csu = load_registry(declared()).csus["aave_v4_ethereum"]
    spokes, wrappers = (set(csu.entry[role].split(",")) for role in ("spokes", "tokenization_spokes"))
    assert not spokes & {*wrappers, csu.entry["treasury_spoke"]}
    assert "0x94e7A5dCbE816e498b89aB752661904E2F56c485" in spokes  # Main
