"""Suspect answers about which asking again teaches nothing new: the same endpoints were asked within a day, and those that
contradict are only asked besides.

They stay suspect in everything that reads them. What does not belong here: who is believed (net, sources), and the other
reasons for which a suspect day is asked again at every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache

import orjson
import structlog

from cryptolake.app import App
from cryptolake.contracts.entry import CONTRADICTED
from cryptolake.contracts.partition import Partition
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.net.voices import told_by
from cryptolake.sources.onchain.grading import graded
from cryptolake.work.attainable import voices_in

log = structlog.get_logger(__name__)

AGAIN_AFTER = timedelta(days=1)  # what a node lacked or had wrong it may have mended by then


def nothing_new(
    app: App, partitions: Iterable[Partition], chain_of: Callable[[Partition], str], source: str = ONCHAIN
) -> set[Partition]:
    """Those of these partitions that are such; `chain_of` says of which chain each is, `source` whose answers they are."""

    @cache
    def told_on(chain: str) -> list[str] | None:
        """Everybody who may be asked there; None where the user's own endpoints could contradict each other."""
        endpoints = app.endpoints(app.registry.chain(chain))
        own = [one for one in endpoints if not one.besides]
        return sorted({told_by(one) for one in endpoints}) if voices_in(own) < 2 and len(own) < len(endpoints) else None

    found, since = set[Partition](), datetime.now(UTC) - AGAIN_AFTER
    wanted = set(partitions)
    for entry in (*app.ledger.unsettled("done"), *app.ledger.unsettled("empty")):  # which are the suspect ones
        one = entry.partition
        if one not in wanted or entry.at < since or (there := told_on(chain_of(one))) is None:
            continue
        raw = app.bronze.read(one, source)
        if raw is None or raw.digest != entry.digest:
            continue
        content = orjson.loads(raw.payload)
        proof = graded(raw, content)
        contradicted = entry.error in {CONTRADICTED, *map(app.ledger.redact, proof.doubts)}
        if contradicted and not proof.faults and content["certificate"].get("asked_of") == there:
            found.add(one)
    if found:
        log.warning(
            "suspect for what public endpoints say otherwise; asked again in a day, by --retry-failed, or when another "
            "endpoint is set",
            days=len(found),
            first=str(min(found)),
        )
    return found
