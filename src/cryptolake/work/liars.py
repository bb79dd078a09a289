"""What follows for days that were collected earlier when an endpoint is proven to answer logs wrongly.

They become suspect in the ledger, and so in everything that reads it, and the next collection asks for them. What does not
belong here: who is a liar and which answers rest on one (net.liars).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import structlog

from cryptolake.app import App
from cryptolake.contracts.entry import SUSPECT, Entry
from cryptolake.contracts.partition import Partition
from cryptolake.flow.collect import WORKER
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.sources.onchain.source import LIQUIDATIONS

log = structlog.get_logger(__name__)

_TOGETHER = 1000  # entries in one transaction


def judge_earlier_days(app: App) -> list[Partition]:
    """Make the days that rest on newly proven liars alone suspect; which ones. Killed in between, the next call goes on."""
    new = [one for one in app.liars.named() if not one.judged]
    if not new:
        return []
    chains = {one.chain for one in new}
    csus = [csu for csu in app.registry.csus.values() if csu.chain in chains]
    source = app.onchain(csus)
    found: list[Entry] = []
    for csu in csus:
        for entry in app.ledger.series(LIQUIDATIONS.name, csu.name):
            if entry.state not in {"done", "empty"} or entry.reason == SUSPECT:
                continue
            raw = app.bronze.read(entry.partition, ONCHAIN)
            if raw is None or raw.digest != entry.digest:
                continue  # it is lost, which verification says
            if (why := source.weigh(raw)) is not None:
                now = datetime.now(UTC)
                found.append(replace(entry, at=now, worker=WORKER, reason=SUSPECT, error=app.ledger.redact(why)))
    for start in range(0, len(found), _TOGETHER):
        app.ledger.append_many(found[start : start + _TOGETHER])
    app.liars.judged(new)
    log.warning(
        "proven to drop logs; days that it alone answered are suspect, `cryptolake verify --repair` asks for them again",
        endpoints=sorted({f"{one.endpoint} ({one.chain})" for one in new}),
        days=len(found),
    )
    return [one.partition for one in found]
