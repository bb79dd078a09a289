"""The on-chain reader: calls for a whole month, fraction of a limit really used, a web3.py loop beside it, decoding.

The counting provider has December 2024's real block counts (Ethereum exact by day, Base and Optimism by their clock, the
others fitted or assumed); its answers are synthetic. Family programs are stand-ins of four rounds, because the number of
calls depends only on rounds and emitters.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import patch
from urllib.request import urlopen

import orjson
import polars as pl

from benchmarks.report import write_table
from benchmarks.simulated_ethereum import SAYS_OF_ITSELF
from cryptolake.contracts.partition import days
from cryptolake.demo.aggregate3 import SELECTOR, decode_calls, encode_results
from cryptolake.flow.plan import Span, wanted
from cryptolake.net.abi import address_at, call_data, checksum, topic, word
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.logs import LogFilter, LogQuestion, gather
from cryptolake.net.multicall import Call, Program
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import load_registry, select
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.records import Liquidation, Reserve, Settled
from cryptolake.sources.onchain.source import OnchainSource

FIRST, LAST = date(2024, 12, 1), date(2024, 12, 31)
MIDNIGHT = int(datetime(2024, 12, 1, tzinfo=UTC).timestamp())
# Blocks of December 2024; the chains of the reference estimate.
BLOCKS = {
    "ethereum": 221_957, "arbitrum": 10_653_000, "base": 1_339_200, "optimism": 1_339_200, "polygon": 1_237_000,
    "avalanche": 1_441_500, "binance": 892_700, "gnosis": 519_400, "scroll": 784_100, "cronos": 478_000,
    "flare": 1_488_000, "meter": 1_071_000,
}  # fmt: skip
# First Ethereum block of each day of the month and of the day after it.
ETHEREUM = (
    21303934, 21311106, 21318260, 21325416, 21332579, 21339733, 21346895, 21354048, 21361218, 21368390, 21375546,
    21382703, 21389869, 21397031, 21404197, 21411357, 21418530, 21425700, 21432853, 21440010, 21447176, 21454315,
    21461472, 21468618, 21475765, 21482925, 21490078, 21497236, 21504402, 21511572, 21518735, 21525891,
)  # fmt: skip
PLAN_OF_THE_SPEC = 960_480
LIQUIDATION = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")


@dataclass
class Counting(Http):
    """A provider that counts calls and requests: real block counts, a log limit, no logs, every contract answers a word."""

    chain: str
    span: int
    calls: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def __post_init__(self) -> None:
        self.per_block = 31 * 86400 / BLOCKS[self.chain]
        self.first = ETHEREUM[0] if self.chain == "ethereum" else 300_000_000

    def time(self, number: int) -> int:
        """A block's timestamp: real day by day on Ethereum, evenly spaced elsewhere."""
        if self.chain == "ethereum" and ETHEREUM[0] <= number < ETHEREUM[-1]:
            day = next(n for n, one in enumerate(ETHEREUM) if one > number) - 1
            share = (number - ETHEREUM[day]) / (ETHEREUM[day + 1] - ETHEREUM[day])
            return MIDNIGHT + 86400 * day + int(86400 * share)
        return MIDNIGHT + int((number - self.first) * self.per_block)

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        """Answer a single call or a batch."""
        document = orjson.loads(body)
        self.requests += 1
        found = [self._one(one) for one in document] if isinstance(document, list) else self._one(document)
        return Answer(200, {}, orjson.dumps(found), 0.0)

    def _one(self, question: dict[str, object]) -> dict[str, object]:
        method, params = str(question["method"]), question["params"]
        assert isinstance(params, list)
        self.calls[method] += 1
        given: dict[str, object] = {"jsonrpc": "2.0", "id": question["id"]}
        if method == "eth_chainId":
            return given | {"result": hex(load_registry(declared()).chains[self.chain].chain_id)}
        if method == "eth_getBlockByNumber":
            head = self.first + BLOCKS[self.chain] + 100_000
            number = head if params[0] == "finalized" else int(params[0], 16)
            return given | {
                "result": {
                    "number": hex(number),
                    "timestamp": hex(self.time(number)),
                    "hash": f"0x{number:064x}",
                    "parentHash": f"0x{max(0, number - 1):064x}",
                }
            }
        if method == "eth_getLogs":
            first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
            if last - first >= self.span:
                return given | {"error": {"code": -32000, "message": "block range is too wide"}}
            return given | {"result": []}
        data, named = str(params[0]["data"]), params[1]
        block = int(named["blockHash"] if isinstance(named, dict) else named, 16)
        if not data.startswith(SELECTOR):
            return given | {"result": _word(1)}
        return given | {"result": encode_results([(True, self._said(one.data, block)) for one in decode_calls(data)])}

    def _said(self, data: str, block: int) -> str:
        """A contract's answer: what the block says of itself, else 1."""
        told = SAYS_OF_ITSELF.get(bytes.fromhex(data[2:10]))
        if told is None:
            return _word(1)
        return _word(self.time(block) if "Timestamp" in told else block - ("Hash" in told))


def _word(value: int) -> str:
    return f"0x{value:064x}"


