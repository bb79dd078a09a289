"""The only writer of `quality_results`: what a check found is kept, whichever driver had it run.

What does not belong here: running checks (checking, coins) and judging what they found (quality).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptolake.publish.warehouse import Warehouse
from cryptolake.quality.results import TABLE, Result, frame


def keep_results(
    warehouse: Warehouse,
    results: Sequence[Result],
    *,
    about: str,
    at: datetime,
    dataset_version: str | None = None,
    run: str | None = None,
) -> None:
    """Add what was found to the table. `at` is when the checks ran (aware UTC), `about` what they looked at."""
    rows = frame(results, about=about, run_at=at, dataset_version=dataset_version, run=run)
    warehouse.append(TABLE, rows)
