"""The documented checkpoint files, written from the ledger: `{csu: {completed_dates, failed_dates, last_updated}}`."""

from __future__ import annotations

from pathlib import Path

import orjson

from cryptolake.contracts.entry import SETTLED
from cryptolake.lake.ledger import Ledger
from cryptolake.lake.store import write_bytes


def write_checkpoints(ledger: Ledger, folder: Path) -> list[Path]:
    """Write `tvl_progress.json` and `liquidations_progress.json`. Completed means settled: answered, empty or gone."""
    written = []
    for dataset in ("tvl", "liquidations"):
        progress: dict[str, dict[str, object]] = {}
        completed: dict[str, list[str]] = {}
        failed: dict[str, list[str]] = {}
        for partition, entry in sorted(ledger.states(dataset).items()):
            progress.setdefault(partition.key, {"last_updated": ""})
            if entry.state in SETTLED:
                completed.setdefault(partition.key, []).append(str(partition.period))
            elif entry.state == "failed":
                failed.setdefault(partition.key, []).append(str(partition.period))
            at = entry.at.strftime("%Y-%m-%dT%H:%M:%SZ")
            progress[partition.key]["last_updated"] = max(at, str(progress[partition.key]["last_updated"]))
        document = {
            csu: {"completed_dates": completed.get(csu, []), "failed_dates": failed.get(csu, []), **rest}
            for csu, rest in progress.items()
        }
        path = folder / f"{dataset}_progress.json"
        write_bytes(path, orjson.dumps(document, option=orjson.OPT_INDENT_2))
        written.append(path)
    return written
