"""Record the bundled sandbox again: play the fortnight on a local chain and keep what its node answers.

    python scripts/record_sandbox.py [--vendor FOLDER]

Needs `npm ci --ignore-scripts`. The chain is deterministic: a second run writes the same bytes. `--vendor` also trims
the DefiLlama series (FOLDER holds the files named in recordings/defillama/README.md); without it they stay as they are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from scripts.recording_tap import Tap  # noqa: E402
from tests.chain.aave_v3 import AaveV3Market  # noqa: E402
from tests.chain.anvil import CHAIN_ID, MULTICALL3, Anvil, NodeError  # noqa: E402
from tests.chain.scenario import Fortnight, play  # noqa: E402
from tests.chain.solidity import call_data, keccak  # noqa: E402

from cryptolake.contracts.partition import Partition, Period  # noqa: E402
from cryptolake.contracts.raw import Miss  # noqa: E402
from cryptolake.demo.recording import Block, CallAnswer, ChainRecording  # noqa: E402
from cryptolake.demo.replay import RECORDINGS, sandbox_registry  # noqa: E402
from cryptolake.net.block_cache import FileBlockCache  # noqa: E402
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl  # noqa: E402
from cryptolake.net.http import Http  # noqa: E402
from cryptolake.net.rpc import Pool  # noqa: E402
from cryptolake.registry.chains import Chain  # noqa: E402
from cryptolake.registry.loader import load_registry  # noqa: E402
from cryptolake.sources.onchain.families import declared  # noqa: E402
from cryptolake.sources.onchain.source import OnchainSource  # noqa: E402

CSU = "aave_v3_sandbox"
# The fortnight, the day of deployment before it and two quiet days after it.
RECORDED_DAYS = [date(2024, 11, 30) + timedelta(days=offset) for offset in range(17)]
ABOUT = (
    "cryptolake sandbox, not a public chain: the published Aave V3 contracts on a local node with invented users, "
    "tokens and prices; made by scripts/record_sandbox.py"
)
SERIES = ("stablecoincharts_all_stablecoin1_USDT.json", "stablecoincharts_all_stablecoin2_USDC.json")
CURRENT, CURRENT_IDS = "stablecoins.json", {"1": "USDT", "2": "USDC"}
SERIES_DAYS = (date(2024, 1, 1), date(2024, 12, 31))


def main() -> None:
    """Record, write, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vendor", type=Path, help="folder with the untrimmed vendor series")
    vendor: Path | None = parser.parse_args().vendor
    if vendor is not None:
        for name in SERIES:
            print(f"{name}: {trim_series(vendor / name, RECORDINGS / 'defillama' / f'{name}.gz')} points")
        target = RECORDINGS / "defillama" / f"stablecoins_{'_'.join(CURRENT_IDS.values())}.json.gz"
        print(f"{CURRENT}: {trim_current(vendor / CURRENT, target)} coins")
    with Anvil() as node:
        fortnight = play(node)
        write_registry(fortnight.market, sandbox_registry())
        recording = record_chain(node)
        blocks = {fortnight.last_block_of(day) for day in RECORDED_DAYS}
        blocks |= {item.block for item in fortnight.liquidations}
        for block in sorted(blocks):
            record_calls(recording, fortnight, block)
        asked = record_collection(node, recording)
    path = RECORDINGS / "chain.json.gz"
    recording.save(path, ABOUT)
    print(
        f"{path.name}: {len(recording.blocks)} blocks, {len(recording.logs)} logs, {len(recording.calls)} calls "
        f"({asked} by cryptolake's own collection), {path.stat().st_size:,} bytes"
    )


def record_chain(node: Anvil) -> ChainRecording:
    """Every header and log of the chain, without calls."""
    blocks = []
    for number in range(node.number() + 1):
        header = node.rpc("eth_getBlockByNumber", hex(number), False)
        blocks.append(Block(number, header["hash"], header["parentHash"], int(header["timestamp"], 16)))
    finalized = int(node.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16)
    logs = node.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    return ChainRecording(CHAIN_ID, MULTICALL3, finalized, blocks, logs)


def record_calls(recording: ChainRecording, fortnight: Fortnight, block: int) -> None:
    """Ask at `block` everything an Aave V3 collector may want to know, also what this version cannot answer."""
    for to, data in questions(fortnight, block):
        try:
            answer = CallAnswer(True, fortnight.node.rpc("eth_call", {"to": to, "data": data}, hex(block)))
        except NodeError as error:
            answer = CallAnswer(False, error.data or "0x")
        recording.calls[block, to.lower(), data] = answer


