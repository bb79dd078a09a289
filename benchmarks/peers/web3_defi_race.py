"""The peer: web3-ethereum-defi's multi-threaded event reader with timestamps; goes on after the last block it has kept.

Usage: python web3_defi_race.py URL FIRST_BLOCK LAST_BLOCK FOLDER ADDRESS TOPIC RATE. It takes no rate. Run in its own
environment.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from eth_defi.event_reader.filter import Filter
from eth_defi.event_reader.lazy_timestamp_reader import extract_timestamps_json_rpc_lazy
from eth_defi.event_reader.multithread import MultithreadEventReader
from web3 import Web3

logging.disable(logging.CRITICAL)
url, first, last, folder, address, topic, _ = sys.argv[1:]
ABI = [
    {
        "anonymous": False,
        "name": "LiquidationCall",
        "type": "event",
        "inputs": [
            {"indexed": True, "name": "collateralAsset", "type": "address"},
            {"indexed": True, "name": "debtAsset", "type": "address"},
            {"indexed": True, "name": "user", "type": "address"},
            {"indexed": False, "name": "debtToCover", "type": "uint256"},
            {"indexed": False, "name": "liquidatedCollateralAmount", "type": "uint256"},
            {"indexed": False, "name": "liquidator", "type": "address"},
            {"indexed": False, "name": "receiveAToken", "type": "bool"},
        ],
    }
]
state = Path(folder) / "state.json"
start = max(int(first), json.loads(state.read_text())["block"] + 1) if state.exists() else int(first)
event = Web3().eth.contract(abi=ABI).events.LiquidationCall
wanted = Filter(topics={topic: event}, contract_address=Web3.to_checksum_address(address), bloom=None)
reader = MultithreadEventReader(url, max_threads=16, max_blocks_once=2000)
count = 0
with (Path(folder) / "events.jsonl").open("a") as kept:
    for log in reader(None, start, int(last), filter=wanted, extract_timestamps=extract_timestamps_json_rpc_lazy):
        stamp = log["timestamp"]
        kept.write(json.dumps([log["blockNumber"], log["transactionHash"], stamp]) + "\n")
        kept.flush()
        state.write_text(json.dumps({"block": log["blockNumber"]}))
        count += 1
reader.close()
state.write_text(json.dumps({"block": int(last)}))
print(count)
