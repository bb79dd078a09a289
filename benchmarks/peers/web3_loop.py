"""The peer: web3.py, one market, one 10-block window, one call at a time (or on threads). Run in its own environment.

Usage: python web3_loop.py URL FIRST_BLOCK BLOCKS THREADS; prints calls, seconds and CPU seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from web3 import Web3

url, first, blocks, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
POOL = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
TOPIC = "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
local = threading.local()


def ask(start: int) -> int:
    """The logs of ten blocks."""
    if not hasattr(local, "web3"):
        local.web3 = Web3(Web3.HTTPProvider(url))
    found = local.web3.eth.get_logs({"fromBlock": start, "toBlock": start + 9, "address": POOL, "topics": [TOPIC]})
    return len(found)


ask(first)
started, cpu = time.perf_counter(), time.process_time()
windows = range(first, first + blocks, 10)
with ThreadPoolExecutor(threads) as workers:
    logs = sum(workers.map(ask, windows))
print(
    json.dumps(
        {
            "calls": len(windows),
            "logs": logs,
            "seconds": time.perf_counter() - started,
            "cpu": time.process_time() - cpu,
        }
    )
)
