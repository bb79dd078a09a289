"""The bundled sandbox over real HTTP: it answers what was recorded, in the ways clients ask, and refuses the rest."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import PATIENCE_S

from cryptolake.demo import aggregate3
from cryptolake.demo.recording import MAX_LOG_RANGE, Block, ChainRecording, RecordedFault
from cryptolake.demo.replay import RECORDINGS, Replay, sandbox_registry

MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
LIQUIDATION_CALL = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
RESERVES_LIST = "0xd1946dbc"


class Client:
    """A plain keep-alive JSON-RPC client."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.connection = http.client.HTTPConnection(urlsplit(replay.rpc_url).netloc, timeout=PATIENCE_S)

    def post(self, body: Any, path: str = "/rpc") -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request("POST", path, raw, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def rpc(self, method: str, *params: Any) -> Any:
        status, answer = self.post({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
        assert (status, answer["jsonrpc"], answer["id"]) == (200, "2.0", 7)
        return answer

    def result(self, method: str, *params: Any) -> Any:
        return self.rpc(method, *params)["result"]


@pytest.fixture
def client() -> Iterator[Client]:
    with Replay() as replay:
        made = Client(replay)
        yield made
        made.connection.close()


@pytest.fixture(scope="module")
def market() -> dict[str, Any]:
    body = yaml.safe_load(sandbox_registry().read_text(encoding="utf-8"))
    (csu,) = body["csus"]
    assert (csu["name"], csu["sandbox"], csu["chain"]) == ("aave_v3_sandbox", True, "sandbox")
    assert body["chains"]["sandbox"]["chain_id"] == csu["chain_id"] == 31337
    result: dict[str, Any] = csu
    return result


@pytest.fixture(scope="module")
def recording() -> ChainRecording:
    return ChainRecording.load(RECORDINGS / "chain.json.gz")


def last_block_before(recording: ChainRecording, instant: datetime) -> int:
    return max(block.number for block in recording.blocks if block.timestamp < instant.timestamp())


def test_chain_identity_and_tags(client: Client) -> None:
    assert int(client.result("eth_chainId"), 16) == 31337
    head = int(client.result("eth_blockNumber"), 16)
    latest = client.result("eth_getBlockByNumber", "latest", False)
    finalized = client.result("eth_getBlockByNumber", "finalized", False)
    assert int(latest["number"], 16) == head
    assert 0 < int(finalized["number"], 16) <= head
    assert client.result("eth_getBlockByNumber", hex(head + 1), False) is None


def test_headers_are_chained_and_reach_past_the_fortnight(client: Client, recording: ChainRecording) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": [hex(n), False]}
        for n in reversed(range(len(recording.blocks)))
    ]
    status, answers = client.post(batch)
    assert status == 200
    headers = {answer["id"]: answer["result"] for answer in answers}
    assert all(headers[n]["parentHash"] == headers[n - 1]["hash"] for n in range(1, len(headers)))
    stamps = [int(headers[n]["timestamp"], 16) for n in range(len(headers))]
    assert stamps == sorted(stamps)
    assert stamps[0] < datetime(2024, 12, 1, tzinfo=UTC).timestamp()
    finalized = recording.blocks[recording.finalized]
    assert finalized.timestamp > datetime(2024, 12, 15, tzinfo=UTC).timestamp()


def test_logs_by_address_topic_and_range(client: Client, market: dict[str, Any]) -> None:
    pool = market["entry"]["pool"]
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": pool, "topics": [[LIQUIDATION_CALL]]}
    logs = client.result("eth_getLogs", query)
    assert len(logs) == 5
    assert client.result("eth_getLogs", query | {"address": [pool.lower()], "topics": [LIQUIDATION_CALL]}) == logs
    borrower = logs[0]["topics"][3]
    by_user = client.result("eth_getLogs", query | {"topics": [LIQUIDATION_CALL, None, None, borrower]})
    assert by_user == [log for log in logs if log["topics"][3] == borrower]
    block = logs[0]["blockNumber"]
    assert client.result("eth_getLogs", query | {"fromBlock": block, "toBlock": block}) == logs[:2]
    assert client.result("eth_getLogs", query | {"address": MULTICALL3}) == []
    named = {"blockHash": logs[0]["blockHash"], "address": query["address"], "topics": query["topics"]}
    assert client.result("eth_getLogs", named) == logs[:2]
    assert "error" in client.rpc("eth_getLogs", named | {"blockHash": "0x" + "00" * 32})


def test_direct_and_aggregated_calls_agree(client: Client, market: dict[str, Any], recording: ChainRecording) -> None:
    block = last_block_before(recording, datetime(2024, 12, 15, tzinfo=UTC))
    asked = [(to, data) for number, to, data in recording.calls if number == block]
    assert len(asked) > 20
    single = [client.rpc("eth_call", {"to": to, "data": data}, hex(block)) for to, data in asked]
    calldata = _aggregate3([(to, True, data) for to, data in asked])
    answer = client.result("eth_call", {"to": MULTICALL3, "data": calldata}, hex(block))
    together = aggregate3.decode_results(answer)
    for alone, (success, data) in zip(single, together, strict=True):
        assert alone.get("result", alone.get("error", {}).get("data")) == data
        assert success == ("result" in alone)
    assert {success for success, _ in together} == {True, False}  # questions of later protocol versions revert here
    reverted = [pair for pair, answer in zip(asked, single, strict=True) if "error" in answer]
    strictly = _aggregate3([(to, False, data) for to, data in reverted])
    assert client.rpc("eth_call", {"to": MULTICALL3, "data": strictly}, hex(block))["error"]["code"] == 3


def test_what_was_not_recorded_is_an_error_and_never_empty(client: Client, market: dict[str, Any]) -> None:
    pool = market["entry"]["pool"]
    for call, block in (
        ({"to": pool, "data": "0x12345678"}, "0x44"),
        ({"to": pool, "data": RESERVES_LIST}, "0x1"),
        ({"to": MULTICALL3, "data": _aggregate3([(pool, True, "0x12345678")])}, "0x44"),
    ):
        answer = client.rpc("eth_call", call, block)
        assert "result" not in answer
        assert "not recorded" in answer["error"]["message"]
    assert "error" in client.rpc("eth_getStorageAt", pool, "0x0", "latest")
    assert "error" in client.rpc("eth_getBlockByNumber", "tomorrow", False)
    assert "error" in client.rpc("eth_getLogs", {"fromBlock": "0x9", "toBlock": "0x1"})
    assert "error" in client.rpc("eth_call", {"to": MULTICALL3, "data": aggregate3.SELECTOR + "00" * 31}, "0x44")


def test_malformed_requests_get_json_rpc_errors(client: Client) -> None:
    assert client.post(b"{")[1]["error"]["code"] == -32700
    assert client.post([])[1]["error"]["code"] == -32600
    assert client.post({"id": 1})[1]["error"]["code"] == -32600
    mixed = client.post([{"id": 1, "method": "eth_chainId"}, 5])[1]
    assert "result" in mixed[0]
    assert mixed[1]["error"]["code"] == -32600
    assert client.post({}, path="/elsewhere")[0] == 404


def test_vendor_series_are_served_as_recorded(client: Client) -> None:
    for number, name in ((1, "USDT"), (2, "USDC")):
        client.connection.request("GET", f"/stablecoincharts/all?stablecoin={number}")
        response = client.connection.getresponse()
        body = response.read()
        assert response.status == 200
        stored = RECORDINGS / "defillama" / f"stablecoincharts_all_stablecoin{number}_{name}.json.gz"
        assert body == gzip.decompress(stored.read_bytes())
        points = json.loads(body)
        assert len(points) == 366
        assert all(point["totalCirculating"]["peggedUSD"] > 1e10 for point in points)
    client.connection.request("GET", "/stablecoincharts/all?stablecoin=999")
    response = client.connection.getresponse()
    assert (response.status, b"not recorded" in response.read()) == (404, True)


def test_many_clients_at_once_and_a_clean_end() -> None:
    heads: list[str] = []
    with Replay() as replay:

        def ask() -> None:
            client = Client(replay)
            heads.extend(client.result("eth_blockNumber") for _ in range(20))
            client.connection.close()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        idle = Client(replay)
        idle.result("eth_chainId")  # stays open: must not hold up the end
    assert len(heads) == 160
    assert len(set(heads)) == 1
    with pytest.raises(ConnectionRefusedError):
        Client(replay).result("eth_chainId")


def test_a_log_range_has_the_limit_of_public_endpoints() -> None:
    blocks = [Block(n, hex(n), hex(n - 1), n) for n in range(MAX_LOG_RANGE + 2)]
    chain = ChainRecording(1, MULTICALL3, 0, blocks, [])
    assert chain.answer("eth_getLogs", [{"fromBlock": "0x0", "toBlock": hex(MAX_LOG_RANGE - 1)}]) == []
    with pytest.raises(RecordedFault, match="max block range 2000"):
        chain.answer("eth_getLogs", [{"fromBlock": "0x0", "toBlock": hex(MAX_LOG_RANGE)}])


def test_a_recording_survives_storage_and_is_deterministic(recording: ChainRecording, tmp_path: Path) -> None:
    one, two = tmp_path / "one.gz", tmp_path / "two.gz"
    recording.save(one, "test")
    ChainRecording.load(one).save(two, "test")
    assert one.read_bytes() == two.read_bytes()
    assert ChainRecording.load(two) == recording
    two.write_bytes(gzip.compress(b'{"format": 99}'))
    with pytest.raises(ValueError, match="format 99"):
        ChainRecording.load(two)


_hex = st.binary(max_size=100).map(lambda raw: "0x" + raw.hex())
_address = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())


@given(st.lists(st.tuples(_address, st.booleans(), _hex), max_size=6))
def test_aggregate3_calldata_is_read_back(calls: list[tuple[str, bool, str]]) -> None:
    decoded = aggregate3.decode_calls(_aggregate3(calls))
    assert [(call.to, call.may_fail, call.data) for call in decoded] == calls


@given(st.lists(st.tuples(st.booleans(), _hex), max_size=6))
def test_aggregate3_answers_are_read_back(results: list[tuple[bool, str]]) -> None:
    assert aggregate3.decode_results(aggregate3.encode_results(results)) == results


def _aggregate3(calls: list[tuple[str, bool, str]]) -> str:
    heads, tails = "", ""
    for to, may_fail, data in calls:
        raw = data[2:]
        heads += f"{32 * len(calls) + len(tails) // 2:064x}"
        tails += f"{to[2:].lower():0>64}{int(may_fail):064x}{96:064x}{len(raw) // 2:064x}" + raw
        tails += "0" * (-len(raw) % 64)
    return f"{aggregate3.SELECTOR}{32:064x}{len(calls):064x}" + heads + tails
