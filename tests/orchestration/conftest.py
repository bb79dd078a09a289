"""The bundled sandbox as an environment: its chain and vendor over real HTTP, its own data folder and database."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server_folder import server_folder
from tests.vendors.unlimited import UNLIMITED

from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.sources.defillama import VENDOR


def sandbox_variables(replay: Replay, folder: Path) -> dict[str, str]:
    """What makes cryptolake run on the sandbox instead of public chains and vendors.

    The sandbox answers what it does not know with 404 at once; its watch list is one chain, so that few questions are asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    watched = folder / "watched.csv"
    watched.write_text("name,slug,gecko_id,category\nethereum,ethereum,ethereum,chain\n")
    return {
        **{f"CRYPTOLAKE_URL_{host.upper()}": replay.vendor_url for host in VENDOR.hosts},
        "CRYPTOLAKE_DEFILLAMA_CONFIG": str(watched),
        **UNLIMITED,
        "CRYPTOLAKE_DATA": str(folder),
        "CRYPTOLAKE_REGISTRY": str(sandbox_registry()),
        "CRYPTOLAKE_RPC_SANDBOX": replay.rpc_url,
        "CRYPTOLAKE_MARKETS": "aave_v3_sandbox",
        "CRYPTOLAKE_SOURCES": "onchain,defillama",
        "CRYPTOLAKE_START_DATE": "2024-12-01",
        "CRYPTOLAKE_END_DATE": "2024-12-14",
        "CRYPTOLAKE_SCHEDULES": "false",
    }


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A run of Dagster inside a test leaves both signals ignored, and so would be every server that a later test starts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    """The recorded chain and vendor."""
    with Replay() as running:
        yield running


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder whose database server may be started."""
    with server_folder("dagster") as made:
        yield made


@pytest.fixture
def sandbox(replay: Replay, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of this process point at the sandbox; the data folder."""
    for name, value in sandbox_variables(replay, folder).items():
        monkeypatch.setenv(name, value)
    return folder
