"""The lake that the front door's tests and the documentation's examples read: the demo's, made without a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest
from tests.server_folder import server_folder

import cryptolake as cl
from cryptolake.demo.replay import Replay, sandbox_registry

FIRST, LAST = date(2024, 12, 1), date(2024, 12, 14)


@contextmanager
def made() -> Iterator[tuple[cl.Lake, cl.Run, list[cl.Pulled]]]:
    """A lake over the bundled recordings in a folder with spaces, after a whole trip and a vendor's backfill."""
    with server_folder("python", "my lake/data") as folder, Replay() as replay:
        (folder / "my lake").mkdir(mode=0o755)
        lake = cl.open(
            folder / "my lake" / "data",
            registry=sandbox_registry(),
            rpc={"sandbox": [replay.rpc_url]},
            urls={"defillama_stablecoins": replay.vendor_url},
            end_date=LAST,
        )
        with lake:
            run = lake.run(csu="aave_v3_sandbox", start=FIRST, end=LAST)
            yield lake, run, lake.backfill("defillama", key=["tether", "usd-coin"])


@pytest.fixture(scope="session")
def sandbox() -> Iterator[tuple[cl.Lake, cl.Run, list[cl.Pulled]]]:
    with made() as found:
        yield found


@pytest.fixture
def lake(sandbox: tuple[cl.Lake, cl.Run, list[cl.Pulled]]) -> cl.Lake:
    """The same, to read from."""
    return sandbox[0]
