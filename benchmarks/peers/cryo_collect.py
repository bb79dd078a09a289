"""The peer: cryo (Rust), the same blocks in the same windows. Run in its own environment.

Usage: python cryo_collect.py URL FIRST_BLOCK BLOCKS; prints calls, seconds and CPU seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import cryo

url, first, blocks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
started, cpu = time.perf_counter(), time.process_time()
cryo.collect(
    "logs",
    blocks=[f"{first}:{first + blocks}"],
    rpc=url,
    contract=["0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"],
    inner_request_size=10,
    requests_per_second=300,
    max_concurrent_requests=64,
    hex=True,
)
print(json.dumps({"calls": blocks // 10, "seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}))
