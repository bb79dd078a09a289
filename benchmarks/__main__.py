"""`python -m benchmarks [name ...]`: run every benchmark of this folder, or the named ones."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

wanted = sys.argv[1:]
for module in sorted(one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)])):
    if module not in {"__main__", "report", "synthetic_lake"} and (not wanted or module in wanted):
        importlib.import_module(f"benchmarks.{module}").main()
