"""All conversations of a chain share one pool of endpoints, however many ask for it first."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryptolake.app import App
from cryptolake.settings import load_settings

THREADS = 16


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that give way to each other at every turn."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty")
def test_a_chain_has_one_pool_for_all_who_ask_at_once(tmp_path: Path) -> None:
    app = App(load_settings(data=tmp_path, rpc={"ethereum": ["http://127.0.0.1:9"]}))
    chain, together = app.registry.chain("ethereum"), threading.Barrier(THREADS)

    def opened(_: int) -> int:
        together.wait()
        return id(app.pool(chain))

    with ThreadPoolExecutor(THREADS) as threads:
        assert len(set(threads.map(opened, range(THREADS)))) == 1
    app.close()
