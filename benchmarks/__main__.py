"""`python -m benchmarks [name ...]`: run every benchmark of this folder, or the named ones."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

NO_BENCHMARK = {
    "__main__",
    "report",
    "enforcing",
    "linked_ethereum",
    "provider",
    "peers",
    "race_provider",
    "simulated_ethereum",
    "synthetic_lake",
}

wanted = sys.argv[1:]
for module in sorted(one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)])):
    if module not in NO_BENCHMARK and (not wanted or module in wanted):
        importlib.import_module(f"benchmarks.{module}").main()