def questions(fortnight: Fortnight, block: int) -> Iterator[tuple[str, str]]:
    """(contract, calldata) of every question about the market as it is listed at `block`."""
    market = fortnight.market
    plain = {
        market.provider: ("getPool()", "getPoolDataProvider()", "getPriceOracle()", "getPoolConfigurator()"),
        market.pool: ("ADDRESSES_PROVIDER()", "getReservesList()", "POOL_REVISION()"),
        market.oracle: ("BASE_CURRENCY()", "BASE_CURRENCY_UNIT()"),
        market.data_provider: ("getAllReservesTokens()",),
        MULTICALL3: ("getBlockNumber()", "getCurrentBlockTimestamp()"),
    }
    for to, signatures in plain.items():
        yield from ((to, call_data(signature)) for signature in signatures)
    per_asset = {
        market.pool: (
            "getReserveData", "getReserveNormalizedIncome", "getReserveNormalizedVariableDebt",
            "getReserveAToken", "getReserveVariableDebtToken", "getVirtualUnderlyingBalance", "getReserveDeficit",
        ),
        market.oracle: ("getAssetPrice", "getSourceOfAsset"),
        market.data_provider: (
            "getReserveData", "getReserveTokensAddresses", "getATokenTotalSupply", "getTotalDebt",
            "getReserveConfigurationData", "getReserveCaps",
        ),
    }  # fmt: skip
    listed = [token for token in market.tokens.values() if token.listed_block <= block]
    yield market.oracle, call_data("getAssetsPrices(address[])", [token.asset for token in listed])
    for token in listed:
        for to, names in per_asset.items():
            yield from ((to, call_data(f"{name}(address)", token.asset)) for name in names)
        yield token.asset, call_data("balanceOf(address)", token.a_token)
        for contract in (token.asset, token.a_token, token.stable_debt, token.variable_debt):
            yield from ((contract, call_data(f"{name}()")) for name in ("symbol", "name", "decimals", "totalSupply"))


def record_collection(node: Anvil, recording: ChainRecording) -> int:
    """Run cryptolake's own collection of every recorded day against the node and keep each call it makes."""
    registry = load_registry(declared(), sandbox_registry())
    http = Http()

    def pool(chain: Chain) -> Pool:
        endpoint = Endpoint("sandbox", SecretUrl(tap.url), Limits(rate=10_000))
        return Pool(chain.name, chain.chain_id, [endpoint], http)

    with Tap(node.url, recording) as tap, tempfile.TemporaryDirectory() as scratch:
        source = OnchainSource(
            registry=registry,
            csus=[registry.csu(CSU)],
            pools=pool,
            block_cache=FileBlockCache(Path(scratch) / "blocks.json"),
            provenance={},
        )
        wanted = [
            Partition(dataset.name, CSU, Period.of_day(day)) for dataset in source.datasets for day in RECORDED_DAYS
        ]
        for trip in source.trips(wanted):
            for outcome in source.fetch(trip):
                if isinstance(outcome, Miss) and outcome.state != "gone":
                    raise SystemExit(f"{outcome.partition} was not answered: {outcome.message}")
        http.close()
        return tap.asked


def write_registry(market: AaveV3Market, path: Path) -> None:
    """The sandbox's chain and market in the shape of the registry's own files."""
    deployed = datetime.fromtimestamp(market.node.timestamp(market.deployed_block), UTC).date()
    body = {
        "schema_version": 1,
        "chains": {
            "sandbox": {
                "chain_id": CHAIN_ID,
                "defillama_name": None,
                "native_symbol": "ETH",
                "block_time_s": None,
                "kind": "local node, recorded",
                "multicall3": {"address": MULTICALL3, "block": 0},
                "alchemy_subdomain": None,
                "public_rpcs": [],
                "notes": ["Sparse on purpose: blocks exist only where the recorded fortnight needs them."],
            }
        },
        "csus": [
            {
                "name": CSU,
                "family": "aave_v3",
                "protocol": "aave",
                "version": "3",
                "chain": "sandbox",
                "chain_id": CHAIN_ID,
                "entry": {
                    "pool_addresses_provider": checksum(market.provider),
                    "pool": checksum(market.pool),
                    "oracle": checksum(market.oracle),
                    "protocol_data_provider": checksum(market.data_provider),
                },
                "deployment": {"block": market.deployed_block, "date": deployed.isoformat()},
                "sources": ["scripts/record_sandbox.py"],
                "status": "single-source",
                "notes": [ABOUT],
                "in_seed_43": False,
                "in_thesis_46": False,
                "sandbox": True,
            }
        ],
    }
    text = "# Written by scripts/record_sandbox.py; do not edit.\n" + yaml.safe_dump(body, sort_keys=False, width=118)
    path.write_text(text, encoding="utf-8")


def checksum(address: str) -> str:
    """EIP-55."""
    text = address[2:].lower()
    digest = keccak(text.encode()).hex()
    return "0x" + "".join(c.upper() if int(d, 16) >= 8 else c for c, d in zip(text, digest, strict=False))


def trim_series(source: Path, target: Path) -> int:
    """Keep the recorded points of SERIES_DAYS, each exactly as it came; returns how many."""
    first, last = (datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp() for d in SERIES_DAYS)
    points = [p for p in json.loads(source.read_bytes()) if first <= int(p["date"]) <= last]
    target.write_bytes(gzip.compress(json.dumps(points, separators=(",", ":")).encode(), mtime=0))
    return len(points)


def trim_current(source: Path, target: Path) -> int:
    """Keep the two coins' current amounts, without their chains, each number exactly as it came; returns how many."""
    coins = [
        {name: value for name, value in coin.items() if name not in {"chainCirculating", "chains"}}
        for coin in json.loads(source.read_bytes())["peggedAssets"]
        if coin["id"] in CURRENT_IDS
    ]
    body = json.dumps({"peggedAssets": coins}, separators=(",", ":")).encode()
    target.write_bytes(gzip.compress(body, mtime=0))
    return len(coins)


if __name__ == "__main__":
    main()
