"""Pytest fixtures over the local chain; tests/conftest.py re-exports them to every test folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .anvil import Anvil, binary
from .compound_v2 import PACKAGES
from .gearbox import GearboxMarket
from .gearbox import play as play_gearbox
from .gearbox_sources import gearbox_missing
from .scenario import Fortnight, play
from .solidity import ARTIFACTS
from .venus_days import Days, play_core, play_pool


def require_chain() -> None:
    """Skip the calling test, with the remedy, where the node or the contracts are not installed."""
    if binary() is None:
        pytest.skip("the local EVM node is not installed for this platform; run: npm ci --ignore-scripts")
    if not ARTIFACTS.is_dir():
        pytest.skip("the published Aave V3 contracts are not installed; run: npm ci --ignore-scripts")


def require_venus() -> None:
    """Skip the calling test, with the remedy, where the node or Venus' contracts are not installed."""
    if binary() is None:
        pytest.skip("the local EVM node is not installed for this platform; run: npm ci --ignore-scripts")
    if not all((PACKAGES / name / "artifacts").is_dir() for name in ("venus-protocol", "isolated-pools")):
        pytest.skip("Venus' published contracts are not installed; run: npm ci --ignore-scripts")


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    """A fresh node with nothing but Multicall3 on it, for tests that change the chain."""
    require_chain()
    with Anvil() as node:
        yield node


@pytest.fixture(scope="session")
def aave_fortnight() -> Iterator[Fortnight]:
    """The finished fortnight on a running node, shared by all tests of a worker: read it, do not mine on it."""
    require_chain()
    with Anvil() as node:
        yield play(node)


@pytest.fixture(scope="session")
def venus_core() -> Iterator[Days]:
    """Five days of Venus' core pool on a running node, shared by all tests of a worker: read it, do not mine on it."""
    require_venus()
    with Anvil(any_size=True) as node:
        yield play_core(node)


@pytest.fixture(scope="session")
def venus_pool() -> Iterator[Days]:
    """Four days of an isolated pool on a running node, shared by all tests of a worker: read it, do not mine on it."""
    require_venus()
    with Anvil(any_size=True) as node:
        yield play_pool(node)


@pytest.fixture(scope="session")
def gearbox_market() -> Iterator[GearboxMarket]:
    """The finished Gearbox story on a running node, shared by all tests of a worker: read it, do not mine on it."""
    require_chain()
    if (missing := gearbox_missing()) is not None:
        pytest.skip(missing)
    with Anvil() as node:
        yield play_gearbox(node)
