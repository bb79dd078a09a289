"""What follows for days that were collected earlier when an endpoint is proven to answer wrongly, or a boundary moves.

They become suspect in the ledger, and so in everything that reads it, and the next collection asks for them. What does not
belong here: who is a liar and which answers rest on one (net.liars).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import structlog

from cryptolake.app import App
from cryptolake.contracts.entry import SUSPECT, Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Weighs
from cryptolake.flow.claims import WORKER
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.net.block_cache import Moved
from cryptolake.sources.onchain.source import LIQUIDATIONS
from cryptolake.work.beside import asked_beside

log = structlog.get_logger(__name__)

_TOGETHER = 1000  # entries in one transaction


def judge_earlier_days(app: App) -> list[Partition]:
    """Make the days suspect that rest on newly proven liars alone, and those of other blocks than a boundary that moved since
    says; which ones. Killed in between, the next call goes on.
    """
    new = [one for one in app.liars.named() if not one.judged]
    moved = app.block_cache.moved()
    if not new and not moved:
        return []
    found = {one.partition: one for one in (*_resting_on(app, {one.chain for one in new}), *_beside(app, moved))}
    entries = list(found.values())
    for start in range(0, len(entries), _TOGETHER):
        app.ledger.append_many(entries[start : start + _TOGETHER])
    if new:
        app.liars.judged(new)
        log.warning(
            "proven to drop logs; days that it alone answered are suspect, `cryptolake verify --repair` asks for them again",
            endpoints=sorted({f"{one.endpoint} ({one.chain})" for one in new}),
            days=len(found),
        )
    if moved:
        app.block_cache.looked_into(moved)
        log.warning(
            "a day begins at another block than was thought; answers of wrong days are suspect, the next collect asks again",
            chains=sorted({one.chain for one in moved}),
            days=len(found),
        )
    return [one.partition for one in entries]


def _resting_on(app: App, chains: Collection[str]) -> Iterator[Entry]:
    """Entries of liquidations on these chains that rest on liars alone."""
    csus = [csu for csu in app.registry.csus.values() if csu.chain in chains]
    source = app.onchain(csus)
    for csu in csus:
        yield from _doubted(app, source, app.ledger.series(LIQUIDATIONS.name, csu.name))


def _beside(app: App, moved: Sequence[Moved]) -> Iterator[Entry]:
    """Entries of periods that touch a boundary that moved and were answered for other blocks; absences are asked for again."""
    touched = {(one.chain, one.instant) for one in moved}
    csus = [csu for csu in app.registry.csus.values() if csu.chain in {one.chain for one in moved}]
    source = app.onchain(csus)
    for csu in csus:
        for dataset in source.datasets:
            near = [
                entry
                for entry in app.ledger.series(dataset.name, csu.name)
                if touched & {(csu.chain, entry.partition.period.start), (csu.chain, entry.partition.period.end)}
            ]
            yield from _doubted(app, source, near)
            for entry in near:
                if entry.state == "gone":
                    words = "its day begins or ends at another block than was thought; it is asked again"
                    yield replace(
                        entry, state="failed", at=datetime.now(UTC), worker=WORKER, reason="reorganised", error=words
                    )
    for name in asked_beside(app) if moved else ():  # who prices for all reads the same blocks
        teller = app.found.price_source(name, app.access(), app.registry.chains, {})
        if isinstance(teller, Weighs):
            for dataset, chain in product(teller.datasets, sorted({one.chain for one in moved})):
                ends = {one.instant for one in moved if one.chain == chain}
                told = [one for one in app.ledger.series(dataset.name, chain) if one.partition.period.end in ends]
                yield from _doubted(app, teller, told, of=name)


def _doubted(app: App, source: Weighs, entries: Iterable[Entry], of: str = ONCHAIN) -> Iterator[Entry]:
    """Those whose answers the source (in bronze `of` a name) has reason to doubt by now, as suspect."""
    for entry in entries:
        if entry.state not in {"done", "empty"} or entry.reason == SUSPECT:
            continue
        raw = app.bronze.read(entry.partition, of)
        if raw is None or raw.digest != entry.digest:
            continue  # it is lost, which verification says
        if (why := source.weigh(raw)) is not None:
            yield replace(entry, at=datetime.now(UTC), worker=WORKER, reason=SUSPECT, error=app.ledger.redact(why))
