"""The endpoint commands against a real HTTP server: what a newcomer sees, what programs read, no secret anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.test_bad_input import cryptolake
from tests.command import widest
from tests.hostile.server import Hostile
from tests.net.node import Node, linear

SPAN = ("--start-date", "2024-12-01", "--end-date", "2024-12-31")


@pytest.fixture
def ethereum() -> Iterator[Hostile]:
    """A synthetic chain with Ethereum's id that began on 1 November 2024 and makes a block every twelve seconds."""
    start = 1_730_419_200
    with Hostile(
        Node(
            time=linear(start, 12),
            head=(int(time.time()) - start) // 12,
            chain_id=1,
            limit=1000,
            call=lambda *_: "0x0",
        )
    ) as server:
        yield server


def test_probe_shows_what_an_endpoint_can_do(tmp_path: Path, ethereum: Hostile) -> None:
    mine = {"CRYPTOLAKE_RPC_ETHEREUM": f"{ethereum.url},http://127.0.0.1:9/v2/another-secret"}
    result = cryptolake(tmp_path, "rpc", "probe", "--chain", "ethereum", **mine)
    assert result.returncode == 1
    for word in ("ethereum-own-1", "full", "1,000", "ethereum-own-2", "connection failed"):
        assert word in result.stdout
    assert "secret" not in result.stdout + result.stderr
    assert widest(result.stdout) <= 100
    first, second = json.loads(cryptolake(tmp_path, "rpc", "probe", "--chain", "ethereum", "--json", **mine).stdout)
    assert (first["log_span"], first["archive_full"], first["chain_ok"]) == (1000, True, True)
    assert not second["reachable"]


def test_boundaries_are_built_once_and_make_the_plan_exact(tmp_path: Path, ethereum: Hostile) -> None:
    mine = {"CRYPTOLAKE_RPC_ETHEREUM": ethereum.url}
    (built,) = json.loads(
        cryptolake(tmp_path, "blocks", "build", "--chain", "ethereum", *SPAN, "--json", **mine).stdout
    )
    assert built["periods"] == 31
    assert built["first_block"] == 30 * 7200
    assert built["last_block"] == 61 * 7200 - 1
    assert built["requests"] <= 9
    plan = (
        "plan",
        "--csu",
        "aave_v3_ethereum",
        *SPAN,
        "--dataset",
        "liquidations",
        "--json",
        "--assume-log-span",
        "10",
    )
    found = json.loads(cryptolake(tmp_path, *plan, **mine).stdout)
    logs = next(cost for cost in found["costs"] if cost["method"] == "eth_getLogs")
    assert logs["calls"] == 31 * 720 + 1  # one tells how the endpoint numbers logs
    assert logs["endpoint"] == "ethereum-own-1"


def test_keys_come_from_lists_and_files_and_never_show(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("key-from-file-1  # mine\n\nkey-from-file-2\n")
    found = json.loads(
        cryptolake(
            tmp_path, "plan", "--csu", "aave_v3_ethereum", *SPAN, "--json", CRYPTOLAKE_PUBLIC_RPC="false",
            ALCHEMY_KEY_1="listed-key-1,listed-key-2", ALCHEMY_KEY_2="@keys.txt",
        ).stdout
    )  # fmt: skip
    assert {f"alchemy-{number}" for number in range(1, 5)} <= {cost["endpoint"] for cost in found["costs"]}
    one_key = json.loads(
        cryptolake(
            tmp_path,
            "plan",
            "--csu",
            "aave_v3_ethereum",
            *SPAN,
            "--json",
            CRYPTOLAKE_PUBLIC_RPC="false",
            ALCHEMY_KEY_1="only",
        ).stdout
    )
    # Of several accounts some windows are asked a second time.
    assert found["expected_seconds"] == pytest.approx(one_key["expected_seconds"] / 4, rel=0.05)
    missing = cryptolake(tmp_path, "plan", "--csu", "aave_v3_ethereum", *SPAN, ALCHEMY_KEY_1="@nowhere.txt")
    assert missing.returncode == 2
    assert "key file nowhere.txt" in missing.stderr


def test_nothing_collected_does_not_verify(tmp_path: Path) -> None:
    result = cryptolake(tmp_path, "verify", "--csu", "aave_v3_ethereum", "--days", "3")
    assert result.returncode == 1
    assert "never collected" in result.stdout
