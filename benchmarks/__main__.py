"""`python -m benchmarks [name ...]`: run every benchmark of this folder, or the named ones."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
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

known = sorted(one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)]) if one.name not in NO_BENCHMARK)
parser = argparse.ArgumentParser(
    "python -m benchmarks", description="Run every benchmark of this folder, or the named ones."
)
parser.add_argument("name", nargs="*", help=f"which of {', '.join(known)}; all of them when none is named")
wanted = parser.parse_args().name
if unknown := [one for one in wanted if one not in known]:
    parser.error(f"no benchmark {unknown[0]!r}; known: {', '.join(known)}")
for module in known:
    if not wanted or module in wanted:
        importlib.import_module(f"benchmarks.{module}").main()
