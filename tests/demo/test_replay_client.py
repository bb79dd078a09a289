"""The sandbox seen by the project's own client, and compared with the chain it was recorded from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from tests.chain.anvil import NodeError
from tests.chain.scenario import Fortnight

from cryptolake.contracts.partition import Partition, days
from cryptolake.contracts.raw import Raw
from cryptolake.demo.recording import MAX_LOG_RANGE, ChainRecording
from cryptolake.demo.replay import RECORDINGS, Replay, sandbox_registry
from cryptolake.errors import Narrow, Retry
from cryptolake.net.blocks import Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.faults import Elsewhere, RpcFault, classify
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource


@pytest.fixture
def pool() -> Iterator[Pool]:
    http = Http()
    with Replay() as replay:
        endpoint = Endpoint("sandbox", SecretUrl(replay.rpc_url), Limits(rate=10_000))
        yield Pool("sandbox", 31337, [endpoint], http, attempts=1)
    http.close()


@pytest.fixture(scope="module")
def recording() -> ChainRecording:
    return ChainRecording.load(RECORDINGS / "chain.json.gz")


def test_the_client_reads_headers_calls_and_reverts(pool: Pool, recording: ChainRecording) -> None:
    assert pool.finalized() == recording.finalized
    (block, to, data), answer = next((key, one) for key, one in recording.calls.items() if one.success)
    (_, bad_to, bad_data), refusal = next((key, one) for key, one in recording.calls.items() if not one.success)
    good, bad = pool.batch(
        [("eth_call", [{"to": t, "data": d}, hex(block)]) for t, d in ((to, data), (bad_to, bad_data))]
    )
    assert good == answer.data
    assert isinstance(bad, RpcFault)
    assert bad.data == refusal.data


def test_a_question_outside_the_recording_fails_loudly(pool: Pool) -> None:
    with pytest.raises(Retry):
        pool.call("eth_call", [{"to": "0x" + "11" * 20, "data": "0x12345678"}, "0x44"])


def test_refusals_are_worded_so_that_clients_react_rightly() -> None:
    limit = classify(-32005, f"query exceeds max block range {MAX_LOG_RANGE}")
    assert isinstance(limit, Narrow)
    not_recorded = classify(-32001, "historical state not available, not recorded in the sandbox: call 0x12 to 0x34")
    assert isinstance(not_recorded, Elsewhere)


@pytest.mark.chain
def test_the_bundle_is_what_the_chain_says(aave_fortnight: Fortnight, recording: ChainRecording) -> None:
    node = aave_fortnight.node
    assert len(recording.blocks) == node.number() + 1
    for block in recording.blocks:
        header = node.rpc("eth_getBlockByNumber", hex(block.number), False)
        assert (header["hash"], int(header["timestamp"], 16)) == (block.hash, block.timestamp)
    assert node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}) == recording.logs
    for (number, to, data), answer in recording.calls.items():
        try:
            success, said = True, node.rpc("eth_call", {"to": to, "data": data}, hex(number))
        except NodeError as error:
            success, said = False, error.data or "0x"
        assert (success, said) == (answer.success, answer.data), (number, to, data)


def test_day_boundaries_are_found_on_the_sandbox(pool: Pool, recording: ChainRecording) -> None:
    blocks = Blocks(pool)
    for period in days(date(2024, 12, 1), date(2024, 12, 16)):
        found, snapshot = blocks.range_of(period)
        inside = [
            b.number for b in recording.blocks if period.start.timestamp() <= b.timestamp < period.end.timestamp()
        ]
        assert (found.start, found.end) == (inside[0], inside[-1] + 1), str(period)
        assert snapshot.number == inside[-1]
        assert any(number == snapshot.number for number, _, _ in recording.calls)


def test_the_whole_fortnight_is_collected_without_a_node(pool: Pool) -> None:
    registry = load_registry(declared(), sandbox_registry())
    source = OnchainSource(registry=registry, csus=[registry.csu("aave_v3_sandbox")], pools=lambda _chain: pool)
    wanted = [
        Partition(dataset.name, "aave_v3_sandbox", period)
        for dataset in source.datasets
        for period in days(date(2024, 12, 1), date(2024, 12, 14))
    ]
    rows: dict[tuple[str, date], int] = {}
    for trip in source.trips(wanted):
        for raw in source.fetch(trip):
            assert isinstance(raw, Raw), raw
            rows[raw.partition.dataset, raw.partition.period.day] = len(source.parse(raw))
    tvl = [rows["tvl", period.day] for period in days(date(2024, 12, 1), date(2024, 12, 14))]
    assert tvl == [3] * 3 + [4] * 11
    assert {day.day: count for (dataset, day), count in rows.items() if dataset == "liquidations" and count} == {
        5: 3, 9: 1, 10: 1,
    }  # fmt: skip
