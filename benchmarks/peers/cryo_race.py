"""The peer: cryo (Rust): the events of one market and the headers of their blocks, kept in files that a second run skips.

Usage: python cryo_race.py URL FIRST_BLOCK LAST_BLOCK FOLDER ADDRESS TOPIC RATE (0: none told). Run in its own environment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cryo
import polars as pl

url, first, last, folder, address, topic, rate = sys.argv[1:]
told: dict[str, Any] = {"rpc": url, "output_dir": folder, "hex": True, "no_verbose": True, "max_retries": 10}
if float(rate):
    told["requests_per_second"] = int(float(rate))
logs = {"contract": [address], "topic0": [topic], "chunk_size": 2000, "inner_request_size": 2000}
try:
    cryo.freeze("logs", blocks=[f"{first}:{int(last) + 1}"], **logs, **told)
except Exception as error:  # noqa: BLE001  # its own script: whatever it is, it is said
    sys.exit(f"cryo: {error}")
files = [one for one in Path(folder).glob("*logs*.parquet") if one.stat().st_size]
found = pl.concat([pl.read_parquet(one, columns=["block_number"]) for one in files], how="vertical_relaxed")
blocks = sorted({number for number in found["block_number"] if int(first) <= number <= int(last)})
cryo.freeze("blocks", blocks=[str(number) for number in blocks], chunk_size=1000, **told)
print(len(blocks))