class StandIn:
    """A family of four rounds and sixty reads a market."""

    METHODOLOGY = "stand-in"

    @staticmethod
    def snapshot(csu: Csu) -> Program[list[Reserve]]:
        """Four rounds, each of fifteen reads of this market's own address."""
        for number in range(4):
            yield [Call(_entry(csu), call_data("read(uint256)", 100 * number + one)) for one in range(15)]
        return []

    @staticmethod
    def emitters(csu: Csu) -> Program[list[LogFilter]]:
        """One emitter."""
        yield from ()
        return [LogFilter(_entry(csu), frozenset({LIQUIDATION}))]

    @staticmethod
    def liquidations(csu: Csu, logs: Sequence[object]) -> list[Liquidation]:
        """None."""
        return []

    @staticmethod
    def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
        """Nothing to settle."""
        yield from ()
        return Settled([], {})


def _entry(csu: Csu) -> str:
    return checksum(next(value for value in csu.entry.values() if value.startswith("0x") and len(value) == 42))


def month(span: int) -> tuple[int, int, Counter[str], float]:
    """Calls, HTTP requests, calls by method and CPU seconds of the month at a limit of `span` blocks."""
    registry = load_registry(declared())
    csus = select(registry, sets=["thesis-43", "thesis-46"])
    csus = [csu for csu in csus if csu.chain in BLOCKS and (csu.deployed_on is None or csu.deployed_on <= LAST)]
    providers = {name: Counting(chain=name, span=span) for name in BLOCKS}
    pools: dict[str, Pool] = {}

    def pool(chain: Chain) -> Pool:
        if chain.name not in pools:
            endpoint = Endpoint("counting", SecretUrl("x"), Limits(rate=1e9, log_span=span if span == 10 else 2000))
            pools[chain.name] = Pool(chain.name, chain.chain_id, [endpoint], providers[chain.name])
        return pools[chain.name]

    names = {csu.family: StandIn for csu in csus}
    bare = {name: replace(facts, anchors=(), protocol_anchors={}) for name, facts in declared().items()}
    started = time.process_time()
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("cryptolake.sources.onchain.source.families", lambda: names),
        patch("cryptolake.sources.onchain.scans.families", lambda: names),
        patch("cryptolake.sources.onchain.proven.declared", lambda: bare),
    ):
        source = OnchainSource(
            registry=registry,
            csus=csus,
            pools=pool,
            block_cache=FileBlockCache(Path(folder) / "blocks.json"),
            journals=Path(folder),
        )
        partitions = wanted(source, ("tvl", "liquidations"), [csu.name for csu in csus], Span(FIRST, LAST))
        answered = sum(1 for trip in source.trips(partitions) for _ in source.fetch(trip))
    assert answered == len(partitions) == len(csus) * 31 * 2
    assert len(list(days(FIRST, LAST))) == 31
    calls: Counter[str] = sum((one.calls for one in providers.values()), Counter())
    requests = sum(one.requests for one in providers.values())
    return calls.total(), requests, calls, time.process_time() - started


def counts() -> None:
    """The whole month of the plan at three limits."""
    rows = []
    for span, aim in ((10, 2_200_000), (2_000, 12_000), (10_000, 3_500)):
        total, requests, calls, cpu = month(span)
        rows.append(
            (
                f"{span:,}", f"{total:,}", f"{requests:,}", f"{calls['eth_getLogs']:,}", f"{calls['eth_call']:,}",
                f"{calls['eth_getBlockByNumber']:,}", f"{aim:,}", f"{PLAN_OF_THE_SPEC / requests:,.1f}", f"{cpu:.1f}",
            )
        )  # fmt: skip
    write_table(
        "rpc_counts",
        "December 2024, TVL and liquidations of the original markets that existed (41 on 12 chains), counting provider "
        "with the month's block counts, real reader, stand-in families of four rounds. `calls` counts every member of a "
        "JSON-RPC batch, `requests` the HTTP requests; the ratio is the plan's 960,480 calls over our requests.",
        ("blocks per log call", "calls", "requests", "logs", "eth_call", "headers", "aim", "plan / requests", "CPU s"),
        rows,
    )


class Serving:
    """The loopback provider in its own process."""

    def __init__(self, latency: float, span: int) -> None:
        command = [sys.executable, "-m", "benchmarks.provider", str(latency), str(span)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}/"

    def arrivals(self) -> list[float]:
        """Arrival times since the last question."""
        with urlopen(self.url) as answer:
            found: list[float] = orjson.loads(answer.read())
        return found

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


def ours(url: str, rate: float, calls: int) -> tuple[float, float]:
    """Ask `calls` windows of ten blocks within the limit; seconds and CPU seconds."""
    http = Http(max_connections=256)
    pool = Pool("ethereum", 1, [Endpoint("local", SecretUrl(url), Limits(rate=rate, log_span=10, told=True))], http)
    pool.stations[0].learned.refused(11, 10)
    pool.stations[0].learned.answered(10)
    pool.call("eth_chainId", [])
    started, cpu = time.perf_counter(), time.process_time()
    filters = [LogFilter("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2", frozenset({LIQUIDATION}))]
    _, windows = gather(scan(pool, filters, BlockRange(0, calls * 10)))
    assert len(windows) == calls
    taken = time.perf_counter() - started, time.process_time() - cpu
    http.close()
    return taken


