"""December 2024 of the study's markets, collected from simulated chains: billed calls at a log span, beside the plan.

One voice: no second opinions (`audit = 0`). Every member of a batch is a billed call. Blocks follow the registry's block times
by date with days and blocks as uneven as on real chains (tests/net/simulated_clock); contracts are made up.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
from tests.net.simulated_clock import SimulatedClock

from benchmarks.report import write_table
from benchmarks.simulated_ethereum import Simulated
from cryptolake.contracts.partition import Partition, days
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.limiter import Limiter
from cryptolake.net.rpc import Pool
from cryptolake.registry.loader import load_registry, select
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger
from cryptolake.work.estimate import costs
from cryptolake.work.workload import work

FIRST, LAST = date(2024, 12, 1), date(2024, 12, 31)
AIMS = {2_000: 12_000, 10_000: 3_500}
METHODS = ("eth_getLogs", "eth_call", "eth_getBlockByNumber", "eth_chainId", "eth_blockNumber")


class Counting(Http):
    """Every chain's provider, without HTTP: counts the calls, refuses windows wider than its span."""

    def __init__(self, chains: Mapping[str, Simulated], span: int) -> None:
        self._chains, self._span = chains, span
        self.asked: dict[str, Counter[str]] = {name: Counter() for name in chains}

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        """Answer a single call or a batch."""
        document = orjson.loads(body)
        some = document if isinstance(document, list) else [document]
        self.asked[url].update(one["method"] for one in some)
        answers = [{"jsonrpc": "2.0", "id": one["id"], **self._said(url, one)} for one in some]
        return Answer(200, {}, orjson.dumps(answers if isinstance(document, list) else answers[0]), 0.0)

    def _said(self, url: str, one: Mapping[str, list[dict[str, str]]]) -> dict[str, object]:
        if one["method"] == "eth_getLogs":
            asked = one["params"][0]
            if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= self._span:
                return {"error": {"code": -32602, "message": f"eth_getLogs is limited to a {self._span} range"}}
        result = self._chains[url].rpc(str(one["method"]), list(one["params"]))
        return {"error": {"code": 3, "message": "execution reverted"}} if result is None else {"result": result}


def month(span: int, folder: Path) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]], dict[str, int]]:
    """The calls by chain and method: counted and planned; and how the partitions ended."""
    whole = load_registry(declared())
    registry = replace(whole, csus={name: replace(csu, deployed_block=None) for name, csu in whole.csus.items()})
    csus = {
        csu.name: csu
        for csu in select(registry, sets=["thesis-43"])
        if (csu.deployed_on is None or csu.deployed_on <= LAST) and registry.chains[csu.chain].ran_on(LAST)
    }
    partitions = [
        Partition(dataset, name, period)
        for dataset in ("tvl", "liquidations")
        for name in csus
        for period in days(FIRST, LAST)
    ]
    simulated = {}
    for name in sorted({csu.chain for csu in csus.values()}):
        chain = registry.chains[name]
        assert chain.clock is not None
        assert chain.launched is not None
        start = datetime(chain.launched.year, chain.launched.month, chain.launched.day, tzinfo=UTC)
        clock = SimulatedClock(name, chain.clock, start, datetime(2026, 6, 1, tzinfo=UTC))
        simulated[name] = Simulated(name, time=clock, head=clock.head, only=csus)
    http = Counting(simulated, span)
    endpoints = {name: [Endpoint(name, SecretUrl(name), Limits(log_span=span))] for name in simulated}
    pools = {
        name: Pool(
            name,
            registry.chains[name].chain_id,
            endpoints[name],
            http,
            limiters=lambda _one: Limiter(1e9, 1e9, sleep=lambda _seconds: None),
            sleep=lambda _seconds: None,
        )
        for name in simulated
    }
    source = OnchainSource(
        registry=registry,
        csus=list(csus.values()),
        pools=lambda chain: pools[chain.name],
        block_cache=FileBlockCache(folder / "blocks.json"),
    )
    ledger = Ledger(folder / "ledger.sqlite")
    result = collect(source, partitions, bronze=Bronze(folder), ledger=ledger, attempts=1)
    ledger.close()
    told: dict[str, Counter[str]] = {}
    for cost in costs(work(partitions, csus, registry.chains), lambda name: endpoints[name]):
        told.setdefault(cost.chain, Counter())[cost.method] += cost.calls
    ends = {"done": result.done + result.empty, "failed": result.failed, "markets": len(csus)}
    return http.asked, told, ends


def main() -> None:
    """Both spans."""
    rows, notes = [], []
    for span, aim in AIMS.items():
        with tempfile.TemporaryDirectory(prefix="cryptolake-bench-") as name:
            real, told, ends = month(span, Path(name))
        for chain in sorted(real):
            count = real[chain]
            rows.append((f"{span:,}", chain, *(count[one] for one in METHODS), count.total(), told[chain].total(), ""))
        total = sum(real.values(), Counter[str]())
        planned = sum(one.total() for one in told.values())
        rows.append((f"{span:,}", "all", *(total[one] for one in METHODS), total.total(), planned, aim))
        notes.append(f"{span:,}: {ends['markets']} markets, {ends['done']} answers, {ends['failed']} failed")
        sys.stdout.write(f"{notes[-1]}; {total.total():,} calls, planned {planned:,}\n")
    write_table(
        "december",
        "December 2024 of the markets of thesis-43 that ran then, snapshots and liquidations, from nothing, one voice (no "
        "second opinions), one endpoint a chain, batch members counted; simulated chains without events, made-up contracts. "
        "What failed are emitters that the simulation does not know. " + "; ".join(notes) + ".",
        ("log span", "chain", *METHODS, "all", "planned", "aim"),
        rows,
    )


if __name__ == "__main__":
    main()
