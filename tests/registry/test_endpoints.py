"""Which endpoints a chain has: an archive stands beside nodes when its address is set, and never takes their place."""

from __future__ import annotations

from typing import Any

import pytest

from cryptolake.registry.chains import Chain
from cryptolake.registry.endpoints import endpoints_of
from cryptolake.registry.loader import load_registry
from cryptolake.settings import Settings
from cryptolake.sources.onchain.families import declared

CHAIN = Chain("base", 8453, public_rpcs=("https://mainnet.base.org",), sqd_dataset="base-mainnet")
ASKED: dict[str, Any] = {"own": [], "rate": None, "keys": [], "plan": "free", "public": True}


def test_no_archive_is_asked_unless_its_address_is_set() -> None:
    assert Settings.model_fields["portal_url"].default is None
    for chain in load_registry(declared()).chains.values():
        assert all(one.dataset_of is None for one in endpoints_of(chain, **ASKED))


@pytest.mark.parametrize("own", [[], ["http://127.0.0.1:8545"]])
def test_it_stands_beside_the_users_own_and_the_public_ones(own: list[str]) -> None:
    without = endpoints_of(CHAIN, **ASKED | {"own": own})
    *nodes, archive = endpoints_of(CHAIN, **ASKED | {"own": own}, portal="https://portal.sqd.dev/datasets/")
    assert [one.name for one in nodes] == [one.name for one in without] != []
    assert (archive.name, archive.dataset_of, archive.provider) == ("base-sqd", 8453, "sqd")
    assert archive.url.reveal() == "https://portal.sqd.dev/datasets/base-mainnet"
    assert (archive.answers("eth_getLogs"), archive.answers("eth_call")) == (True, False)
    assert archive.limits.max_batch == 1


def test_a_chain_that_it_does_not_have_has_none() -> None:
    assert endpoints_of(Chain("mine", 1), **ASKED, portal="https://portal.sqd.dev/datasets") == []


def test_one_data_set_is_one_chains() -> None:
    named = [chain.sqd_dataset for chain in load_registry(declared()).chains.values() if chain.sqd_dataset]
    assert sorted(named) == sorted(set(named)) != []