def most_in_a_second(arrivals: Sequence[float]) -> int:
    """The most arrivals in any window of one second."""
    ordered, first, most = sorted(arrivals), 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def limits() -> None:
    """The fraction of a limit that is really used, and whether it is ever broken."""
    rows = []
    for rate in (50, 300, 1000):
        serving = Serving(0.08, 10)
        try:
            serving.arrivals()
            _, cpu = ours(serving.url, rate, rate * 10)
            arrivals = sorted(serving.arrivals())[3:]  # without the chain check and the warm-up calls
        finally:
            serving.close()
        used = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) / rate
        rows.append(
            (rate, len(arrivals), f"{used:.1%}", most_in_a_second(arrivals), f"{cpu / len(arrivals) * 1000:.2f}")
        )
    write_table(
        "rpc_limits",
        "Ten seconds of eth_getLogs against a provider on loopback with 80 ms latency; arrivals counted by the provider. "
        "Aim: at least 97 %, never more than the limit in any one-second window.",
        ("limit, calls/s", "calls", "of the limit", "most in any second", "CPU ms per call"),
        rows,
    )


def peers() -> None:
    """The same small job by a web3.py loop, and by the reader."""
    calls = 400
    rows: list[tuple[object, ...]] = []
    serving = Serving(0.08, 10)
    runs = (
        ("web3.py, 1 thread", "web3_loop.py", ["web3"], ["1"]),
        ("web3.py, 10 threads", "web3_loop.py", ["web3"], ["10"]),
        ("cryo, limit 300/s", "cryo_collect.py", ["cryo-python", "polars", "pandas", "pyarrow"], []),
    )
    try:
        for name, script, packages, more in runs:
            command = [str(Path(sys.executable).with_name("uv")), "run", "--no-project", "--quiet"]
            command += [word for package in packages for word in ("--with", package)]
            command += [
                "python",
                str(Path(__file__).parent / "peers" / script),
                serving.url,
                "1000",
                str(calls * 10),
                *more,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                rows.append((name, "not installable here", "", "", ""))
            else:
                peer = json.loads(done.stdout)
                rows.append(_row(name, peer["calls"], peer["seconds"], peer["cpu"]))
        seconds, cpu = ours(serving.url, 300, calls)
        rows.append(_row("cryptolake, limit 300/s", calls, seconds, cpu))
    finally:
        serving.close()
    write_table(
        "rpc_peers",
        "4,000 blocks of one market in windows of 10 blocks against the same provider, 80 ms latency.",
        ("reader", "calls", "seconds", "calls/s", "CPU ms per call"),
        rows,
    )


def _row(name: str, calls: int, seconds: float, cpu: float) -> tuple[object, ...]:
    return name, calls, f"{seconds:.1f}", f"{calls / seconds:,.0f}", f"{cpu / calls * 1000:.2f}"


def decoding() -> None:
    """Logs from JSON text to an Arrow table, on one core."""
    logs = [
        {
            "address": "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2",
            "topics": [LIQUIDATION, *("0x" + "00" * 12 + f"{number:02x}" * 20 for number in (17, 34, 51))],
            "data": "0x" + "".join(f"{word:064x}" for word in (5, 7, 0x44, 0)),
            "blockNumber": hex(20_000_000 + number),
            "blockHash": f"0x{number:064x}",
            "transactionHash": f"0x{number * 7:064x}",
            "transactionIndex": "0x1",
            "logIndex": hex(number % 300),
            "removed": False,
        }
        for number in range(200_000)
    ]
    body = orjson.dumps(logs)
    question = LogQuestion(
        "ethereum", [LogFilter("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2", frozenset({LIQUIDATION}))]
    )
    best = 0.0
    for _ in range(5):
        started = time.process_time()
        read = question.read(body, 0, 10**9)
        frame = pl.DataFrame(
            {
                "address": [one.address for one in read],
                "block": [one.block for one in read],
                "index": [one.index for one in read],
                "tx": [one.tx for one in read],
                "topic1": [one.topics[1] for one in read],
                "data": [one.data for one in read],
            }
        )
        assert frame.to_arrow().num_rows == len(logs)
        best = max(best, len(logs) / (time.process_time() - started))
    rows: list[tuple[object, ...]] = [("logs, JSON to Arrow", f"{best:,.0f}", "150,000")]
    transcript = b"".join(word.to_bytes(32, "big") for word in range(15))
    started = time.process_time()
    for _ in range(100_000):
        (
            address_at(transcript, 8),
            address_at(transcript, 9),
            address_at(transcript, 10),
            word(transcript, 0),
            word(transcript, 1),
        )
    rows.append(("reserves, five words each", f"{100_000 / (time.process_time() - started):,.0f}", ""))
    write_table("rpc_decode", "200,000 logs, best of five, one core.", ("what", "per second", "aim"), rows)


def main() -> None:
    """All four."""
    decoding()
    limits()
    peers()
    counts()
